//! Explains failed connections whose certificate is not valid at this time. The cause is nearly always a
//! wrong clock, which TLS errors do not mention.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};
use rustls_pki_types::UnixTime;

use eosfed_common::clock::Timestamp;

/// As [`explain`], from the text of a failure: on an established HTTP/2 connection, the error itself is lost
/// and only its text is left.
pub(super) fn explain_text(said: &str, now: Timestamp) -> Option<String> {
    let alert = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
    said.contains(&alert.to_string()).then(|| sentence(&alert, now)).flatten()
}

/// Explains which clock or certificate is wrong and what to do, if that is why a call failed.
pub(super) fn explain(failure: &(dyn Error + 'static), now: Timestamp) -> Option<String> {
    let mut cause = Some(failure);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<rustls::Error>().and_then(|tls| sentence(tls, now)) {
            return Some(found);
        }
        // An I/O error holds its inner error, but does not give it as its source.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn sentence(error: &rustls::Error, now: Timestamp) -> Option<String> {
    let this = format!("this machine's clock says {now}");
    let mend = "correct the wrong clock, preferably with NTP";
    Some(match error {
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            format!(
                "{this}, and at that time the coordinator's certificate is not valid yet: it is from {}; {mend}",
                time(*not_before)
            )
        }
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            format!("{this}, and the coordinator's certificate has expired on {}; {mend}", time(*not_after))
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::Expired) => {
            format!("{this}, and at that time the coordinator's certificate is not valid now; {mend}")
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => format!(
            "the certificate shown to the coordinator is not valid yet or has expired by the coordinator's \
             clock; {this}: {mend}, or, if the certificate has really expired, ask an operator for a token (`eosfed \
             institution re-enrol NAME`, or `operator`, `reader`) and join again with it"
        ),
        _ => return None,
    })
}

fn time(at: UnixTime) -> Timestamp {
    Timestamp(at.as_secs().saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    fn said(tls: rustls::Error) -> Option<String> {
        explain(&Outer(io::Error::other(tls)), Timestamp(0))
    }

    #[test]
    fn only_wrong_clocks_are_recognised_at_any_depth_of_an_error() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let early = CertificateError::NotValidYetContext { time: at(0), not_before: at(1_795_000_000) };
        let text = said(early.into()).unwrap();
        assert!(
            text.contains("1970-01-01") && text.contains("2026-11-18") && text.contains("clock"),
            "{text}"
        );
        let late = CertificateError::ExpiredContext { time: at(9), not_after: at(5) };
        assert!(said(late.into()).unwrap().contains("has expired on 1970-01-01T00:00:05Z"));
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
        assert!(said(alert).unwrap().contains("by the coordinator's clock"));
        let text = "transport error: connection error: received fatal alert: CertificateExpired";
        assert!(explain_text(text, Timestamp(0)).unwrap().contains("by the coordinator's clock"));
        assert_eq!(explain_text("transport error: received fatal alert: UnknownCA", Timestamp(0)), None);
        assert_eq!(said(CertificateError::UnknownIssuer.into()), None);
        assert_eq!(explain(&io::Error::other("no room"), Timestamp(0)), None);
    }
}
