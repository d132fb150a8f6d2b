//! Hostile connections during the measurement, from a process of their own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_transport::channel::Transport;
use eosfed_transport::operator::IdentityFolder;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::coordinator::Coordinator;
use crate::institution::{Member, enroll};
use crate::report::Report;

/// Time until each hostile connection has been tried.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A running `eosfed-hostile crowd`; killed when dropped.
pub(crate) struct Crowd {
    child: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    /// Hostile connections, if there are to be any, with a member of their own.
    pub(crate) async fn of(
        program: &Path,
        coordinator: &Coordinator,
        operator: &OperatorClient<Transport>,
        connections: u16,
    ) -> anyhow::Result<Option<Self>> {
        if connections == 0 {
            return Ok(None);
        }
        let member = enroll(operator.clone(), coordinator.url(), "mallory".parse()?).await?;
        Self::start(program, coordinator, &member, connections).await.map(Some)
    }

    /// Starts so many hostile connections, of which a quarter are a member's, and waits until each has been
    /// tried.
    async fn start(
        program: &Path,
        coordinator: &Coordinator,
        member: &Member,
        connections: u16,
    ) -> anyhow::Result<Self> {
        let folder = coordinator.folder().join("hostile");
        std::fs::create_dir(&folder)?;
        member.write(&IdentityFolder(folder.clone()), coordinator.url())?;
        let mut command = Command::new(program);
        command.arg("crowd").arg("--identity").arg(&folder);
        command.args(["--coordinator", coordinator.url().trim_start_matches("https://")]);
        command.args(["--connections", &connections.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        let output = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let first = timeout(START_TIMEOUT, lines.next_line()).await.context("the crowd does not start")??;
        ensure!(first.as_deref() == Some("READY"), "the crowd has ended: {first:?}");
        Ok(Self { child, lines })
    }

    /// Ends it and reports what it has met.
    pub(crate) async fn end(mut self, report: &mut Report) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let line = self.lines.next_line().await?.context("the crowd has ended before")?;
        let met: Value = serde_json::from_str(&line)?;
        for (kind, met) in met.as_object().context("the crowd's report is an object")? {
            let of = |what: &str| met[what].as_u64().unwrap_or_default();
            let [opened, failed, answered, refused, cut] =
                ["opened", "not_opened", "answered", "refused", "cut"].map(of);
            report.row(
                &format!("hostile: {}", kind.replace('_', " ")),
                format!(
                    "{opened} opened, {failed} not; calls: {answered} answered, {refused} refused, {cut} cut"
                ),
            );
        }
        ensure!(self.child.wait().await?.success(), "the crowd has failed");
        Ok(())
    }
}
