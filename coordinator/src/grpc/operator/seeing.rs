//! What is seen of the whole federation: the overview, and a way into the dashboard.

use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use tonic::Request;

use super::Service;
use crate::domain::paging::document;
use crate::domain::view;
use crate::grpc::access;
use crate::sessions::{LINK_VALID, Viewer};

impl Service {
    pub(super) async fn overview(&self) -> Result<v1::GetOverviewResponse, Refusal> {
        Ok(v1::GetOverviewResponse { overview_json: document(&self.0.overviews.now().await)? })
    }

    pub(super) fn energy(&self) -> Result<v1::GetEnergyResponse, Refusal> {
        Ok(v1::GetEnergyResponse { energy_json: document(&self.0.engine.read(view::energy))? })
    }

    /// A link with which the caller's browser sees what the caller's role sees.
    pub(super) fn open_dashboard(
        &self,
        request: &Request<v1::OpenDashboardRequest>,
    ) -> Result<v1::OpenDashboardResponse, Refusal> {
        let access::Caller { identity, key } = access::caller(request)?.clone();
        let Some(url) = self.0.dashboard_url.as_deref() else {
            let message = "this coordinator has no dashboard; add the table `[http]` to its coordinator.toml and start it again";
            return Err(Refusal::new(Reason::NotFound, message));
        };
        let now = self.0.engine.now();
        let token = self.0.sessions.link(Viewer { identity, key }, now, &mut rand::rng());
        Ok(v1::OpenDashboardResponse { url: url.to_owned(), token, expires_at: now.plus(LINK_VALID).0 })
    }
}
