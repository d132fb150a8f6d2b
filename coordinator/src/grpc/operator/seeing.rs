//! What is seen of the whole federation: the overview, energy, and a way into the dashboard.

use eosfed_common::printable::MAX_WORD;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_transport::wire::printable;
use tonic::Request;

use super::Service;
use super::listing::{moment, read_page};
use crate::domain::paging::document;
use crate::domain::view::{self, EnergyFilter, EnergyPage};
use crate::grpc::access;
use crate::sessions::{LINK_VALID, Viewer};

impl Service {
    pub(super) async fn overview(&self) -> Result<v1::GetOverviewResponse, Refusal> {
        Ok(v1::GetOverviewResponse { overview_json: document(&self.0.overviews.now().await)? })
    }

    pub(super) fn energy(&self, request: v1::GetEnergyRequest) -> Result<v1::GetEnergyResponse, Refusal> {
        let v1::GetEnergyRequest { page, name, since } = request;
        printable("name", &name, 0..=MAX_WORD)?;
        let filter = EnergyFilter { name, since: moment(since) };
        let page = read_page(page)?;
        let EnergyPage { view, next } = self.0.engine.read(|state| view::energy(state, &filter, &page))?;
        let page = v1::PageResponse { next_token: next, remaining: view.more_institutions.into() };
        Ok(v1::GetEnergyResponse { energy_json: document(&view)?, page: Some(page) })
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
