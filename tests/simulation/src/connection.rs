//! The daemon's connection to the coordinator, through the network of the simulated world.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eosfed_client::coordinator::{Coordinator, Greeting, Issued, OfferGuard, Offers, UploadGuard};
use eosfed_client::site::Credentials;
use eosfed_common::assignment::{
    Assignment, BlobRef, Directive, EvaluationSubmission, Lease, StatisticsSubmission, UpdateSubmission,
};
use eosfed_common::clock::Timestamp;
use eosfed_common::data_statement::SignedDataStatement;
use eosfed_common::digest::Digest;
use eosfed_common::head::HeadOver;
use eosfed_common::ids::{AssignmentId, IdempotencyKey, LeaseToken};
use eosfed_common::policy_summary::SignedPolicySummary;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::KeySignature;
use eosfed_common::training_target::TrainingTarget;
use eosfed_coordinator::domain::Target;
use eosfed_coordinator::storage::Presence;
use eosfed_testkit::signing;
use eosfed_transport::channel::ChannelError;
use eosfed_transport::wire::Heartbeat;

use crate::network::{Answer, Call, Submission};
use crate::site::Planted;
use crate::world::World;

/// Least bytes of a chunk of an upload.
const CHUNK: usize = 3000;
const OTHER_ANSWER: &str = "this call has another kind of answer";

/// The connection of one institution.
#[derive(Clone)]
pub struct Connection {
    /// The world.
    pub world: Arc<World>,
    /// The institution.
    pub index: usize,
    /// The heads that were offered, by the digest of their document.
    heads: Arc<Mutex<BTreeMap<Digest, HeadOver>>>,
}

impl Connection {
    /// The connection of this institution.
    #[must_use]
    pub fn new(world: Arc<World>, index: usize) -> Self {
        Self { world, index, heads: Arc::default() }
    }

    /// What is trained. The document of a head is fetched once.
    async fn training_target(&self, target: &Target) -> Result<TrainingTarget, Refusal> {
        let document = match target {
            Target::Specialist(model) => return Ok(TrainingTarget::Specialist(model.clone())),
            Target::Bands(bands) => return Ok(TrainingTarget::Bands(bands.clone())),
            Target::Head(head) => head.document,
        };
        let known = self.heads.lock().unwrap().get(&document.digest).cloned();
        if let Some(over) = known {
            return Ok(TrainingTarget::Head(Box::new(over)));
        }
        let Answer::Bytes(bytes) = self.call(Call::Download(document)).await? else {
            panic!("{OTHER_ANSWER}")
        };
        let over = HeadOver::from_bytes(&bytes).unwrap();
        self.heads.lock().unwrap().insert(document.digest, over.clone());
        Ok(TrainingTarget::Head(Box::new(over)))
    }

    async fn call(&self, call: Call) -> Result<Answer, Refusal> {
        self.world.call(self.index, call).await
    }

    async fn done(&self, call: Call) -> Result<(), Refusal> {
        self.call(call).await.map(drop)
    }

    /// Records a submission that leaves the daemon.
    fn sends(&self, submission: &mut Submission) {
        let mut state = self.world.lock();
        if state.planted == Some(Planted::NewKeys) {
            *submission.key_mut() = IdempotencyKey::random(state.rng());
        }
        state.sends(self.index, submission);
    }

    async fn submit(&self, mut submission: Submission) -> Result<Timestamp, Refusal> {
        self.sends(&mut submission);
        let Answer::Recorded(at) = self.call(Call::Submit(Box::new(submission.clone()))).await? else {
            panic!("{OTHER_ANSWER}")
        };
        self.world.lock().site_mut(self.index).acknowledged(&submission, at);
        Ok(at)
    }
}

impl Coordinator for Connection {
    async fn hello(&self) -> Result<Greeting, Refusal> {
        self.done(Call::Hello).await?;
        let institution = self.world.lock().site_mut(self.index).name.to_string();
        Ok(Greeting { institution, coordinator_keys: Vec::new(), now: None, takes_points: true })
    }

