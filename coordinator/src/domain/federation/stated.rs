//! The statements of institutions about their data sets, and what they share of their policies.

use eosfed_common::clock::Timestamp;
use eosfed_common::data_statement::{DataStatement, PartSizes, SignedDataStatement};
use eosfed_common::identity::Identity;
use eosfed_common::ids::{AssignmentId, InstitutionName};
use eosfed_common::ledger::EventKind;
use eosfed_common::policy_summary::SignedPolicySummary;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::{KeySignature, Statement};

use super::Federation;
use super::members::about;
use crate::domain::change::Change;
use crate::domain::job::Job;
use crate::domain::member::Member;
use crate::domain::member::keys::not_enrolled;
use crate::domain::shared_policy::SharedPolicy;
use crate::domain::stated::Stated;

impl Federation {
    /// Takes what an institution says of its data set; gives when it was first recorded. A repeated statement
    /// changes nothing.
    ///
    /// # Errors
    /// [`Reason::Forbidden`] for the statement of another institution; [`Reason::NotSigned`]; as
    /// [`Stated::after`].
    pub fn state_data(
        &self,
        by: &InstitutionName,
        signed: SignedDataStatement,
        now: Timestamp,
    ) -> Result<(Timestamp, Change), Refusal> {
        own("a data statement", by, &signed.statement.institution)?;
        let member = self.signer(by, &signed.statement, &signed.signature)?;
        let before = member.stated();
        let after = Stated::after(before, signed, now)?;
        if Some(&after) == before {
            return Ok((after.at, Change::default()));
        }
        let kind = event(&after.signed.statement, before.map(|before| before.signed.statement.largest()));
        let identity = member.identity();
        let events = vec![about(identity.clone().into(), &identity, kind)];
        Ok((after.at, Change { members: vec![member.with_stated(after)], events, ..Change::default() }))
    }

    /// Takes what an institution shares of its policy; gives when it was first recorded. A repeated summary
    /// changes nothing.
    ///
    /// # Errors
    /// [`Reason::Forbidden`] for the policy of another institution; [`Reason::NotSigned`]; as
    /// [`SharedPolicy::after`].
    pub fn share_policy(
        &self,
        by: &InstitutionName,
        signed: SignedPolicySummary,
        now: Timestamp,
    ) -> Result<(Timestamp, Change), Refusal> {
        own("the summary of a policy", by, &signed.summary.institution)?;
        let member = self.signer(by, &signed.summary, &signed.signature)?;
        let before = member.shared_policy();
        let after = SharedPolicy::after(before, signed, now)?;
        if Some(&after) == before {
            return Ok((after.at, Change::default()));
        }
        let summary = eosfed_common::canonical::digest_of(&after.signed.summary);
        let kind = EventKind::PolicyShared { summary };
        let identity = member.identity();
        let event = about(identity.clone().into(), &identity, kind);
        let (at, members) = (after.at, vec![member.with_policy(after)]);
        Ok((at, Change { members, events: vec![event], ..Change::default() }))
    }

    /// The member that has signed a document.
    fn signer<S: Statement>(
        &self,
        by: &InstitutionName,
        document: &S,
        signature: &KeySignature,
    ) -> Result<&Member, Refusal> {
        self.check_signed(by, document, signature)?;
        let identity = Identity::institution(by.clone());
        self.members.get(&identity).ok_or_else(|| not_enrolled(&identity))
    }

    /// What an institution has said of the sizes of its data set, as it counts for the round of an assignment:
    /// before it was opened, or the first that was said. `None` if it has said nothing of some of its data sets.
    #[must_use]
    pub fn counted_samples(&self, id: &AssignmentId) -> Option<PartSizes> {
        let stated =
            self.members.get(&Identity::institution(id.institution.clone())).and_then(Member::stated)?;
        let round = self.jobs.get(&id.job).and_then(Job::current);
        stated.counting(round.map_or(Timestamp(0), |round| round.opened_at))
    }
}

/// Checks that a document of an institution is about the institution that hands it in.
fn own(what: &str, by: &InstitutionName, found: &InstitutionName) -> Result<(), Refusal> {
    if found == by {
        return Ok(());
    }
    let message = format!("{what} must be of its sender, `{by}`, found `{found}`");
    Err(Refusal::new(Reason::Forbidden, message))
}

fn event(statement: &DataStatement, before: Option<PartSizes>) -> EventKind {
    let PartSizes { training, validation, test } = statement.largest();
    EventKind::DataStated {
        dataset: statement.dataset.clone(),
        training,
        validation,
        test,
        statement: eosfed_common::canonical::digest_of(statement),
        training_before: before.map(|before| before.training),
        validation_before: before.map(|before| before.validation),
    }
}

#[cfg(test)]
mod tests {
    use eosfed_testkit::data_statements;
    use eosfed_testkit::signing;

    use super::*;
    use crate::testing::{NOW, name};

    fn federation() -> Federation {
        let members = ["west", "east"].map(|one| {
            let member = Member::enrolled(Identity::institution(name(one)), None, NOW);
            member.with_signing_key(signing::institution(one).public())
        });
        let mut federation = Federation::default();
        federation.merge(Change { members: members.into(), ..Change::default() });
        federation
    }

    #[test]
    fn a_statement_is_recorded_once_and_growth_is_an_event_with_both_numbers() {
        let mut federation = federation();
        let (_, change) =
            federation.state_data(&name("west"), data_statements::signed("west", 90), NOW).unwrap();
        federation.merge(change);
        let again = federation.state_data(&name("west"), data_statements::signed("west", 90), NOW).unwrap();
        assert!(again.1.is_empty());
        let (_, grown) =
            federation.state_data(&name("west"), data_statements::signed("west", 120), NOW).unwrap();
        let EventKind::DataStated { training, training_before, .. } = &grown.events[0].kind else {
            panic!("{grown:?}")
        };
        assert_eq!((*training, *training_before), (120, Some(90)));
    }

    #[test]
    fn a_statement_of_another_or_with_another_signature_is_refused() {
        let federation = federation();
        let of_east = data_statements::signed("east", 90);
        let refusal = federation.state_data(&name("west"), of_east.clone(), NOW).unwrap_err();
        assert_eq!(refusal.reason, Reason::Forbidden);
        let mut changed = of_east;
        changed.statement.samples.training = 91;
        let refusal = federation.state_data(&name("east"), changed, NOW).unwrap_err();
        assert!(
            refusal.reason == Reason::NotSigned && refusal.message.contains("data-statement"),
            "{refusal}"
        );
        let statement = data_statements::statement("east", 90);
        let by_west = SignedDataStatement::new(statement, &signing::institution("west"));
        assert_eq!(federation.state_data(&name("east"), by_west, NOW).unwrap_err().reason, Reason::NotSigned);
    }

    #[test]
    fn a_new_enrolment_needs_a_new_statement() {
        let mut federation = federation();
        let (_, change) =
            federation.state_data(&name("west"), data_statements::signed("west", 90), NOW).unwrap();
        federation.merge(change);
        let member = &federation.members[&Identity::institution(name("west"))];
        assert!(member.stated().is_some());
        let invited = member.invite(
            "s",
            std::time::Duration::from_secs(9),
            eosfed_common::ledger::Actor::Coordinator,
            NOW,
        );
        let key = crate::domain::member::keys::Key {
            fingerprint: eosfed_common::digest::Digest::of(b"k"),
            expires_at: NOW.plus(std::time::Duration::from_secs(99)),
            authority: None,
        };
        assert_eq!(invited.redeem("s", "request", key, NOW).unwrap().stated(), None);
    }
}
