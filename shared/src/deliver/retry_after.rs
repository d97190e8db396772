//! `Retry-After`: when an endpoint wants to be asked again (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};

/// The longest wait that an endpoint can ask for.
const LONGEST: Duration = Duration::from_hours(24);

/// What an endpoint asks for in a `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// So long after its answer.
    Wait(Duration),
    /// Not before this time.
    Until(Timestamp),
}

impl RetryAfter {
    /// What an answer asks for. Only 429 and 503 may ask, as they alone say that the endpoint is
    /// busy and will not be; what is neither seconds nor a date is as if it were not there.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let busy = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        if !busy.contains(&status) {
            return None;
        }
        let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            // Digits that do not fit are a very long time.
            let seconds = value.parse().unwrap_or(u64::MAX);
            return Some(Self::Wait(Duration::from_secs(seconds)));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        let since_1970 = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        // A date that does not fit is a very late one.
        let seconds = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
        let date = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        Some(Self::Until(date))
    }

    /// The wait from an answer that came at `now`: at most 24 hours, none for a time that has passed.
    #[must_use]
    pub fn wait(self, now: Timestamp) -> Duration {
        let wait = match self {
            Self::Wait(wait) => wait,
            Self::Until(time) => {
                let wait = Duration::try_from(time.duration_since(now)).unwrap_or_default();
                // The queue counts in whole seconds: not one too few.
                Duration::from_secs_f64(wait.as_secs_f64().ceil())
            }
        };
        wait.min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn asked(status: u16, value: &str) -> Option<u64> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        let status = StatusCode::from_u16(status).unwrap();
        let now = "1994-11-06T08:49:07Z".parse().unwrap();
        RetryAfter::of(status, &headers).map(|asked| asked.wait(now).as_secs())
    }

    #[rstest]
    #[case("0", Some(0))]
    #[case("120", Some(120))]
    #[case(" 120 ", Some(120))]
    #[case("86400", Some(86_400))]
    #[case("86401", Some(86_400))]
    #[case("99999999999999999999999", Some(86_400))]
    #[case("Sun, 06 Nov 1994 08:49:37 GMT", Some(30))]
    #[case("Sunday, 06-Nov-94 08:49:37 GMT", Some(30))]
    #[case("Sun Nov  6 08:49:37 1994", Some(30))]
    #[case("Sun, 06 Nov 1994 08:48:37 GMT", Some(0))]
    #[case("Wed, 06 Nov 2094 08:49:37 GMT", None)]
    #[case("Sat, 06 Nov 2094 08:49:37 GMT", Some(86_400))]
    #[case("Fri, 31 Dec 9999 23:59:59 GMT", Some(86_400))]
    #[case("", None)]
    #[case("-5", None)]
    #[case("+5", None)]
    #[case("1.5", None)]
    #[case("soon", None)]
    #[case("5s", None)]
    #[case("1994-11-06T08:49:37Z", None)]
    fn seconds_and_dates_are_read_and_nonsense_is_not(
        #[case] value: &str,
        #[case] seconds: Option<u64>,
    ) {
        assert_eq!(asked(429, value), seconds);
        assert_eq!(asked(503, value), seconds);
    }

    #[rstest]
    #[case(200)]
    #[case(301)]
    #[case(404)]
    #[case(500)]
    fn other_answers_cannot_ask(#[case] status: u16) {
        assert_eq!(asked(status, "120"), None);
    }
}
