//! How pages are served, the same for the coordinator's dashboard and for the page of an institution: how many
//! connections there are and for how long, who may ask, what a browser may do with an answer, and what a
//! session is. It knows no page.

pub mod answer;
pub mod cookie;
mod guard;
mod live;
mod server;
mod sessions;

pub use guard::{Hosts, guard};
pub use live::{MAX_STREAMS, Streams};
pub use server::{LIMITS, Limits, REMOTE_LIMITS, listen, serve, serve_with};
pub use sessions::{LINK_VALID, SESSION_VALID, Sessions, Viewer};
