//! The gRPC services. Each method identifies and authorizes the caller, parses the message, makes one call on
//! the engine and sends the answer. No decision is made here.

mod access;
mod batches;
mod blobs;
mod calls;
mod chunks;
mod enrollment;
mod events;
mod in_flight;
mod operator;
mod participant;
mod pieces;
mod revocation;
pub mod roles;
mod timeout;
mod traffic;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use eosfed_common::refusal::Refusal;
use eosfed_common::signing::CoordinatorKeys;
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_server::BlobsServer;
use eosfed_proto::v1::enrollment_server::EnrollmentServer;
use eosfed_proto::v1::operator_server::OperatorServer;
use eosfed_proto::v1::participant_server::ParticipantServer;
use eosfed_transport::otlp::Exporter;
use eosfed_transport::protocol::{self, PROTOCOL, VERSION};
use eosfed_transport::status::to_status;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Response, Status};
use tower::util::MapResponseLayer;

use crate::disk::DiskGuard;
use crate::engine::Handle;
use crate::metrics::Metrics;
use crate::overview::Overviews;
use crate::sessions::Sessions;
use crate::tls::{Authority, LiveConnections, ServerTls};
use crate::traffic::Traffic;
use calls::CallsLayer;
use timeout::TimeoutLayer;
use traffic::TrafficLayer;

/// Longest message of institutions, in bytes.
const MAX_PARTICIPANT: usize = 64 * 1024;
/// Longest message of operators, in bytes. Plans are the longest.
const MAX_OPERATOR: usize = 256 * 1024;
/// Longest message of uploads, in bytes. Clients of this version send far shorter ones.
const MAX_CHUNK: usize = eosfed_transport::compression::MAX_CONTENT;
/// Longest message of callers without a certificate, in bytes: a token and a signing request.
const MAX_ENROLLMENT: usize = 16 * 1024;
/// Most concurrent calls on one connection.
const MAX_CALLS: usize = 64;
/// Most bytes of an upload that wait in memory, because the disk or a processor is not done with those before. A line
/// carries this much in each round trip: 20 Mbit/s at 100 ms.
const WINDOW: u32 = 256 << 10;
/// Most bytes of the headers of a call.
const MAX_HEADERS: u32 = 16 * 1024;
/// Age at which a connection is closed, and the time that its calls then still have. A client opens
/// another connection, and a watch continues with the events that it has missed.
const CONNECTION_AGE: Duration = Duration::from_secs(3600);
const CONNECTION_GRACE: Duration = Duration::from_secs(1800);
/// The state that all services share.
#[derive(Clone)]
pub struct Context {
    /// The engine.
    pub engine: Handle,
    /// Signs certificates.
    pub authority: Arc<Authority>,
    /// The coordinator's signing keys.
    pub signing: Arc<CoordinatorKeys>,
    /// The address that institutions connect to.
    pub public_url: Arc<str>,
    /// The traffic of each institution.
    pub traffic: Traffic,
    /// The connections that are open.
    pub live: LiveConnections,
    /// Watches over the room for uploads.
    pub disk: DiskGuard,
    /// The state of the whole federation.
    pub overviews: Overviews,
    /// The sessions of the dashboard.
    pub sessions: Sessions,
    /// The address of the dashboard, if there is one.
    pub dashboard_url: Option<Arc<str>>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Exports the spans of calls.
    pub exporter: Exporter,
    /// Cancelled when the coordinator is told to stop: polls are answered at once.
    pub stopping: CancellationToken,
}

/// Serves until `stop` resolves, then finishes the running calls.
///
/// # Errors
/// If the transport fails.
pub async fn serve(
    context: Context,
    tls: &ServerTls,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let participant = ParticipantServer::new(participant::Service(context.clone()));
    let operator = OperatorServer::new(operator::Service(context.clone()));
    let enrollment = EnrollmentServer::new(enrollment::Service(context.clone()));
    let blobs = BlobsServer::new(blobs::Service::new(context.clone()));
    let Context { engine, live, traffic, metrics, exporter, .. } = context;
    let served = Server::builder()
        .layer(CallsLayer { metrics, exporter, engine: engine.clone() })
        .layer(TimeoutLayer)
        .layer(access::GateLayer::new(engine.clone()))
        .layer(TrafficLayer(traffic))
        .layer(MapResponseLayer::new(chunks::sent_as_they_are))
        .concurrency_limit_per_connection(MAX_CALLS)
        .max_concurrent_streams(MAX_CALLS as u32)
        .initial_stream_window_size(WINDOW)
        .http2_max_header_list_size(MAX_HEADERS)
        .max_connection_age(CONNECTION_AGE)
        .max_connection_age_grace(CONNECTION_GRACE)
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .add_service(enrollment.max_decoding_message_size(MAX_ENROLLMENT))
        .add_service(participant.max_decoding_message_size(MAX_PARTICIPANT))
        .add_service(operator.max_decoding_message_size(MAX_OPERATOR))
        .add_service(blobs.max_decoding_message_size(MAX_CHUNK))
        .serve_with_incoming_shutdown(tls.incoming(listener, live.clone()), stop);
    tokio::select! {
        served = served => served,
        () = revocation::close_refused(&engine, &live) => Ok(()),
    }
}

/// An answer, or a refusal as a gRPC status.
fn reply<T>(answer: Result<T, Refusal>) -> Result<Response<T>, Status> {
    answer.map(Response::new).map_err(|refusal| to_status(&refusal))
}

/// The protocol number of this version, if the caller speaks it too. `caller` is the name of the calling
/// program.
fn agree(caller: &str, protocol: i32, version: &str) -> Result<v1::ProtocolVersion, Refusal> {
    let agreed = protocol::agree("coordinator", caller, protocol, version);
    match &agreed {
        Err(refusal) => tracing::warn!(%refusal, "a caller speaks another protocol and is refused"),
        Ok(()) if version != VERSION => {
            let version = protocol::shown(version);
            tracing::info!(caller, version, own = VERSION, "the caller has another version");
        }
        Ok(()) => {}
    }
    agreed.map(|()| PROTOCOL)
}
