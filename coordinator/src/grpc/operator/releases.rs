//! Releases and what is handed in about them.

use eosfed_common::ablation::Ablation;
use eosfed_common::assignment::MAX_TEXT;
use eosfed_common::ids::{IdempotencyKey, ReleaseNumber};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_transport::wire::{Wire as _, parse, printable};
use tonic::Request;

use super::Service;
use crate::domain::paging::document;
use crate::domain::registry::SpecialistRef;
use crate::domain::view;
use crate::engine::Core;
use crate::grpc::access;

/// Most references in one call.
const MAX_REFERENCES: usize = 1000;

impl Service {
    pub(super) async fn release(
        &self,
        request: Request<v1::CreateReleaseRequest>,
    ) -> Result<v1::CreateReleaseResponse, Refusal> {
        let by = access::name(&request)?;
        let v1::CreateReleaseRequest { specialists, note, idempotency_key } = request.into_inner();
        if specialists.len() > MAX_REFERENCES {
            let message = format!("at most {MAX_REFERENCES} specialists, found `{}`", specialists.len());
            return Err(Refusal::new(Reason::TooLarge, message));
        }
        let references =
            specialists.iter().map(|text| text.parse()).collect::<Result<Vec<SpecialistRef>, _>>()?;
        let note = printable("note", &note, 0..=MAX_TEXT)?;
        let key: IdempotencyKey = parse("idempotency_key", &idempotency_key)?;
        let create = async move |core: &Core| core.create_release(&references, note, key, by).await;
        let manifest = self.0.engine.call(create).await?;
        Ok(v1::CreateReleaseResponse { manifest_json: document(&manifest)? })
    }

    /// A release with its ablations; 0 is the latest.
    pub(super) fn shown_release(&self, number: u32) -> Result<v1::GetReleaseResponse, Refusal> {
        let number = (number != 0).then_some(ReleaseNumber(number));
        let (manifest, ablations) = self.0.engine.read(|state| view::release(state, number))?;
        Ok(v1::GetReleaseResponse {
            manifest_json: document(&manifest)?,
            ablations_json: ablations.iter().map(document).collect::<Result<_, _>>()?,
        })
    }

    pub(super) async fn record_ablation(
        &self,
        request: Request<v1::RecordAblationRequest>,
    ) -> Result<v1::RecordAblationResponse, Refusal> {
        let by = access::name(&request)?;
        let ablation = Ablation::from_message(request.into_inner())?;
        let record = async move |core: &Core| core.record_ablation(ablation, by).await;
        let recorded_at = self.0.engine.call(record).await?.0;
        Ok(v1::RecordAblationResponse { recorded_at })
    }
}
