//! The page of refusal reasons: what each means and what to do. The match is exhaustive, so that a
//! new reason does not compile until it is explained.

use std::fmt::Write as _;

use eosfed_common::refusal::Reason;

use crate::page::Page;

const INTRODUCTION: &str = "\
# Refusal reasons

When the coordinator or an institution says no, it gives a reason from this table and a sentence
with what was found. Programs decide by the reason, never by the sentence. `eosfed` and
`eosfed-client` print the reason in parentheses after the sentence, and `--output json` has it in the
field `reason`.

A reason that is *transient* needs nothing but time: clients repeat the call with growing pauses.
All others stay as they are until somebody does something.
";

/// The page.
///
/// # Errors
/// None in practice.
pub(crate) fn page() -> anyhow::Result<Page> {
    let mut text = INTRODUCTION.to_owned();
    for reason in Reason::ALL {
        let Explanation { meaning, advice } = explain(*reason);
        let transient = if reason.is_transient() { " (transient)" } else { "" };
        write!(text, "\n## `{reason}`{transient}\n\n")?;
        text.push_str(&crate::render::wrapped(meaning));
        text.push_str("\n\n");
        text.push_str(&crate::render::wrapped(&format!("What to do: {advice}")));
        text.push('\n');
    }
    Ok(Page { file: "reasons.md".to_owned(), text })
}

struct Explanation {
    meaning: &'static str,
    advice: &'static str,
}

const fn explained(meaning: &'static str, advice: &'static str) -> Explanation {
    Explanation { meaning, advice }
}

