//! Answers: pages and files, with the headers that keep a browser from doing anything else.

use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eosfed_dashboard::assets;

/// What a browser may load and do: files of this server only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// A page.
#[derive(Debug)]
pub struct Html(pub String);

impl IntoResponse for Html {
    fn into_response(self) -> Response {
        let headers: [(HeaderName, &str); 5] = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_FRAME_OPTIONS, "DENY"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ];
        (headers, self.0).into_response()
    }
}

/// A page that says why there is no other.
#[must_use]
pub fn trouble(status: StatusCode, page: String) -> Response {
    let mut answer = (status, Html(page)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        // The place of the connection is for those who can be answered.
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("30"));
    }
    answer
}

/// A file that pages refer to. Its address has its version, so it can be kept.
pub async fn asset(Path(file): Path<String>) -> Response {
    let wanted = assets::ALL.iter().find(|asset| asset.path.strip_prefix("/assets/") == Some(&file));
    match wanted {
        Some(asset) => {
            let headers = [
                (CONTENT_TYPE, asset.media_type),
                (CACHE_CONTROL, "private, max-age=31536000, immutable"),
                (CONTENT_SECURITY_POLICY, POLICY),
            ];
            (headers, asset.text).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}
