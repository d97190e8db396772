//! `Retry-After`: when an endpoint wants to be asked again (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use http::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use jiff::Timestamp;

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
    /// busy and will not be; what is neither seconds nor a date is as if it were not there. A part of a
    /// second, which the standard does not have, counts as a whole one.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let busy = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        if !busy.contains(&status) {
            return None;
        }
        let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Some(seconds) = seconds(value) {
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

/// A number of seconds, rounded up; `None` for what is none.
fn seconds(text: &str) -> Option<u64> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if !is_number(whole) || !is_number(part) {
        return None;
    }
    // Digits that do not fit are a very long time.
    let whole = whole.parse().unwrap_or(u64::MAX);
    let begun = part.bytes().any(|digit| digit != b'0');
    Some(whole.saturating_add(begun.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
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
    #[case("5.5", Some(6))]
    #[case("5.0", Some(5))]
    #[case("0.001", Some(1))]
    #[case("99999999999999999999999.5", Some(86_400))]
    #[case("5.", None)]
    #[case(".5", None)]
    #[case("5.5.5", None)]
    #[case("1e3", None)]
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

    proptest! {
        #[test]
        fn a_part_of_a_second_is_never_cut_off(whole in 0_u32..80_000, thousandths in 0_u32..1_000) {
            let least = u64::from(whole) * 1_000 + u64::from(thousandths);
            let waited = asked(503, &format!("{whole}.{thousandths:03}"));
            prop_assert_eq!(waited, Some(least.div_ceil(1_000)));
        }

        #[test]
        fn any_text_is_read_without_harm(text in "[ -~]{0,40}") {
            prop_assert!(asked(429, &text).is_none_or(|seconds| seconds <= 86_400));
        }
    }
}
