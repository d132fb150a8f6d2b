//! Whether a coordinator answers, asked without a certificate and without using up anything.

use std::time::Duration;

use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_proto::v1::participant_client::ParticipantClient;

use crate::channel::Transport;
use crate::protocol::{PROTOCOL, VERSION};
use crate::status::from_status;

/// Calls the coordinator over a connection without a certificate. That it asks for one shows that it serves
/// calls, and that it is the one which the connection trusts.
///
/// # Errors
/// If it does not answer within `limit`, or answers anything else.
pub async fn reach(transport: Transport, limit: Duration) -> Result<(), Refusal> {
    let request = v1::HelloRequest { protocol: PROTOCOL.into(), version: VERSION.to_owned() };
    let mut client = ParticipantClient::new(transport);
    let Ok(answer) = tokio::time::timeout(limit, client.hello(request)).await else {
        let seconds = limit.as_secs();
        return Err(Refusal::new(Reason::Unavailable, format!("no answer within {seconds} s")));
    };
    match answer.map_err(|status| from_status(&status)) {
        Err(refusal) if refusal.reason != Reason::Unauthenticated => Err(refusal),
        Ok(_) | Err(_) => Ok(()),
    }
}
