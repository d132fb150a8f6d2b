//! Reading the ledger: pages of the store, filtered, as messages of a bounded size.

use eosfed_common::ledger::Filter;
use eosfed_common::refusal::Refusal;
use eosfed_proto::v1;
use eosfed_transport::status::to_status;
use tokio::sync::mpsc;
use tonic::Status;

use super::batches::batches;
use crate::engine::{Core, Handle};

/// Events that are read from the store at once.
const PAGE: u64 = 512;
/// Most bytes of lines in one message.
const MAX_MESSAGE: usize = 256 * 1024;
/// Most events that the newest can be asked for: they are collected before the first is sent.
const MAX_NEWEST: usize = 10_000;

type Sender = mpsc::Sender<Result<v1::ListEventsResponse, Status>>;

/// Sends the events that match, in order, until the newest at the time of the call or until nobody reads.
/// With `newest` above 0, only the last of them, at most this many.
pub(super) async fn send(engine: Handle, filter: Filter, newest: usize, sender: Sender) {
    let sent = async {
        let Some(end) = end(&engine).await? else { return Ok(()) };
        match newest {
            0 => send_all(&engine, &filter, end, &sender).await,
            _ => send_newest(&engine, &filter, end, newest.min(MAX_NEWEST), &sender).await,
        }
    };
    if let Err(refusal) = sent.await {
        let _ = sender.send(Err(to_status(&refusal))).await;
    }
}

/// The place after the newest event, or nothing for an empty ledger.
async fn end(engine: &Handle) -> Result<Option<u64>, Refusal> {
    let head = engine.call(async move |core: &Core| Ok(core.ledger_head().await)).await?;
    Ok(head.map(|head| head.sequence + 1))
}

/// The matching events from `from` until before `to`, which are at most [`PAGE`] places apart.
async fn page(engine: &Handle, filter: &Filter, from: u64, to: u64) -> Result<Vec<String>, Refusal> {
    let most = usize::try_from(to - from).unwrap_or(usize::MAX);
    let mut lines = engine.call(async move |core: &Core| core.events(from, most).await).await?;
    lines.retain(|line| filter.matches(line));
    Ok(lines)
}

async fn send_all(engine: &Handle, filter: &Filter, end: u64, sender: &Sender) -> Result<(), Refusal> {
    let mut from = 0;
    while from < end && !sender.is_closed() {
        let to = end.min(from + PAGE);
        send_lines(page(engine, filter, from, to).await?, sender).await;
        from = to;
    }
    Ok(())
}

async fn send_newest(
    engine: &Handle,
    filter: &Filter,
    end: u64,
    newest: usize,
    sender: &Sender,
) -> Result<(), Refusal> {
    let mut pages = Vec::new();
    let mut found = 0;
    let mut to = end;
    while to > 0 && found < newest && !sender.is_closed() {
        let from = to.saturating_sub(PAGE);
        let mut lines = page(engine, filter, from, to).await?;
        lines.drain(..lines.len().saturating_sub(newest - found));
        found += lines.len();
        pages.push(lines);
        to = from;
    }
    for lines in pages.into_iter().rev() {
        send_lines(lines, sender).await;
    }
    Ok(())
}

/// Sends lines as messages of at most [`MAX_MESSAGE`] bytes, or of one line.
async fn send_lines(lines: Vec<String>, sender: &Sender) {
    for lines in batches(lines, 0, MAX_MESSAGE, String::len) {
        if !lines.is_empty() && sender.send(Ok(v1::ListEventsResponse { lines })).await.is_err() {
            return;
        }
    }
}
