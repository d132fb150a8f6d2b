//! Who may see the dashboard in a browser. A person's call gives a link that can be used once, within two
//! minutes; using it gives a session. Both are kept in memory only, as digests, so a restart ends them all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use rand::Rng;

/// How long a link can be used.
pub const LINK_VALID: Duration = Duration::from_secs(120);
/// How long a session lasts.
pub const SESSION_VALID: Duration = Duration::from_secs(8 * 3600);
/// Most links of one person that wait to be used, and most sessions of one person. The oldest gives way.
const MAX_OF_ONE: usize = 8;
/// Most links, and most sessions, of all.
const MAX_OF_ALL: usize = 256;
/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Who looks at pages.
pub trait Viewer: Clone {
    /// Whether it is the same person, who has a bounded number of links and sessions.
    fn is_same_person(&self, other: &Self) -> bool;
}

/// A secret that somebody holds.
#[derive(Debug)]
struct Held<V> {
    secret: Digest,
    viewer: V,
    until: Timestamp,
}

#[derive(Debug)]
struct State<V> {
    links: Vec<Held<V>>,
    sessions: Vec<Held<V>>,
}

/// The links and sessions of viewers. Clones share them.
#[derive(Debug, Clone)]
pub struct Sessions<V>(Arc<Mutex<State<V>>>);

impl<V> Default for Sessions<V> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { links: Vec::new(), sessions: Vec::new() })))
    }
}

/// The digest by which a secret is known.
fn known_as(secret: &str) -> Digest {
    Digest::of(secret.as_bytes())
}

/// Adds a secret; the oldest of the same person, or of all, gives way.
fn hold<V: Viewer>(all: &mut Vec<Held<V>>, viewer: V, until: Timestamp, rng: &mut impl Rng) -> String {
    let own = all.iter().filter(|held| held.viewer.is_same_person(&viewer)).count();
    let oldest = if own >= MAX_OF_ONE {
        all.iter().position(|held| held.viewer.is_same_person(&viewer))
    } else {
        (all.len() >= MAX_OF_ALL).then_some(0)
    };
    if let Some(place) = oldest {
        all.remove(place);
    }
    let mut bytes = [0; SECRET_BYTES];
    rng.fill_bytes(&mut bytes);
    let secret = hex::encode(bytes);
    all.push(Held { secret: known_as(&secret), viewer, until });
    secret
}

impl<V: Viewer> Sessions<V> {
    fn state(&self) -> MutexGuard<'_, State<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A secret that [`Sessions::login`] takes once.
    #[must_use]
    pub fn link(&self, viewer: V, now: Timestamp, rng: &mut impl Rng) -> String {
        let mut state = self.state();
        state.links.retain(|held| now < held.until);
        hold(&mut state.links, viewer, now.plus(LINK_VALID), rng)
    }

    /// The secret of a new session, if the secret of a link can be used.
    #[must_use]
    pub fn login(&self, link: &str, now: Timestamp, rng: &mut impl Rng) -> Option<String> {
        let wanted = known_as(link);
        let mut state = self.state();
        state.sessions.retain(|held| now < held.until);
        let place = state.links.iter().position(|held| held.secret == wanted)?;
        let Held { viewer, until, .. } = state.links.remove(place);
        if now >= until {
            return None;
        }
        Some(hold(&mut state.sessions, viewer, now.plus(SESSION_VALID), rng))
    }

    /// Who has this session, if it lasts.
    #[must_use]
    pub fn viewer(&self, session: &str, now: Timestamp) -> Option<V> {
        let wanted = known_as(session);
        let state = self.state();
        let held = state.sessions.iter().find(|held| held.secret == wanted && now < held.until);
        held.map(|held| held.viewer.clone())
    }

    /// Ends a session.
    pub fn logout(&self, session: &str) {
        let wanted = known_as(session);
        self.state().sessions.retain(|held| held.secret != wanted);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha12Rng;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[derive(Debug, Clone, PartialEq)]
    struct Named(String);

    impl Viewer for Named {
        fn is_same_person(&self, other: &Self) -> bool {
            self == other
        }
    }

    fn viewer(name: &str) -> Named {
        Named(name.to_owned())
    }

    #[test]
    fn a_link_is_used_once_and_only_for_two_minutes() {
        let (sessions, mut rng) = (Sessions::default(), ChaCha12Rng::seed_from_u64(1));
        let link = sessions.link(viewer("ada"), NOW, &mut rng);
        let session = sessions.login(&link, NOW, &mut rng).unwrap();
        assert_eq!(sessions.viewer(&session, NOW), Some(viewer("ada")));
        assert_eq!(sessions.login(&link, NOW, &mut rng), None, "once");
        assert_eq!(sessions.viewer(&link, NOW), None, "a link is no session");
        let late = sessions.link(viewer("ada"), NOW, &mut rng);
        assert_eq!(sessions.login(&late, NOW.plus(LINK_VALID), &mut rng), None, "late");
        assert_eq!(sessions.login("", NOW, &mut rng), None);
    }

    #[test]
    fn a_session_ends_by_time_and_by_logging_out() {
        let (sessions, mut rng) = (Sessions::default(), ChaCha12Rng::seed_from_u64(1));
        let mut open = || {
            let link = sessions.link(viewer("ada"), NOW, &mut rng);
            sessions.login(&link, NOW, &mut rng).unwrap()
        };
        let (first, second) = (open(), open());
        assert_eq!(sessions.viewer(&first, NOW.plus(SESSION_VALID)), None);
        sessions.logout(&first);
        assert_eq!(sessions.viewer(&first, NOW), None);
        assert!(sessions.viewer(&second, NOW).is_some());
    }

    #[test]
    fn links_and_sessions_are_bounded_for_each_and_for_all() {
        let (sessions, mut rng) = (Sessions::default(), ChaCha12Rng::seed_from_u64(1));
        let other = sessions.link(viewer("bob"), NOW, &mut rng);
        let links: Vec<_> = (0..=MAX_OF_ONE).map(|_| sessions.link(viewer("ada"), NOW, &mut rng)).collect();
        assert_eq!(sessions.login(&links[0], NOW, &mut rng), None, "the oldest of the same person gives way");
        assert!(sessions.login(&links[1], NOW, &mut rng).is_some());
        assert!(sessions.login(&other, NOW, &mut rng).is_some(), "and not another's");
        for place in 0..2 * MAX_OF_ALL {
            let link = sessions.link(viewer(&format!("site-{place}")), NOW, &mut rng);
            let _ = sessions.login(&link, NOW, &mut rng).unwrap();
        }
        assert_eq!(sessions.state().sessions.len(), MAX_OF_ALL);
    }
}
