//! The cookie that holds a session, and where a login comes from.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

/// The value of the cookie with this name, if a request has one.
#[must_use]
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}

/// The header that sets a cookie for so many seconds. Scripts and pages of other sites do not see it, and a
/// `secure` one is sent over TLS only.
#[must_use]
pub fn set(name: &str, value: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}")
}

/// Whether a page of another site has led here: it must not log anybody in.
#[must_use]
pub fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| !["none", "same-origin"].iter().any(|own| site == own))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let found = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_static(text));
            find(&headers, "eosfed-session").map(str::to_owned)
        };
        assert_eq!(found("a=b; eosfed-session=abc; c=d").as_deref(), Some("abc"));
        assert_eq!(found("eosfed-session=abc").as_deref(), Some("abc"));
        assert_eq!(found("eosfed-sessions=abc; x-eosfed-session=abc"), None);
        assert_eq!(find(&HeaderMap::new(), "eosfed-session"), None);
    }
}