    async fn poll(&self, seen: u64, wait: Duration, _: OfferGuard) -> Result<Offers, Refusal> {
        if seen != 0 {
            let most = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let wait = self.world.lock().draw(0..=most);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        let Answer::Offers(offers) = self.call(Call::Poll).await? else { panic!("{OTHER_ANSWER}") };
        let mut assignments = Vec::new();
        for offer in offers {
            let training_target = self.training_target(&offer.training_target).await?;
            assignments.push(offer.with(|_| training_target));
        }
        Ok(Offers { revision: revision(&assignments), assignments, unknown: Vec::new() })
    }

    async fn accept(&self, id: &AssignmentId) -> Result<Lease, Refusal> {
        let Answer::Lease(lease) = self.call(Call::Accept(id.clone())).await? else {
            panic!("{OTHER_ANSWER}")
        };
        Ok(lease)
    }

    async fn decline(&self, id: &AssignmentId, why: Refusal) -> Result<(), Refusal> {
        self.done(Call::Decline(id.clone(), why)).await
    }

    async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<Directive, Refusal> {
        let Answer::Directive(directive) = self.call(Call::Heartbeat(heartbeat)).await? else {
            panic!("{OTHER_ANSWER}")
        };
        Ok(directive)
    }

    async fn download(&self, blob: BlobRef, path: &Path) -> Result<(), Refusal> {
        if std::fs::read(path).is_ok_and(|there| Digest::of(&there) == blob.digest) {
            return Ok(());
        }
        let Answer::Bytes(bytes) = self.call(Call::Download(blob)).await? else { panic!("{OTHER_ANSWER}") };
        std::fs::write(path, bytes).unwrap();
        Ok(())
    }

    async fn upload(&self, path: &Path, blob: BlobRef, guard: UploadGuard) -> Result<(), Refusal> {
        let (bytes, blob) = self.world.lock().site_mut(self.index).to_upload(path, blob);
        let mut stands = self.call(Call::Stat(blob)).await?;
        loop {
            let at = match stands {
                Answer::Stands(Presence::Complete(_)) => return Ok(()),
                Answer::Stands(Presence::Partial(at)) => usize::try_from(at).unwrap(),
                _ => panic!("{OTHER_ANSWER}"),
            };
            let end = (at + CHUNK.max(bytes.len() / 6)).min(bytes.len());
            guard((end - at) as u64).map_err(|why| Refusal::new(Reason::Unavailable, why))?;
            self.world.lock().leaves(self.index);
            stands = self.call(Call::Append(blob, at as u64, bytes[at..end].to_vec())).await?;
        }
    }

    async fn submit_update(&self, mut update: UpdateSubmission) -> Result<Timestamp, Refusal> {
        update.weights = self.world.lock().site_mut(self.index).uploaded(update.weights);
        let key = signing::institution(update.assignment.institution.as_str());
        update.signature = key.sign(&update.statement());
        self.submit(Submission::Update(Box::new(update))).await
    }

    async fn submit_statistics(&self, statistics: StatisticsSubmission) -> Result<Timestamp, Refusal> {
        self.submit(Submission::Statistics(statistics)).await
    }

    async fn submit_evaluation(&self, scores: EvaluationSubmission) -> Result<Timestamp, Refusal> {
        self.submit(Submission::Scores(scores)).await
    }

    async fn report_failure(
        &self,
        id: &AssignmentId,
        token: &LeaseToken,
        why: &Refusal,
    ) -> Result<(), Refusal> {
        self.done(Call::Fail(id.clone(), token.clone(), why.message.clone())).await
    }

    async fn state_data(&self, signed: SignedDataStatement) -> Result<(), Refusal> {
        self.done(Call::StateData(Box::new(signed))).await
    }

    async fn share_policy(&self, signed: SignedPolicySummary) -> Result<(), Refusal> {
        self.done(Call::SharePolicy(Box::new(signed))).await
    }

    async fn renew(&self, _: String, _: KeySignature) -> Result<Issued, Refusal> {
        panic!("the certificate is young")
    }

    fn replace(&self, _: &Credentials) -> Result<(), ChannelError> {
        Ok(())
    }
}

/// A number that differs if the assignments differ.
fn revision(assignments: &[Assignment]) -> u64 {
    let ids: String = assignments.iter().map(|offer| format!("{} {}\n", offer.id, offer.accepted)).collect();
    let digest = Digest::of(ids.as_bytes()).to_hex();
    u64::from_str_radix(&digest[..16], 16).unwrap().max(1)
}
