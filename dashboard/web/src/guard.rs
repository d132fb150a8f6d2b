//! What holds for every page: who may ask, and how the answer may be used.

use axum::extract::Request;
use axum::http::header::{ALLOW, CACHE_CONTROL, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Refuses requests that change something and requests under a foreign name, and adds headers to answers.
pub async fn guard(request: Request, next: Next) -> Response {
    let mut answer = match refusal(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    let headers = answer.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    answer
}

fn refusal(request: &Request) -> Option<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(ALLOW, "GET, HEAD")];
        return Some(
            (StatusCode::METHOD_NOT_ALLOWED, allow, "only GET and HEAD are allowed\n").into_response(),
        );
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    if host.is_some_and(is_loopback) && hosts.next().is_none() {
        return None;
    }
    let message = "the host of the request must be `localhost` or a loopback address\n";
    Some((StatusCode::MISDIRECTED_REQUEST, message).into_response())
}

/// Whether a `Host` header names this machine. A page of a foreign site that resolves its own name to
/// 127.0.0.1 (DNS rebinding) sends that name.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    let address = name.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_hosts() {
        for own in ["localhost", "LOCALHOST:7444", "127.0.0.1", "127.0.0.1:80", "[::1]:7444", "[::1]"] {
            assert!(is_loopback(own), "{own}");
        }
        for foreign in ["evil.example", "localhost.evil.example", "192.0.2.1", "", "localhost:x:1", "[::2]"] {
            assert!(!is_loopback(foreign), "{foreign}");
        }
    }
}
