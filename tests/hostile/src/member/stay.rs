//! A connection that its member does not give up.

use std::path::Path;

use eosfed_common::signing::SigningKey;
use eosfed_proto::v1;
use eosfed_proto::v1::enrollment_client::EnrollmentClient;
use eosfed_transport::certificate::Certificate;
use eosfed_transport::enrollment::signing_key_proof;
use eosfed_transport::keys::KeyAndRequest;

use super::{Member, tell};

/// Greets, asks for work until that ends, greets again, and renews.
///
/// # Errors
/// If the identity cannot be read.
pub(super) async fn run(member: &Member, identity: &Path) -> anyhow::Result<()> {
    member.hello().await?;
    let mut seen_revision = 0;
    loop {
        let poll = v1::PollRequest { seen_revision, wait_ms: 30_000 };
        let Some(answer) = tell("poll", member.participant().poll(poll).await)? else { break };
        seen_revision = answer.revision;
    }
    member.hello().await?;
    let read = |name: &str| std::fs::read_to_string(identity.join(name));
    let name = Certificate::of_pem(&read("certificate.pem")?)?.identity.name;
    let signing_request_pem = KeyAndRequest::generate(name.as_str())?.request_pem;
    let key = SigningKey::from_file(&read("signing.key")?)?;
    let signing_key_proof = signing_key_proof(&key, &name, &signing_request_pem).to_string();
    let renewal = v1::RenewRequest { signing_request_pem, signing_key_proof };
    tell("renew", EnrollmentClient::new(member.0.clone()).renew(renewal).await).map(drop)
}
