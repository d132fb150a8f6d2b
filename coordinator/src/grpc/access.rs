//! Who is calling, and the three kinds of caller that services ask for. Default deny: a call without
//! one of these is open to nobody.

use eosfed_common::ids::{AssignmentId, InstitutionName};
use eosfed_common::ledger::Actor;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_transport::identity::{Identity, Role};
use tonic::Request;

use crate::engine::Handle;
use crate::tls::Peer;

/// The verified identity of the connection.
pub(super) fn identity<T>(request: &Request<T>) -> Result<Identity, Refusal> {
    let peer = request.extensions().get::<Peer>();
    peer.and_then(|peer| peer.identity.clone()).ok_or_else(|| {
        let message = "this call needs a certificate of this coordinator's authority; join first";
        Refusal::new(Reason::Unauthenticated, message)
    })
}

/// The caller as the ledger names it; nobody without a certificate.
pub(super) fn actor<T>(request: &Request<T>) -> Option<Actor> {
    let Identity { role, name } = identity(request).ok()?;
    Some(match role {
        Role::Operator => Actor::Operator(name),
        Role::Reader => Actor::Reader(name),
        Role::Institution => Actor::Institution(name),
    })
}

/// An enrolled institution.
pub(super) fn institution<T>(request: &Request<T>, engine: &Handle) -> Result<InstitutionName, Refusal> {
    let caller = identity(request)?;
    match caller.role {
        Role::Institution => engine.must_be_enrolled(&caller.name).map(|()| caller.name),
        Role::Operator | Role::Reader => Err(forbidden(&caller, "institutions")),
    }
}

/// An operator.
pub(super) fn operator<T>(request: &Request<T>) -> Result<InstitutionName, Refusal> {
    let caller = identity(request)?;
    match caller.role {
        Role::Operator => Ok(caller.name),
        Role::Institution | Role::Reader => Err(forbidden(&caller, "operators")),
    }
}

/// Somebody who may read what operators see: an operator or a reader.
pub(super) fn reader<T>(request: &Request<T>) -> Result<Identity, Refusal> {
    let caller = identity(request)?;
    match caller.role {
        Role::Operator | Role::Reader => Ok(caller),
        Role::Institution => Err(forbidden(&caller, "operators and readers")),
    }
}

/// Anybody who may know the public registry: all enrolled institutions, operators and readers.
pub(super) fn anybody<T>(request: &Request<T>, engine: &Handle) -> Result<Identity, Refusal> {
    let caller = identity(request)?;
    match caller.role {
        Role::Institution => engine.must_be_enrolled(&caller.name)?,
        Role::Operator | Role::Reader => {}
    }
    Ok(caller)
}

/// That an assignment is the caller's own.
pub(super) fn own(id: &AssignmentId, caller: &InstitutionName) -> Result<(), Refusal> {
    if id.institution == *caller {
        return Ok(());
    }
    let message = format!("assignment `{id}` is not one of institution `{caller}`");
    Err(Refusal::new(Reason::Forbidden, message))
}

fn forbidden(caller: &Identity, who: &str) -> Refusal {
    let Identity { role, name } = caller;
    Refusal::new(Reason::Forbidden, format!("this call is for {who}; `{name}` is an {role}"))
}
