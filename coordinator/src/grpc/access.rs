//! Who is calling, and may they: decided for every call in one layer, before its body is read. Default
//! deny: a method without a row in [`roles`](super::roles), a caller without a certificate, a key that is
//! not the one that its holder is enrolled with.

use std::pin::Pin;
use std::task::{Context, Poll};

use eosfed_common::identity::Identity;
use eosfed_common::ids::{AssignmentId, InstitutionName};
use eosfed_common::ledger::Actor;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_transport::status::to_status;
use tonic::Request;
use tonic::body::Body;
use tower::{Layer, Service};

use super::in_flight::InFlight;
use super::roles::{Callers, callers};
use crate::domain::member::keys::{Key, KeyStatus};
use crate::engine::{Core, Handle};
use crate::sessions::key;
use crate::tls::Peer;

/// A member, of whom it is checked that it may make this call.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Its role and name.
    pub(super) identity: Identity,
    /// The key of its certificate.
    pub(super) key: Key,
}

/// The member that calls. Every method but those for anybody has one.
pub(super) fn caller<T>(request: &Request<T>) -> Result<&Caller, Refusal> {
    request.extensions().get::<Caller>().ok_or_else(without_certificate)
}

/// The name of the member that calls.
pub(super) fn name<T>(request: &Request<T>) -> Result<InstitutionName, Refusal> {
    caller(request).map(|caller| caller.identity.name.clone())
}

/// The caller as the ledger names it; nobody without a certificate.
pub(super) fn actor<T>(request: &Request<T>) -> Option<Actor> {
    caller(request).ok().map(|caller| caller.identity.clone().into())
}

/// That an assignment is the caller's own.
pub(super) fn own(id: &AssignmentId, caller: &InstitutionName) -> Result<(), Refusal> {
    if id.institution == *caller {
        return Ok(());
    }
    let message = format!("assignment `{id}` is not one of institution `{caller}`");
    Err(Refusal::new(Reason::Forbidden, message))
}

fn without_certificate() -> Refusal {
    let message = "this call needs a certificate of this coordinator's authority; join first";
    Refusal::new(Reason::Unauthenticated, message)
}

/// Decides whether a call may be made; gives who makes it, if it shows a certificate and has to.
async fn admit(engine: &Handle, path: &str, peer: Option<&Peer>) -> Result<Option<Caller>, Refusal> {
    let roles = match callers(path) {
        Some(Callers::Anybody) => return Ok(None),
        Some(Callers::Roles(roles)) => roles,
        None => {
            let message = "the coordinator does not know this call; install the same version on both sides";
            return Err(Refusal::new(Reason::Incompatible, message));
        }
    };
    let certificate = peer.and_then(|peer| peer.certificate.as_deref()).ok_or_else(without_certificate)?;
    let caller = Caller { identity: certificate.identity.clone(), key: key(certificate) };
    let Caller { identity, key } = caller.clone();
    match engine.key_status(&identity, &key)? {
        KeyStatus::Current | KeyStatus::Replaced => {}
        KeyStatus::First | KeyStatus::Renewed => {
            engine.call(async move |core: &Core| core.use_key(&identity, key).await).await?;
        }
    }
    if roles.contains(&caller.identity.role) {
        return Ok(Some(caller));
    }
    let refusal = forbidden(&caller.identity, roles);
    record(engine, &caller.identity, path, refusal.clone()).await;
    Err(refusal)
}

fn forbidden(caller: &Identity, roles: &[eosfed_common::identity::Role]) -> Refusal {
    let Identity { role, name } = caller;
    let who: Vec<String> = roles.iter().map(|role| format!("{role}s")).collect();
    let message = format!("this call is for {}; `{name}` is an {role}", who.join(" and "));
    Refusal::new(Reason::Forbidden, message)
}

/// Puts on record that somebody has tried what only others may do.
async fn record(engine: &Handle, caller: &Identity, path: &str, refusal: Refusal) {
    let actor = caller.clone().into();
    let action = path.rsplit('/').next().unwrap_or_default().to_owned();
    let record = async move |core: &Core| {
        core.record_refusal(actor, &action, None, &refusal).await;
        Ok(())
    };
    // Whoever was refused is told why, whether that can be recorded or not.
    let _ = engine.call(record).await;
}

/// Puts [`Gate`] before services.
#[derive(Debug, Clone)]
pub(super) struct GateLayer {
    engine: Handle,
    calls: InFlight,
}

impl GateLayer {
    /// Asks the engine about callers; no call is under way.
    pub(super) fn new(engine: Handle) -> Self {
        Self { engine, calls: InFlight::default() }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, engine: self.engine.clone(), calls: self.calls.clone() }
    }
}

/// A service that is called only by those who may, each with its [`Caller`].
#[derive(Debug, Clone)]
pub(super) struct Gate<S> {
    inner: S,
    engine: Handle,
    calls: InFlight,
}

impl<S> Service<http::Request<Body>> for Gate<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The readied service takes the call; its clone waits for the next.
        let waiting = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, waiting);
        let engine = self.engine.clone();
        let calls = self.calls.clone();
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>().cloned();
            let admitted = match admit(&engine, request.uri().path(), peer.as_ref()).await {
                Ok(Some(caller)) => calls.enter(&caller.identity).map(|call| Some((caller, call))),
                Ok(None) => Ok(None),
                Err(refusal) => Err(refusal),
            };
            match admitted {
                Ok(Some((caller, call))) => {
                    request.extensions_mut().insert(caller);
                    Ok(ready.call(request).await?.map(|body| call.until_answered(body)))
                }
                Ok(None) => ready.call(request).await,
                Err(refusal) => Ok(to_status(&refusal).into_http()),
            }
        })
    }
}
