//! What holds for every page: who may ask, and how the answer may be used.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// The names under which pages may be asked for.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Arc<[String]>);

impl Hosts {
    /// Those of this machine alone.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::default()
    }

    /// These, and those of this machine.
    #[must_use]
    pub fn named(names: &[String]) -> Self {
        Self(names.into())
    }

    /// Whether a `Host` header has one of the names. A page of a foreign site that resolves its own name to this
    /// address (DNS rebinding) sends that name.
    fn has(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        let address = name.parse::<std::net::IpAddr>();
        name.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.to_canonical().is_loopback())
            || self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Refuses requests that change something and requests under a foreign name, and adds headers to answers.
pub async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let mut answer = match refusal(&hosts, &request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    let headers = answer.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    answer
}

fn refusal(hosts: &Hosts, request: &Request) -> Option<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(ALLOW, "GET, HEAD")];
        return Some(
            (StatusCode::METHOD_NOT_ALLOWED, allow, "only GET and HEAD are allowed\n").into_response(),
        );
    }
    let mut asked = request.headers().get_all(HOST).iter();
    let host = asked.next().and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| hosts.has(host)) && asked.next().is_none() {
        return None;
    }
    let others: String = hosts.0.iter().map(|name| format!(", `{name}`")).collect();
    let message = format!("the host of the request must be `localhost` or a loopback address{others}\n");
    Some((StatusCode::MISDIRECTED_REQUEST, message).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_hosts() {
        for own in ["localhost", "LOCALHOST:7444", "127.0.0.1", "127.0.0.1:80", "[::1]:7444", "[::1]"] {
            assert!(Hosts::of_this_machine().has(own), "{own}");
        }
        for foreign in ["evil.example", "localhost.evil.example", "192.0.2.1", "", "localhost:x:1", "[::2]"] {
            assert!(!Hosts::of_this_machine().has(foreign), "{foreign}");
        }
        let named = Hosts::named(&["eo.example".to_owned(), "192.0.2.1".to_owned()]);
        assert!(["EO.example:7444", "192.0.2.1", "localhost"].iter().all(|own| named.has(own)));
        assert!(!named.has("evil.example") && !named.has("eo.example.evil.example"));
    }
}
