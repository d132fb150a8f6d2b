//! What jobs offer, what a person has approved of it, and the rounds that were accepted under an approval.
//! Files: `offers/JOB.json` by the daemon, `approved/DIGEST.json` by the command, `accepted/DIGEST.json` by the
//! daemon. An approval of an earlier version, `approved/JOB`, said nothing of the terms and counts no more.

use std::collections::BTreeSet;
use std::path::Path;

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ids::JobId;

use super::{Site, SiteError};
use crate::policy::{GivenApproval, Terms};

impl Site {
    /// Records the newest terms of a job that wait for an approval.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record_offer(&self, terms: &Terms) -> Result<(), SiteError> {
        if self.offer(&terms.job).ok().flatten().as_ref() == Some(terms) {
            return Ok(());
        }
        self.make("offers")?;
        self.write_json(&offer(&terms.job), terms)
    }

    /// The newest terms of a job that were waiting for an approval.
    ///
    /// # Errors
    /// If the file holds something else.
    pub fn offer(&self, job: &JobId) -> Result<Option<Terms>, SiteError> {
        self.read_json(&offer(job))
    }

    /// The newest terms of every job that was waiting for an approval.
    ///
    /// # Errors
    /// If the folder cannot be read, or a file holds something else.
    pub fn offers(&self) -> Result<Vec<Terms>, SiteError> {
        let jobs = self.offered_jobs()?;
        Ok(jobs
            .iter()
            .map(|job| self.offer(job))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// Removes the terms of jobs that are no longer offered.
    ///
    /// # Errors
    /// If the folder cannot be read or a file cannot be removed.
    pub fn keep_offers(&self, offered: impl Fn(&JobId) -> bool) -> Result<(), SiteError> {
        for job in self.offered_jobs()?.iter().filter(|job| !offered(job)) {
            let path = self.path().join(offer(job));
            std::fs::remove_file(&path).map_err(|source| SiteError::Io { path, source })?;
        }
        Ok(())
    }

    fn offered_jobs(&self) -> Result<Vec<JobId>, SiteError> {
        jobs_in(&self.path().join("offers"), ".json")
    }

    /// The jobs of which releases are kept.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn kept_releases(&self) -> Result<Vec<JobId>, SiteError> {
        jobs_in(&self.releases(), "")
    }

    /// The end of an approval of these terms, if it has not ended yet. Its rounds may be used up.
    ///
    /// # Errors
    /// If the file holds something else.
    pub fn approval_until(&self, terms: &Digest, now: Timestamp) -> Result<Option<Timestamp>, SiteError> {
        let approval = self.read_json::<GivenApproval>(&approved(terms))?;
        Ok(approval.map(|approval| approval.until).filter(|until| *until > now))
    }

    /// Records an approval. It replaces one of the same terms, and the rounds are counted anew.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn approve(&self, approval: &GivenApproval) -> Result<(), SiteError> {
        self.make("approved")?;
        self.make("accepted")?;
        self.write_json(&accepted(&approval.terms), &BTreeSet::<u32>::new())?;
        self.write_json(&approved(&approval.terms), approval)
    }

    /// The approval that a person has given to a round of work on these terms, if there is one.
    ///
    /// # Errors
    /// If a file holds something else.
    pub fn approval(
        &self,
        terms: &Digest,
        round: u32,
        now: Timestamp,
    ) -> Result<Option<GivenApproval>, SiteError> {
        let Some(approval) = self.read_json::<GivenApproval>(&approved(terms))? else { return Ok(None) };
        let covers = approval.covers(terms, round, &self.accepted_rounds(terms)?, now);
        Ok(covers.then_some(approval))
    }

    /// Records that a round of work on these terms is accepted.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record_accepted(&self, terms: &Digest, round: u32) -> Result<(), SiteError> {
        let mut rounds = self.accepted_rounds(terms)?;
        if !rounds.insert(round) {
            return Ok(());
        }
        self.make("accepted")?;
        self.write_json(&accepted(terms), &rounds)
    }

    fn accepted_rounds(&self, terms: &Digest) -> Result<BTreeSet<u32>, SiteError> {
        Ok(self.read_json(&accepted(terms))?.unwrap_or_default())
    }

    fn make(&self, folder: &str) -> Result<(), SiteError> {
        let path = self.path().join(folder);
        std::fs::create_dir_all(&path).map_err(|source| SiteError::Io { path, source })
    }
}

/// The jobs that entries of a folder are called by, in order.
fn jobs_in(path: &Path, ending: &str) -> Result<Vec<JobId>, SiteError> {
    let failed = |source| SiteError::Io { path: path.to_owned(), source };
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let names: Vec<_> =
        entries.map(|entry| Ok(entry?.file_name())).collect::<Result<_, _>>().map_err(failed)?;
    let job = |name: &std::ffi::OsString| name.to_str()?.strip_suffix(ending)?.parse().ok();
    let mut jobs: Vec<JobId> = names.iter().filter_map(job).collect();
    jobs.sort();
    Ok(jobs)
}

fn offer(job: &JobId) -> String {
    in_folder("offers", job.as_str())
}

fn approved(terms: &Digest) -> String {
    in_folder("approved", &terms.to_string())
}

fn accepted(terms: &Digest) -> String {
    in_folder("accepted", &terms.to_string())
}

fn in_folder(folder: &str, name: &str) -> String {
    Path::new(folder).join(format!("{name}.json")).display().to_string()
}

#[cfg(test)]
mod tests {
    use eosfed_common::plan::JobKind;

    use super::*;
    use crate::testing::training;

    #[test]
    fn rounds_are_counted_across_restarts_and_the_terms_must_be_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::at(folder.path());
        let terms = Terms::of(&training(JobKind::Rounds));
        let digest = terms.digest();
        let approved =
            |round| Site::at(folder.path()).approval(&digest, round, Timestamp(5)).unwrap().is_some();
        assert!(!approved(0) && site.offer(&terms.job).unwrap().is_none());
        site.record_offer(&terms).unwrap();
        assert_eq!(site.offer(&terms.job).unwrap(), Some(terms.clone()));
        site.keep_offers(|job| *job == terms.job).unwrap();
        assert_eq!(site.offers().unwrap(), std::slice::from_ref(&terms));
        site.keep_offers(|_| false).unwrap();
        assert_eq!(site.offers().unwrap(), []);
        site.record_offer(&terms).unwrap();
        let until = Timestamp(9);
        let given = GivenApproval { terms: digest, rounds: 1, until, by: "ada".to_owned(), at: Timestamp(1) };
        site.approve(&given).unwrap();
        assert!(approved(0) && approved(1000));
        site.record_accepted(&digest, 0).unwrap();
        assert!(approved(0) && !approved(1000));
        let other = Terms { min_institutions: 7, ..terms }.digest();
        assert_eq!(site.approval(&other, 0, Timestamp(5)).unwrap(), None);
        site.approve(&given).unwrap();
        assert!(approved(1000), "a new approval counts anew");
    }

    #[test]
    fn an_approval_of_an_earlier_version_counts_no_more() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("approved")).unwrap();
        std::fs::write(folder.path().join("approved/j-0a1b2c3d"), "").unwrap();
        let digest = Terms::of(&training(JobKind::Rounds)).digest();
        assert_eq!(Site::at(folder.path()).approval(&digest, 0, Timestamp(0)).unwrap(), None);
    }
}
