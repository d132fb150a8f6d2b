//! What is taken of changed settings while serving.

use std::sync::Arc;

use eosfed_common::service;
use eosfed_common::telemetry::LogFilter;

use super::Coordinator;
use crate::settings::{self, Settings};
use crate::tls::ServerTls;

impl Coordinator {
    /// Reads the settings again whenever that is asked for. Settings that are not valid change nothing.
    pub(super) async fn reload_when_told(&self, tls: &ServerTls, doing: &str) {
        loop {
            self.reload.notified().await;
            service::reloading();
            match self.take_settings(tls) {
                Ok(()) => tracing::info!(names = ?self.settings.load().names, "the settings were read again"),
                Err(error) => tracing::error!("nothing was changed: {error:#}"),
            }
            service::ready(doing);
        }
    }

    /// Takes what can be changed while serving: the names, with a new server certificate for them, the receivers
    /// of notifications, and what is logged. If one of them cannot be used, none is taken.
    fn take_settings(&self, tls: &ServerTls) -> anyhow::Result<()> {
        let (state, fresh) = settings::load(&self.state.0)?;
        let receivers = self.notifier.prepare(&fresh.notify)?;
        tls.replace(&self.server_certificate(&fresh.names)?, self.authority.clients_pem())?;
        let before = self.settings.load_full();
        receivers.apply();
        self.take_log_level(&before.log_level, &fresh.log_level);
        let taken = Settings {
            names: fresh.names.clone(),
            log_level: fresh.log_level.clone(),
            notify: fresh.notify.clone(),
            ..Settings::clone(&before)
        };
        if taken != fresh {
            let file = state.settings();
            tracing::warn!(file = %file.display(), "of the changed settings, only `names`, `notify` and `log_level` count before the next start");
        }
        self.settings.store(Arc::new(taken));
        Ok(())
    }

    fn take_log_level(&self, before: &LogFilter, level: &LogFilter) {
        let Some(logging) = self.logging.as_ref().filter(|_| before != level) else { return };
        match logging.set(level) {
            Ok(()) => tracing::info!(%level, "what is logged has changed"),
            Err(why) => tracing::warn!(%level, why, "what is logged has not changed"),
        }
    }
}