#[allow(clippy::too_many_lines, reason = "one entry for each reason")]
const fn explain(reason: Reason) -> Explanation {
    match reason {
        Reason::TokenInvalid => explained(
            "The join token was never issued by this coordinator, or it was issued for another institution.",
            "check that the token is complete and that `--name` is the invited institution; else ask the \
             operator for a new token (`eosfed institution invite NAME`).",
        ),
        Reason::TokenExpired => explained(
            "The join token is past its expiry time.",
            "ask the operator for a new token; `eosfed institution invite NAME --valid-for 7d` gives more time.",
        ),
        Reason::TokenUsed => explained(
            "Somebody has already enrolled with this join token. A token works once.",
            "if it was not you, tell the operator at once: somebody else may hold your identity. The \
             operator issues a new token with `eosfed institution invite NAME`.",
        ),
        Reason::Unauthenticated => explained(
            "The caller has no client certificate, or one that this coordinator did not issue, or one that does \
             not count: its holder is not enrolled, is enrolled with another key, its access was revoked, or \
             the certificate has expired.",
            "join with a token of this coordinator (`eosfed-client join`), or name the right identity folder \
             (`--identity`). To come back after an expiry, a lost key or a revocation, ask an operator for a \
             token (`eosfed institution re-enrol NAME`) and join with `--force`; the state folder is kept.",
        ),
        Reason::Forbidden => explained(
            "The certificate is valid, but its role does not allow the call: an institution cannot submit jobs, \
             and nobody can read the work of another institution.",
            "use the identity with the role that the command needs.",
        ),
        Reason::Incompatible => explained(
            "The two programs speak different major versions of the protocol, or the assignment needs \
             something that this client does not know.",
            "install the version that the sentence names, on the side that is older.",
        ),
        Reason::NotFound => explained(
            "There is no job, specialist, release, institution, blob or assignment of this name, or it is not \
             the caller's.",
            "list what there is (`eosfed job list`, `eosfed specialist list`, `eosfed release list`).",
        ),
        Reason::Ambiguous => explained(
            "The first characters of a job's id were given, and the ids of several jobs begin with them. The \
             sentence lists the newest of them.",
            "give more characters, or the whole id.",
        ),
        Reason::AlreadyExists => explained(
            "The name is taken, or a call with the same idempotency key has done something else.",
            "choose another name.",
        ),
        Reason::Malformed => explained(
            "A message breaks a rule of its format: a field is missing, a number is out of its range, or a \
             text is too long.",
            "correct what you typed. If a program sent it, update that program; if both have the same version, \
             report it as a defect.",
        ),
        Reason::PlanInvalid => explained(
            "The plan breaks its rules. The sentence lists every broken rule with its key and the value found.",
            "correct the plan; `eosfed job check PLAN` checks it without a coordinator.",
        ),
        Reason::WrongState => explained(
            "The job, round or assignment is not in a state in which this can be done, such as resuming a job \
             that is not paused.",
            "look at the state with `eosfed job show JOB`.",
        ),
        Reason::RoundClosed => explained(
            "The round has closed, so the result is no longer wanted.",
            "nothing: the client takes the next assignment. If it happens often, raise \
             `participation.deadline` or `participation.max`.",
        ),
        Reason::JobEnded => explained(
            "The job has finished or was cancelled.",
            "nothing: the client drops the work. The operator can start a new job from one of its rounds with \
             `eosfed job fork`.",
        ),
        Reason::JobPaused => explained(
            "The job is paused. Work that is finished can still be handed in; new work is not offered.",
            "the operator resumes it with `eosfed job resume JOB`.",
        ),
        Reason::LeaseExpired => explained(
            "The coordinator has heard nothing from the client for the length of a lease, 120 seconds, and has \
             offered the work again.",
            "nothing: the client accepts the assignment again. If it happens often, check the network and the \
             load of the site's machine.",
        ),
        Reason::LeaseMismatch => explained(
            "Another process of the same institution holds the lease.",
            "run one daemon for one identity; give a second daemon an identity of its own.",
        ),
        Reason::Policy => explained(
            "The institution's own site policy forbids the work or what would leave. The coordinator cannot \
             override it.",
            "the institution decides: `eosfed-client policy explain --policy FILE --plan PLAN` lists every \
             objection.",
        ),
        Reason::DataUnfit => explained(
            "The institution's data set cannot serve the job: a band or a class is missing, the task is \
             another one, or files do not read.",
            "`eosfed-client data inspect DIR` says what the data set has; correct `dataset.toml` or the plan.",
        ),
        Reason::WeightsMalformed => explained(
            "The uploaded file is not a well-formed safetensors file. It is not kept.",
            "update the trainer; a damaged disk or memory is also possible.",
        ),
        Reason::TensorSet => explained(
            "A tensor of the model is missing from the file, or the file has one that the model does not have.",
            "use the trainer of the same version as the coordinator.",
        ),
        Reason::ShapeMismatch => explained(
            "A tensor has another shape than the model's.",
            "check that the data set has the bands and classes of the plan.",
        ),
        Reason::DtypeMismatch => explained(
            "A tensor is not stored as 32-bit floats.",
            "use the trainer of the same version as the coordinator.",
        ),
        Reason::NotFinite => explained(
            "A number that was sent is NaN or infinite, or would make a derived number so.",
            "training has diverged: lower `training.learning_rate`, or set `training.clip_norm`.",
        ),
        Reason::Replayed => explained(
            "Another institution has submitted exactly the same bytes in this round.",
            "check that two institutions do not train on the same data with the same seed, and that no update \
             was copied.",
        ),
        Reason::NotSigned => explained(
            "A signature is missing or false, or is by another key than the one that counts: that of an institution \
             under a result, or that of the coordinator under an assignment or a release.",
            "of a result, restart the client, which enrols its key; if that does not help, let the institution enrol \
             again. Of an assignment, ask the coordinator's operator whether its signing key was replaced.",
        ),
        Reason::NormOutlier => explained(
            "The step of the update is longer than `admission.norm_factor` times the median step of its round.",
            "look at the institution's curve in `eosfed job show JOB`; its data may have other units, or it may \
             be dishonest.",
        ),
        Reason::QualityFloor => explained(
            "The specialist scores below `admission.floor` of the plan, at its own institution or at more than \
             half of the others.",
            "train longer or on better labels; `eosfed specialist show NAME` has the scores.",
        ),
        Reason::TooLarge => explained(
            "A message, a blob or a count is larger than its limit, or a lease has used up its heartbeats, its \
             bytes of curve points or its uploads. The sentence has both numbers.",
            "send less, or divide it. An honest client stays far below the limits of a lease; if one does not, \
             report it.",
        ),
        Reason::DigestMismatch => explained(
            "The bytes that arrived do not have the digest that was announced.",
            "nothing: the client uploads again. If it repeats, check the disk and the network.",
        ),
        Reason::OffsetMismatch => explained(
            "An upload was continued at another byte than the one where the coordinator stands.",
            "nothing: the client asks where to continue.",
        ),
        Reason::BlobMissing => explained(
            "A message names a blob that has not been uploaded, or that was removed after its retention time.",
            "upload it first; for forks of old rounds, raise `keep_updates_for` or `keep_updates_mb` in `coordinator.toml`.",
        ),
        Reason::StorageFull => explained(
            "The coordinator's disk is full, or has less room than its reserve. Nothing was changed.",
            "the operator frees space (`eosfed storage prune`); clients wait and repeat the call.",
        ),
        Reason::Unavailable => explained(
            "The coordinator is starting, stopping, overloaded or cannot be reached.",
            "nothing: clients wait and repeat the call. If it lasts, look at the coordinator's log.",
        ),
        Reason::Internal => explained(
            "A defect of the coordinator. The sentence holds a number that stands in its log with the cause.",
            "the operator looks the number up in the log and reports it.",
        ),
    }
}
