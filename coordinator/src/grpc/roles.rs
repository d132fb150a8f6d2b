//! Which role may call which method: the one table. A method without a row is open to nobody, and a test
//! walks the protocol and fails for it.

use eosfed_common::identity::Role;

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// Everybody, also without a certificate.
    Anybody,
    /// Members of these roles.
    Roles(&'static [Role]),
}

use Callers::{Anybody, Roles};
use Role::{Institution, Operator, Reader};

const MEMBERS: Callers = Roles(&[Institution, Operator, Reader]);
const INSTITUTIONS: Callers = Roles(&[Institution]);
const OPERATORS: Callers = Roles(&[Operator]);
const PEOPLE: Callers = Roles(&[Operator, Reader]);

/// Each method of the protocol by its service and name. What of a record a caller may see is written where
/// the record is read: an institution's own assignments in `Participant`, blobs in `may_download`.
pub const TABLE: &[(&str, Callers)] = &[
    ("eosfed.v1.Enrollment/Enroll", Anybody),
    ("eosfed.v1.Enrollment/Renew", MEMBERS),
    ("eosfed.v1.Participant/Hello", INSTITUTIONS),
    ("eosfed.v1.Participant/Poll", INSTITUTIONS),
    ("eosfed.v1.Participant/Accept", INSTITUTIONS),
    ("eosfed.v1.Participant/Refuse", INSTITUTIONS),
    ("eosfed.v1.Participant/Heartbeat", INSTITUTIONS),
    ("eosfed.v1.Participant/SubmitUpdate", INSTITUTIONS),
    ("eosfed.v1.Participant/SubmitStatistics", INSTITUTIONS),
    ("eosfed.v1.Participant/SubmitEvaluation", INSTITUTIONS),
    ("eosfed.v1.Participant/ReportFailure", INSTITUTIONS),
    ("eosfed.v1.Participant/StateData", INSTITUTIONS),
    ("eosfed.v1.Participant/SharePolicy", INSTITUTIONS),
    ("eosfed.v1.Blobs/Stat", MEMBERS),
    ("eosfed.v1.Blobs/Download", MEMBERS),
    ("eosfed.v1.Blobs/Upload", INSTITUTIONS),
    ("eosfed.v1.Operator/Hello", PEOPLE),
    ("eosfed.v1.Operator/InviteInstitution", OPERATORS),
    ("eosfed.v1.Operator/InvitePerson", OPERATORS),
    ("eosfed.v1.Operator/ReEnrol", OPERATORS),
    ("eosfed.v1.Operator/Revoke", OPERATORS),
    ("eosfed.v1.Operator/ListInstitutions", OPERATORS),
    ("eosfed.v1.Operator/GetInstitution", OPERATORS),
    ("eosfed.v1.Operator/ListPeople", OPERATORS),
    ("eosfed.v1.Operator/SubmitJob", OPERATORS),
    ("eosfed.v1.Operator/ListJobs", PEOPLE),
    ("eosfed.v1.Operator/GetJob", PEOPLE),
    ("eosfed.v1.Operator/ListRounds", OPERATORS),
    ("eosfed.v1.Operator/GetRound", OPERATORS),
    ("eosfed.v1.Operator/WatchJob", OPERATORS),
    ("eosfed.v1.Operator/ControlJob", OPERATORS),
    ("eosfed.v1.Operator/ForkJob", OPERATORS),
    ("eosfed.v1.Operator/Backup", OPERATORS),
    ("eosfed.v1.Operator/ListEvents", OPERATORS),
    ("eosfed.v1.Operator/GetOverview", OPERATORS),
    ("eosfed.v1.Operator/GetEnergy", OPERATORS),
    ("eosfed.v1.Operator/GetStorage", OPERATORS),
    ("eosfed.v1.Operator/PruneStorage", OPERATORS),
    ("eosfed.v1.Operator/OpenDashboard", PEOPLE),
    ("eosfed.v1.Operator/ListSpecialists", PEOPLE),
    ("eosfed.v1.Operator/GetSpecialist", PEOPLE),
    ("eosfed.v1.Operator/CreateRelease", OPERATORS),
    ("eosfed.v1.Operator/ListReleases", PEOPLE),
    ("eosfed.v1.Operator/GetRelease", PEOPLE),
    ("eosfed.v1.Operator/RecordAblation", OPERATORS),
];

/// Who may call the method at a path of a request, such as `/eosfed.v1.Blobs/Stat`.
#[must_use]
pub fn callers(path: &str) -> Option<Callers> {
    let method = path.strip_prefix('/')?;
    TABLE.iter().find(|(name, _)| *name == method).map(|(_, callers)| *callers)
}
