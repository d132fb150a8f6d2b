//! Traces of jobs. What happens for a job is one trace, whichever program does it: the ids of the trace and of
//! its spans follow from the ids of the job, the round and the assignment, so every program knows them, also
//! after a restart, and none has to be told or stored.
//!
//! The text form is that of W3C Trace Context, version 00.

use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::ids::{AssignmentId, JobId};

/// The header that carries a context between programs.
pub const HEADER: &str = "traceparent";
/// The environment variable that carries it to a child process.
pub const VARIABLE: &str = "TRACEPARENT";

/// A place in a trace: the trace and a span of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceContext {
    /// The trace.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
}

/// The text is no trace context of version 00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a trace context such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
pub struct InvalidContext;

/// The first bytes of the digest of a text; never all zero, which the standard forbids.
fn derive<const N: usize>(text: &str) -> [u8; N] {
    let digest = Digest::of(text.as_bytes()).to_hex();
    let mut bytes = [0; N];
    let _ = hex::decode_to_slice(&digest[..2 * N], &mut bytes);
    if bytes == [0; N] { [1; N] } else { bytes }
}

impl TraceContext {
    /// The root of a job's trace: the span of the job.
    #[must_use]
    pub fn of_job(job: &JobId) -> Self {
        Self { trace: derive(&format!("eosfed trace {job}")), span: derive(&format!("eosfed span {job}")) }
    }

    /// The span of an attempt at a round.
    #[must_use]
    pub fn of_round(job: &JobId, round: u32, attempt: u32) -> Self {
        Self::of_job(job).at(&format!("{job}.{round}.{attempt}"))
    }

    /// The span of an assignment.
    #[must_use]
    pub fn of_assignment(id: &AssignmentId) -> Self {
        Self::of_job(&id.job).at(&id.to_string())
    }

    /// The id of the trace, in hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hex::encode(self.trace)
    }

    /// The span of this trace that is called so.
    #[must_use]
    pub fn at(self, name: &str) -> Self {
        Self { span: derive(&format!("eosfed span {name}")), ..self }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-01", hex::encode(self.trace), hex::encode(self.span))
    }
}

impl FromStr for TraceContext {
    type Err = InvalidContext;

    fn from_str(text: &str) -> Result<Self, InvalidContext> {
        let lower = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let parts: Vec<_> = text.split('-').collect();
        let [version, trace, span, flags] = parts[..] else { return Err(InvalidContext) };
        if version != "00" || flags.len() != 2 || ![trace, span, flags].into_iter().all(lower) {
            return Err(InvalidContext);
        }
        let mut context = Self { trace: [0; 16], span: [0; 8] };
        hex::decode_to_slice(trace, &mut context.trace).map_err(|_| InvalidContext)?;
        hex::decode_to_slice(span, &mut context.span).map_err(|_| InvalidContext)?;
        if context.trace == [0; 16] || context.span == [0; 8] {
            return Err(InvalidContext);
        }
        Ok(context)
    }
}

/// What a span is to the call that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Work of a program by itself.
    Internal,
    /// The answer to a call.
    Server,
    /// A call.
    Client,
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its place.
    pub context: TraceContext,
    /// The span that it is part of.
    pub parent: Option<[u8; 8]>,
    /// What was done.
    pub name: String,
    /// What it is to a call.
    pub kind: SpanKind,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What is said of it: ids, numbers and states, never names of files.
    pub attributes: Vec<(&'static str, String)>,
    /// What went wrong, if something did.
    pub failure: Option<String>,
}

impl Span {
    /// A part of `parent` that ended well.
    #[must_use]
    pub fn within(
        parent: TraceContext,
        context: TraceContext,
        name: impl Into<String>,
        [began, ended]: [Timestamp; 2],
    ) -> Self {
        Self {
            context,
            parent: Some(parent.span),
            name: name.into(),
            kind: SpanKind::Internal,
            began,
            ended,
            attributes: Vec::new(),
            failure: None,
        }
    }

    /// With an attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &(impl fmt::Display + ?Sized)) -> Self {
        self.attributes.push((name, value.to_string()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_one_trace_whoever_asks() {
        let job: JobId = "j-0a1b2c3d".parse().unwrap();
        let id: AssignmentId = "j-0a1b2c3d.2.1.west".parse().unwrap();
        let all = [
            TraceContext::of_job(&job),
            TraceContext::of_round(&job, 2, 1),
            TraceContext::of_assignment(&id),
            TraceContext::of_assignment(&id).at("training"),
        ];
        assert!(all.iter().all(|one| one.trace == all[0].trace));
        let spans: std::collections::BTreeSet<_> = all.iter().map(|one| one.span).collect();
        assert_eq!(spans.len(), all.len());
        assert_ne!(TraceContext::of_job(&"j-0a1b2c3e".parse().unwrap()).trace, all[0].trace);
        // python3 -c "import hashlib; print(hashlib.sha256(b'eosfed trace j-0a1b2c3d').hexdigest()[:32])"
        assert_eq!(hex::encode(all[0].trace), "3fbb2e548f05b9b6239b5daf253c0f8c");
    }

    #[test]
    fn a_context_is_read_back_from_its_text_and_nothing_else() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(text.parse::<TraceContext>().unwrap().to_string(), text);
        for wrong in [
            "",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(wrong.parse::<TraceContext>(), Err(InvalidContext), "{wrong}");
        }
    }
}
