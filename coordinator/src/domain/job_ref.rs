//! References to jobs in calls, and their resolution.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use eosfed_common::ids::JobId;
use eosfed_common::refusal::{Reason, Refusal};

use super::job::Job;

/// Most candidates that a refusal lists.
const MAX_CANDIDATES: usize = 5;
/// Length of a complete id.
const ID_LENGTH: usize = 10;

/// A reference to a job: its id, the first characters of its id, or `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobRef {
    /// The newest job.
    Latest,
    /// The only job whose id has this prefix. A complete id is a prefix too.
    Prefix(String),
}

impl From<&JobId> for JobRef {
    fn from(id: &JobId) -> Self {
        Self::Prefix(id.to_string())
    }
}

impl FromStr for JobRef {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let digits = text.strip_prefix("j-").filter(|_| text.len() <= ID_LENGTH);
        if digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(is_digit)) {
            return Ok(Self::Prefix(text.to_owned()));
        }
        let found: String = text.chars().take(80).flat_map(char::escape_default).collect();
        let message = format!(
            "`{found}` does not name a job: use its id, such as j-0a1b2c3d, the first characters of its id, or \
             `latest`"
        );
        Err(Refusal::new(Reason::Malformed, message))
    }
}

impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.pad("latest"),
            Self::Prefix(prefix) => f.pad(prefix),
        }
    }
}

/// The job that a reference names.
///
/// # Errors
/// [`Reason::NotFound`] if there is no such job; [`Reason::Ambiguous`] with the candidates, newest first, if
/// several ids have the prefix.
pub(super) fn resolve<'a>(jobs: &'a BTreeMap<JobId, Job>, wanted: &JobRef) -> Result<&'a Job, Refusal> {
    let age = |job: &&Job| (job.submitted_at, job.id.clone());
    let prefix = match wanted {
        JobRef::Latest => {
            return jobs.values().max_by_key(age).ok_or_else(|| {
                let message = "there is no job yet; submit one with `eosfed job submit PLAN`";
                Refusal::new(Reason::NotFound, message)
            });
        }
        JobRef::Prefix(prefix) => prefix,
    };
    let mut found: Vec<&Job> = jobs.values().filter(|job| job.id.as_str().starts_with(prefix)).collect();
    match found[..] {
        [job] => Ok(job),
        [] => Err(Refusal::new(Reason::NotFound, format!("no job `{prefix}`; see `eosfed job list`"))),
        [..] => {
            found.sort_by_key(age);
            found.reverse();
            Err(ambiguous(prefix, &found))
        }
    }
}

fn ambiguous(prefix: &str, found: &[&Job]) -> Refusal {
    let listed = found.iter().take(MAX_CANDIDATES);
    let listed = listed.map(|job| format!("\n  {}  {} ({})", job.id, job.spec.name(), job.state.name()));
    let listed: String = listed.collect();
    let more = match found.len().saturating_sub(MAX_CANDIDATES) {
        0 => String::new(),
        more => format!("\n  … {more} more"),
    };
    let message = format!(
        "{} jobs have an id that begins with `{prefix}`; give more characters:{listed}{more}",
        found.len()
    );
    Refusal::new(Reason::Ambiguous, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eosfed_common::clock::Timestamp;

    use super::*;
    use crate::domain::{Federation, JobDefinition};
    use crate::testing::{NOW, ONE_SHOT, enrolled, submit};

    /// Jobs with these ids, submitted in this order at this interval in milliseconds.
    fn jobs_every(milliseconds: u64, ids: &[&str]) -> BTreeMap<JobId, Job> {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        let job = submit(&federation, ONE_SHOT).1.jobs.remove(0);
        let one = |(place, id): (u64, &&str)| {
            let id: JobId = id.parse().unwrap();
            let submitted_at = Timestamp(NOW.0 + place * milliseconds);
            let definition =
                JobDefinition { id: id.clone(), submitted_at, ..JobDefinition::clone(&job.definition) };
            (id, Job { definition: Arc::new(definition), ..job.clone() })
        };
        (0..).zip(ids).map(one).collect()
    }

    fn jobs(ids: &[&str]) -> BTreeMap<JobId, Job> {
        jobs_every(1000, ids)
    }

    fn resolved(jobs: &BTreeMap<JobId, Job>, text: &str) -> Result<String, Refusal> {
        resolve(jobs, &text.parse()?).map(|job| job.id.to_string())
    }

    #[test]
    fn a_job_is_found_by_its_id_a_prefix_or_latest() {
        let jobs = jobs(&["j-ffffffff", "j-0a1b2c3d", "j-0a1b9999", "j-10000000"]);
        for (text, id) in [
            ("latest", "j-10000000"),
            ("j-0a1b2c3d", "j-0a1b2c3d"),
            ("j-0a1b2", "j-0a1b2c3d"),
            ("j-f", "j-ffffffff"),
        ] {
            assert_eq!(resolved(&jobs, text).unwrap(), id, "{text}");
        }
        assert_eq!(resolved(&jobs, "j-0b").unwrap_err().reason, Reason::NotFound);
        assert_eq!(resolved(&BTreeMap::new(), "latest").unwrap_err().reason, Reason::NotFound);
    }

    #[test]
    fn among_jobs_of_the_same_instant_the_latest_is_deterministic() {
        let jobs = jobs_every(0, &["j-00000001", "j-00000003", "j-00000002"]);
        assert_eq!(resolved(&jobs, "latest").unwrap(), "j-00000003");
    }

    #[test]
    fn an_ambiguous_prefix_is_refused_with_the_candidates_newest_first() {
        let ids = ["j-0a000001", "j-0b000002", "j-0a000003"];
        let refusal = resolved(&jobs(&ids), "j-0a").unwrap_err();
        assert_eq!(refusal.reason, Reason::Ambiguous);
        let message = refusal.message;
        assert!(message.starts_with("2 jobs have an id that begins with `j-0a`"), "{message}");
        let places = [ids[2], ids[0]].map(|id| message.find(id).unwrap());
        assert!(places[0] < places[1] && !message.contains(ids[1]), "{message}");
        assert!(message.contains("each its own (running)"), "{message}");
    }

    #[test]
    fn the_list_of_candidates_is_bounded() {
        let ids: Vec<String> = (0..1000).map(|number| format!("j-{number:08x}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let message = resolved(&jobs(&ids), "j-0").unwrap_err().message;
        assert!(message.ends_with("… 995 more") && message.len() < 1024, "{message}");
    }

    #[test]
    fn an_invalid_reference_is_refused_with_the_rule() {
        for bad in ["", "j-", "j-0A", "j-0a1b2c3d0", "0a1b2c3d", "Latest", "j-0a%", &"j-0".repeat(100)] {
            let refusal = bad.parse::<JobRef>().unwrap_err();
            assert_eq!(refusal.reason, Reason::Malformed, "{bad}");
            assert!(refusal.message.len() < 400, "{refusal}");
        }
        for good in ["latest", "j-0", "j-0a1b2c3d"] {
            assert_eq!(good.parse::<JobRef>().unwrap().to_string(), good);
        }
    }
}
