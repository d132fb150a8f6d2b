//! Gives out files that have left, as long as they are here.

use std::fs::File;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use eosfed_common::ids::AssignmentId;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::SitePages;
use super::answer::Trouble;
use super::kept;
use super::pages::{blocking, number_of};
use super::read::{Leaving, leaving};
use super::session::Visitor;
use crate::site::Site;
use crate::site_log::{LogQuery, Record, page};

/// Gives the file of an entry, byte for byte as it has left.
pub(super) async fn download(
    State(pages): State<SitePages>,
    _visitor: Visitor,
    Path(number): Path<String>,
) -> Result<Response, Trouble> {
    let number = number_of(&number)?;
    let (name, file, size) = blocking(&pages, move |site| find(site, number)).await?;
    let stream = ReaderStream::new(tokio::fs::File::from_std(file).take(size));
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, size.to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.safetensors\"")),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

fn find(site: &Site, number: u64) -> Result<(AssignmentId, File, u64), Trouble> {
    let query = LogQuery { from: number, before: number.saturating_add(1), most: 1 };
    let found = page(&site.log(), query, |_| true)?;
    let nothing =
        || Trouble::NotFound(format!("Entry {number} is not about a file of weights that has left."));
    let (_, text) = found.lines.first().ok_or_else(nothing)?;
    let Leaving { event, sending } = leaving(text).ok_or_else(nothing)?;
    let assignment =
        event.entry.assignment.filter(|_| sending.record == Record::Weights).ok_or_else(nothing)?;
    let opened =
        kept::open(site, &assignment, &sending).map_err(|error| Trouble::Unreadable(error.to_string()))?;
    let (file, size) = opened.ok_or_else(|| {
        Trouble::NotFound(format!(
            "The file that entry {number} is about is no longer kept here: the daemon removes the files of an \
             assignment when it has ended, and no file here has its digest."
        ))
    })?;
    Ok((assignment, file, size))
}
