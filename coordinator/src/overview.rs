//! The overview, with what the state of the federation does not say: the disk, and who has called.

use std::path::{Path, PathBuf};

use eosfed_common::clock::Timestamp;
use eosfed_common::view::{DiskView, Overview};

use crate::disk::room;
use crate::domain::view::{self, Surroundings};
use crate::engine::Handle;
use crate::traffic::Traffic;

/// Makes the overview.
#[derive(Debug, Clone)]
pub struct Overviews {
    engine: Handle,
    traffic: Traffic,
    state: PathBuf,
    started_at: Timestamp,
}

impl Overviews {
    /// Of a coordinator that was started now, with this state folder.
    #[must_use]
    pub fn new(engine: Handle, traffic: Traffic, state: PathBuf) -> Self {
        let started_at = engine.now();
        Self { engine, traffic, state, started_at }
    }

    /// The state folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.state
    }

    /// The disk of the state folder, if the file system says how large it is.
    pub async fn disk(&self) -> Option<DiskView> {
        let state = self.state.clone();
        tokio::task::spawn_blocking(move || room(&state).ok()).await.ok().flatten()
    }

    /// The overview of this instant.
    pub async fn now(&self) -> Overview {
        let around = Surroundings {
            now: self.engine.now(),
            started_at: self.started_at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            disk: self.disk().await,
        };
        let seen = |member: &_| self.traffic.of(member).0;
        self.engine.read(|state| view::overview(state, around, seen))
    }
}
