//! How one attempt ended, and what follows from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The time one attempt may take, from the look-up of the name to the end of the answer.
pub const DELIVERY_DEADLINE: Duration = Duration::from_secs(30);

/// The time after which an attempt is cut off from outside. The client keeps its own, shorter
/// deadline; this one holds whatever the client does.
pub const ATTEMPT_GUARD: Duration = Duration::from_secs(DELIVERY_DEADLINE.as_secs() + 5);

/// How one attempt ended. Hooks remember it by the variant's position: new ones go last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// An HTTP answer with this status.
    Answered(u16),
    /// No answer within [`DELIVERY_DEADLINE`], or no connection within its part of it.
    TimedOut,
    /// The connection ended before a whole answer came.
    ConnectionClosed,
    /// No connection: the port is closed, or no way leads there.
    ConnectionRefused,
    /// The name has no address, or nobody says which.
    Unresolved,
    /// A connection, but no TLS on it.
    Tls(TlsFailure),
    /// What came is no HTTP answer.
    Protocol,
    /// No connection was tried: the target itself is an address that is not public.
    Refused,
    /// No connection was tried: the target's name resolves to an address that is not public.
    NameRefused,
}

/// Why TLS with an endpoint did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsFailure {
    /// Its certificate has expired.
    Expired,
    /// Its certificate is for another name.
    WrongName,
    /// Nobody whom we trust vouches for its certificate.
    Untrusted,
    /// It speaks no TLS, or none that we speak.
    Protocol,
}

/// What follows from an [`Outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The delivery has arrived.
    Delivered,
    /// It may arrive later.
    Retry,
    /// It never will: no more attempts.
    GiveUp,
}

impl Outcome {
    /// What follows: 2xx has arrived; 410 says that nobody is there any more, and an address that is
    /// refused stays refused; everything else may pass. So may what a name resolves to.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Answered(200..=299) => Verdict::Delivered,
            Self::Answered(410) | Self::Refused => Verdict::GiveUp,
            _ => Verdict::Retry,
        }
    }

    /// Whether the endpoint was called: an address that is refused is not.
    #[must_use]
    pub fn is_call(self) -> bool {
        !matches!(self, Self::Refused | Self::NameRefused)
    }

    /// The code that the hook shows: the answer's own, else 504 for a time-out and 502 for the rest.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Answered(status) => status,
            Self::TimedOut => 504,
            _ => 502,
        }
    }

    /// The HTTP status, if there was an answer.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Answered(status) => Some(status),
            _ => None,
        }
    }

    /// The failure's class, by which its owner knows what to mend; none for a success.
    #[must_use]
    pub fn failure(self) -> Option<&'static str> {
        Some(match self {
            Self::Answered(200..=299) => return None,
            Self::Answered(_) => "http_status",
            Self::TimedOut => "timeout",
            Self::ConnectionClosed => "connection_closed",
            Self::ConnectionRefused => "connection_refused",
            Self::Unresolved => "dns",
            Self::Tls(_) => "tls",
            Self::Protocol => "protocol",
            Self::Refused | Self::NameRefused => "refused_address",
        })
    }

    /// The time that an attempt took, in milliseconds, as its owner may know it: of an address that
    /// is refused in whole seconds, since an exact one would tell how our own network resolves names.
    #[must_use]
    pub fn shown_ms(self, ms: u32) -> u32 {
        if self.is_call() {
            ms
        } else {
            ms.div_ceil(1_000).max(1).saturating_mul(1_000)
        }
    }

    /// The failure in words for the hook's owner. An address that is refused reads the same however it
    /// was found: whoever can subscribe must not learn from this what there is beside us.
    #[must_use]
    pub fn message(self) -> String {
        match self {
            Self::Answered(status) => return format!("The endpoint answered {status}."),
            Self::TimedOut => "The endpoint did not answer in time.",
            Self::ConnectionClosed => "The endpoint closed the connection without an HTTP answer.",
            Self::ConnectionRefused => "The endpoint did not accept a connection.",
            Self::Unresolved => "The endpoint's name could not be resolved.",
            Self::Tls(TlsFailure::Expired) => "The endpoint's certificate has expired.",
            Self::Tls(TlsFailure::WrongName) => "The endpoint's certificate is for another name.",
            Self::Tls(TlsFailure::Untrusted) => {
                "The endpoint's certificate is not from an authority that is trusted."
            }
            Self::Tls(TlsFailure::Protocol) => "The endpoint did not complete the TLS handshake.",
            Self::Protocol => "The endpoint's answer was not HTTP.",
            Self::Refused | Self::NameRefused => "Webhooks are only sent to public addresses.",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Outcome::Answered(200), Verdict::Delivered, 200, None)]
    #[case(Outcome::Answered(204), Verdict::Delivered, 204, None)]
    #[case(Outcome::Answered(301), Verdict::Retry, 301, Some("http_status"))]
    #[case(Outcome::Answered(404), Verdict::Retry, 404, Some("http_status"))]
    #[case(Outcome::Answered(410), Verdict::GiveUp, 410, Some("http_status"))]
    #[case(Outcome::Answered(500), Verdict::Retry, 500, Some("http_status"))]
    #[case(Outcome::TimedOut, Verdict::Retry, 504, Some("timeout"))]
    #[case(
        Outcome::ConnectionClosed,
        Verdict::Retry,
        502,
        Some("connection_closed")
    )]
    #[case(
        Outcome::ConnectionRefused,
        Verdict::Retry,
        502,
        Some("connection_refused")
    )]
    #[case(Outcome::Unresolved, Verdict::Retry, 502, Some("dns"))]
    #[case(Outcome::Tls(TlsFailure::Expired), Verdict::Retry, 502, Some("tls"))]
    #[case(Outcome::Tls(TlsFailure::Protocol), Verdict::Retry, 502, Some("tls"))]
    #[case(Outcome::Protocol, Verdict::Retry, 502, Some("protocol"))]
    #[case(Outcome::Refused, Verdict::GiveUp, 502, Some("refused_address"))]
    #[case(Outcome::NameRefused, Verdict::Retry, 502, Some("refused_address"))]
    fn each_outcome_has_one_verdict_code_and_class(
        #[case] outcome: Outcome,
        #[case] verdict: Verdict,
        #[case] code: u16,
        #[case] failure: Option<&str>,
    ) {
        assert_eq!((outcome.verdict(), outcome.code()), (verdict, code));
        assert_eq!(outcome.failure(), failure);
    }

    #[test]
    fn each_tls_failure_has_words_of_its_own() {
        let failures = [
            TlsFailure::Expired,
            TlsFailure::WrongName,
            TlsFailure::Untrusted,
            TlsFailure::Protocol,
        ];
        let words: std::collections::BTreeSet<String> = failures
            .map(|failure| Outcome::Tls(failure).message())
            .into();
        assert_eq!(words.len(), failures.len());
    }

    #[test]
    fn a_refused_name_reads_like_a_refused_address() {
        let (address, name) = (Outcome::Refused, Outcome::NameRefused);
        assert_eq!(address.message(), name.message());
        assert_eq!(address.failure(), name.failure());
        assert_eq!(address.code(), name.code());
        assert_eq!(address.shown_ms(0), name.shown_ms(999));
        assert_eq!(Outcome::Unresolved.shown_ms(999), 999);
    }
}
