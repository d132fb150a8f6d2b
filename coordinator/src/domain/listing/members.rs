//! Lists of members: institutions, operators and readers.

use eosfed_common::identity::Role;
use eosfed_common::ids::InstitutionName;
use eosfed_common::refusal::Refusal;
use eosfed_common::view::{InstitutionView, MemberState, PersonView};
use serde::{Deserialize, Serialize};

use crate::domain::federation::Federation;
use crate::domain::member::Member;
use crate::domain::paging::{Key, Page, PageRequest, document};

/// Which members are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberFilter {
    /// With this text in their names; empty: all.
    pub name: String,
    /// In one of these states; empty: in any.
    pub states: Vec<MemberState>,
}

impl MemberFilter {
    fn matches(&self, member: &Member) -> bool {
        member.is_listed()
            && member.name.as_str().contains(&self.name)
            && (self.states.is_empty() || self.states.contains(&member.state()))
    }
}

/// Institutions are listed by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstitutionKey(InstitutionName);

impl Key for InstitutionKey {
    const LIST: &'static str = "institutions";
}

/// Operators and readers are listed by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonKey(InstitutionName);

impl Key for PersonKey {
    const LIST: &'static str = "people";
}

impl Federation {
    /// A page of institutions by name; `show` gives the view of one.
    ///
    /// # Errors
    /// If an entry does not fit a message.
    pub fn list_institutions(
        &self,
        filter: &MemberFilter,
        page: &PageRequest<InstitutionKey>,
        show: impl Fn(&Member) -> InstitutionView,
    ) -> Result<Page, Refusal> {
        let institutions = self.institutions().filter(|one| filter.matches(one));
        let institutions = institutions.map(|one| (InstitutionKey(one.name.clone()), one));
        page.cut(institutions, |institution| document(&show(institution)))
    }

    /// A page of operators or readers by name; `show` gives the view of one.
    ///
    /// # Errors
    /// If an entry does not fit a message.
    pub fn list_people(
        &self,
        role: Role,
        filter: &MemberFilter,
        page: &PageRequest<PersonKey>,
        show: impl Fn(&Member) -> PersonView,
    ) -> Result<Page, Refusal> {
        let people = self.members_of(role).filter(|one| filter.matches(one));
        let people = people.map(|one| (PersonKey(one.name.clone()), one));
        page.cut(people, |person| document(&show(person)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use eosfed_common::identity::Identity;
    use eosfed_common::ledger::Actor;
    use eosfed_common::traffic::ByteCounts;

    use super::*;
    use crate::domain::listing::JobKey;
    use crate::domain::member::Revocation;
    use crate::domain::view;
    use crate::testing::{NOW, enrolled, name};

    fn enrolled_federation() -> Federation {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        federation
    }

    #[test]
    fn institutions_are_listed_by_name() {
        let federation = enrolled_federation();
        let page = PageRequest::read(1, "").unwrap();
        let any = MemberFilter::default();
        let show = |one: &Member| view::institution(one, None, None, ByteCounts::default());
        let first = federation.list_institutions(&any, &page, show).unwrap();
        assert!(first.documents[0].contains("\"east\"") && first.remaining == 1, "{first:?}");
        let next = PageRequest::read(1, &first.next).unwrap();
        let second = federation.list_institutions(&any, &next, show).unwrap();
        assert!(second.documents[0].contains("\"west\"") && second.next.is_empty(), "{second:?}");
        let wrong = PageRequest::<JobKey>::read(1, &first.next).unwrap_err();
        assert!(wrong.message.contains("list of jobs"), "{wrong}");
    }

    #[test]
    fn members_are_filtered_by_name_and_state() {
        let mut federation = enrolled_federation();
        let unknown = Member::unknown(Identity::institution(name("north-west")));
        let invited = unknown.invite("secret", Duration::from_secs(60), Actor::Coordinator, NOW);
        let east = federation.member(&Identity::institution(name("east"))).unwrap().clone();
        let by = name("admin");
        let revocation = Revocation { at: NOW, by, reason: String::new(), removed: false };
        let revoked = Member { revoked: Some(revocation), ..east };
        // Who is let back in, and has not joined again, has no access yet.
        let back = Member { name: name("south"), ..revoked.clone() };
        let back = back.invite("secret", Duration::from_secs(60), Actor::Coordinator, NOW);
        for member in [invited, revoked, back] {
            federation.members.insert(member.identity(), member);
        }
        let found = |text: &str, states: &[MemberState]| {
            let filter = MemberFilter { name: text.to_owned(), states: states.to_vec() };
            let page = PageRequest::read(0, "").unwrap();
            let show = |one: &Member| view::institution(one, None, None, ByteCounts::default());
            let listed = federation.list_institutions(&filter, &page, show).unwrap().documents;
            let name =
                |json: &String| serde_json::from_str::<InstitutionView>(json).unwrap().name.to_string();
            listed.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(found("", &[]), ["east", "north-west", "south", "west"]);
        assert_eq!(found("west", &[]), ["north-west", "west"]);
        assert_eq!(found("nobody", &[]), [""; 0]);
        assert_eq!(found("", &[MemberState::Joined]), ["west"]);
        assert_eq!(found("", &[MemberState::Invited]), ["north-west"]);
        assert_eq!(found("", &[MemberState::Revoked]), ["east", "south"]);
        assert_eq!(found("west", &[MemberState::Joined, MemberState::Invited]), ["north-west", "west"]);
    }
}
