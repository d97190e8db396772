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
    /// No answer within [`DELIVERY_DEADLINE`].
    TimedOut,
    /// A connection, but no HTTP answer on it.
    Broken,
    /// No connection: the name does not resolve, the port is closed, TLS failed.
    Unreachable,
    /// No connection was tried: the target is, or resolves to, an address that is not public.
    Refused,
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
    /// What follows: 2xx has arrived; 410 says that nobody is there any more, and a refused target
    /// stays refused; everything else may pass.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Answered(200..=299) => Verdict::Delivered,
            Self::Answered(410) | Self::Refused => Verdict::GiveUp,
            _ => Verdict::Retry,
        }
    }

    /// The code that the hook shows: the answer's own, else 504 for a time-out and 502 for the rest.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Answered(status) => status,
            Self::TimedOut => 504,
            Self::Broken | Self::Unreachable | Self::Refused => 502,
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

    /// The failure's class; none for a success. Refused and unreachable are one, as in
    /// [`message`](Self::message).
    #[must_use]
    pub fn failure(self) -> Option<&'static str> {
        match self {
            Self::Answered(200..=299) => None,
            Self::Answered(_) => Some("http_status"),
            Self::TimedOut => Some("timeout"),
            Self::Broken => Some("broken_connection"),
            Self::Unreachable | Self::Refused => Some("unreachable"),
        }
    }

    /// The time that an attempt took, in milliseconds, as its owner may know it: in whole seconds
    /// where an exact one would tell a refused target from one that is not there.
    #[must_use]
    pub fn shown_ms(self, ms: u32) -> u32 {
        match self {
            Self::Unreachable | Self::Refused => ms.div_ceil(1_000).max(1).saturating_mul(1_000),
            _ => ms,
        }
    }

    /// The failure in words for the hook's owner. Refused and unreachable read the same: whoever
    /// can subscribe must not learn from this which of our neighbours exist.
    #[must_use]
    pub fn message(self) -> String {
        match self {
            Self::Answered(status) => format!("The endpoint answered {status}."),
            Self::TimedOut => "The endpoint did not answer in time.".to_owned(),
            Self::Broken => "The endpoint closed the connection without an HTTP answer.".to_owned(),
            Self::Unreachable | Self::Refused => "The endpoint could not be reached.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Outcome::Answered(200), Verdict::Delivered, 200)]
    #[case(Outcome::Answered(204), Verdict::Delivered, 204)]
    #[case(Outcome::Answered(301), Verdict::Retry, 301)]
    #[case(Outcome::Answered(404), Verdict::Retry, 404)]
    #[case(Outcome::Answered(410), Verdict::GiveUp, 410)]
    #[case(Outcome::Answered(500), Verdict::Retry, 500)]
    #[case(Outcome::TimedOut, Verdict::Retry, 504)]
    #[case(Outcome::Broken, Verdict::Retry, 502)]
    #[case(Outcome::Unreachable, Verdict::Retry, 502)]
    #[case(Outcome::Refused, Verdict::GiveUp, 502)]
    fn each_outcome_has_one_verdict_and_one_code(
        #[case] outcome: Outcome,
        #[case] verdict: Verdict,
        #[case] code: u16,
    ) {
        assert_eq!((outcome.verdict(), outcome.code()), (verdict, code));
    }

    #[test]
    fn a_refused_target_reads_like_an_unreachable_one() {
        assert_eq!(Outcome::Refused.message(), Outcome::Unreachable.message());
        assert_eq!(Outcome::Refused.failure(), Outcome::Unreachable.failure());
        assert_eq!(Outcome::Refused.code(), Outcome::Unreachable.code());
        assert_eq!(
            Outcome::Refused.shown_ms(0),
            Outcome::Unreachable.shown_ms(999)
        );
        assert_eq!(Outcome::TimedOut.shown_ms(999), 999);
    }
}
