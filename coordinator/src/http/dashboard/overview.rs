//! The first page, institutions and storage: for operators.

use axum::extract::{Path, Query, State};
use eosfed_common::ids::InstitutionName;
use eosfed_common::ledger::Filter;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::view::InstitutionView;
use eosfed_dashboard::page::{self, InstitutionPage, StoragePage, path};
use eosfed_web::answer::Html;
use serde::Deserialize;

use super::answer::Trouble;
use super::visitor::OperatorVisitor;
use super::{Dashboard, PAGE, pager, read};
use crate::domain::Member;
use crate::domain::listing::{JobFilter, MemberFilter, StoredJobs};
use crate::domain::paging::PageRequest;
use crate::domain::view;
use crate::engine::Core;

/// Which page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    /// The token of the page.
    #[serde(default)]
    pub(super) after: String,
}

/// Events that the page of an institution shows.
const EVENTS: usize = 15;

impl Dashboard {
    fn institution(&self, member: &Member) -> InstitutionView {
        let identity = member.identity();
        let (last_seen, received) = self.traffic.of(&identity);
        view::institution(member, last_seen, self.traffic.version_of(&identity), received)
    }

    async fn events(&self) -> Result<u64, Refusal> {
        let head = self.engine.call(async |core: &Core| Ok(core.ledger_head().await)).await?;
        Ok(head.map_or(0, |head| head.sequence + 1))
    }
}

/// The first page.
pub(super) async fn overview(
    State(dashboard): State<Dashboard>,
    OperatorVisitor(visitor): OperatorVisitor,
) -> Result<Html, Trouble> {
    let overview = dashboard.overviews.now().await;
    Ok(Html(page::overview(&visitor.shell, &overview)))
}

/// A page of the list of institutions.
pub(super) async fn institutions(
    State(dashboard): State<Dashboard>,
    OperatorVisitor(visitor): OperatorVisitor,
    Query(Listed { after }): Query<Listed>,
) -> Result<Html, Trouble> {
    let wanted = PageRequest::read(PAGE, &after)?;
    let any = MemberFilter::default();
    let page = dashboard
        .engine
        .read(|state| state.list_institutions(&any, &wanted, |member| dashboard.institution(member)))?;
    let (institutions, pager) = read(page, path::INSTITUTIONS, after.is_empty())?;
    Ok(Html(page::institutions(&visitor.shell, &institutions, &pager)))
}

/// The page of an institution.
pub(super) async fn institution(
    State(dashboard): State<Dashboard>,
    OperatorVisitor(visitor): OperatorVisitor,
    Path(name): Path<String>,
) -> Result<Html, Trouble> {
    let name: InstitutionName =
        name.parse().map_err(|error| Refusal::new(Reason::Malformed, format!("{error}")))?;
    let found = dashboard.engine.read(|state| {
        state.institutions().find(|one| one.name == name).map(|member| dashboard.institution(member))
    });
    let institution = found.ok_or_else(|| {
        Refusal::new(
            Reason::NotFound,
            format!("There is no institution `{name}`; see `eosfed institution list`."),
        )
    })?;
    let filter = Filter { institution: Some(name), ..Filter::default() };
    let end = dashboard.events().await?;
    let found = super::events::newest(&dashboard, &filter, end, EVENTS).await?;
    let page = InstitutionPage { institution: &institution, events: &found.events };
    Ok(Html(page::institution(&visitor.shell, &page)))
}

/// The page of storage.
pub(super) async fn storage(
    State(dashboard): State<Dashboard>,
    OperatorVisitor(visitor): OperatorVisitor,
    Query(Listed { after }): Query<Listed>,
) -> Result<Html, Trouble> {
    let listed = StoredJobs { filter: JobFilter::default(), page: PageRequest::read(PAGE, &after)? };
    let view::StoragePage { view: storage, next } = dashboard.overviews.storage(listed).await?;
    let pager = pager(path::STORAGE, after.is_empty(), &next, storage.more_jobs.into());
    let folder = dashboard.overviews.folder().display().to_string();
    let page = StoragePage { folder: &folder, storage: &storage, pager };
    Ok(Html(page::storage(&visitor.shell, &page)))
}
