//! When a failed delivery is tried again: pure arithmetic, no clock.

use std::{str::FromStr, time::Duration};

use jiff::Timestamp;

use super::retry_after::RetryAfter;

/// The longest wait that the queue takes, in seconds (SQS: `DelaySeconds`).
const LONGEST_DELAY_S: u32 = 900;

/// How much of a wait may be added to it, so that deliveries that failed together do not all come
/// back together.
const JITTER: f64 = 0.1;

/// The wait before a probe when the schedule has no wait of its own.
const PROBE_WAIT: Duration = Duration::from_mins(1);

/// The waits after the first, second, … failure of a delivery. After the failure that follows the
/// last of them the delivery is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule(Vec<Duration>);

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no wait: a number and s, m, h or d, such as 5s or 15m, from 1s to 7d")]
pub struct InvalidSchedule(String);

impl RetrySchedule {
    /// The schedule unless another is set: eight attempts over about 28 hours.
    pub const DEFAULT: &str = "5s,5m,30m,2h,5h,10h,10h";

    /// The earliest time for the attempt after failure number `failures` (from 1), which was at
    /// `failed_at`; `None` when that was the last attempt. `random`, from 0 to 1, chooses the part of
    /// the jitter that is added. What the endpoint asks for can make the wait longer, never shorter.
    #[must_use]
    pub fn next_attempt(
        &self,
        failures: u32,
        failed_at: Timestamp,
        asked: Option<RetryAfter>,
        random: f64,
    ) -> Option<Timestamp> {
        let scheduled = self.wait_after(failures, random)?;
        let asked = asked.map_or(Duration::ZERO, |asked| asked.wait(failed_at));
        Some(failed_at + scheduled.max(asked))
    }

    /// How long to wait before the next probe of an open circuit, after `probes` that have failed:
    /// the schedule's own waits in their order, none of them longer than the queue delays at once.
    #[must_use]
    pub fn wait_before_probe(&self, probes: u32) -> Duration {
        let index = usize::try_from(probes).unwrap_or(usize::MAX);
        let wait = self.0.get(index).or(self.0.last()).copied();
        // With the jitter of those that wait for it.
        let longest = Duration::from_secs(u64::from(LONGEST_DELAY_S)).div_f64(1.0 + JITTER);
        wait.unwrap_or(PROBE_WAIT).min(longest)
    }

    fn wait_after(&self, failures: u32, random: f64) -> Option<Duration> {
        let index = usize::try_from(failures.checked_sub(1)?).ok()?;
        let wait = self.0.get(index)?;
        Some(wait.mul_f64(1.0 + JITTER * random.clamp(0.0, 1.0)))
    }
}

impl FromStr for RetrySchedule {
    type Err = InvalidSchedule;

    /// Reads waits separated by commas; an empty text is a schedule without retries.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        text.split(',')
            .map(str::trim)
            .map(|item| wait(item).ok_or_else(|| InvalidSchedule(item.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn wait(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    let seconds = number.checked_mul(seconds)?;
    (1..=7 * 86_400)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

/// The delay to give a job that is not to be worked before `not_before`: the whole seconds of the
/// rest of the wait, or as many of them as the queue takes (the worker that gets the job too early
/// sends it on). `None` when its time has come, to the second, which is as fine as the queue counts:
/// a wait of whole seconds is never cut short, and the part of a second that jitter added to it may
/// be.
#[must_use]
pub fn delay_until(not_before: Timestamp, now: Timestamp) -> Option<u32> {
    let rest = not_before.duration_since(now).as_secs();
    if rest <= 0 {
        return None;
    }
    let seconds = u32::try_from(rest).unwrap_or(LONGEST_DELAY_S);
    Some(seconds.min(LONGEST_DELAY_S))
}

/// The delay to give a job that an open circuit puts off for `rest`: the whole of it, rounded up,
/// and up to 10 % more, so that those who wait for the same moment do not all come back in it.
#[must_use]
pub fn put_off_for(rest: Duration, random: f64) -> u32 {
    let rest = rest.as_secs_f64();
    let seconds = rest.ceil() + (rest * JITTER * random.clamp(0.0, 1.0)).floor();
    let seconds = Duration::from_secs_f64(seconds.clamp(1.0, f64::from(LONGEST_DELAY_S)));
    u32::try_from(seconds.as_secs()).unwrap_or(LONGEST_DELAY_S)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(1, 0.0, Some(5_000))]
    #[case(1, 1.0, Some(5_500))]
    #[case(2, 0.0, Some(300_000))]
    #[case(2, 0.5, Some(315_000))]
    #[case(3, 0.0, Some(1_800_000))]
    #[case(4, 1.0, Some(7_920_000))]
    #[case(5, 0.0, Some(18_000_000))]
    #[case(6, 0.0, Some(36_000_000))]
    #[case(7, 0.0, Some(36_000_000))]
    #[case(8, 0.0, None)]
    #[case(u32::MAX, 0.0, None)]
    #[case(0, 0.0, None)]
    #[case(1, 7.0, Some(5_500))]
    fn the_default_waits_and_then_gives_up(
        #[case] failures: u32,
        #[case] random: f64,
        #[case] millis: Option<u64>,
    ) {
        let schedule: RetrySchedule = RetrySchedule::DEFAULT.parse().unwrap();
        let wait = schedule.wait_after(failures, random);
        assert_eq!(wait, millis.map(Duration::from_millis));
    }

    #[rstest]
    #[case(0, 5_000)]
    #[case(4, 5_000)]
    #[case(120, 120_000)]
    #[case(100_000, 86_400_000)]
    fn an_endpoint_can_ask_for_more_time_but_not_for_less(
        #[case] seconds: u64,
        #[case] millis: u64,
    ) {
        let schedule: RetrySchedule = "5s".parse().unwrap();
        let failed_at: Timestamp = "2025-01-20T15:30:00Z".parse().unwrap();
        let asked = Some(RetryAfter::Wait(Duration::from_secs(seconds)));
        let next = schedule.next_attempt(1, failed_at, asked, 0.0);
        assert_eq!(next, Some(failed_at + Duration::from_millis(millis)));
        assert_eq!(schedule.next_attempt(2, failed_at, asked, 0.0), None);
    }

    #[test]
    fn an_empty_schedule_never_retries() {
        assert_eq!(
            "".parse::<RetrySchedule>().unwrap().wait_after(1, 0.0),
            None
        );
    }

    #[rstest]
    #[case("5")]
    #[case("s")]
    #[case("5x")]
    #[case("-5s")]
    #[case("0s")]
    #[case("8d")]
    #[case("1s,99999999999999999999h")]
    #[case("5µ")]
    #[case("1s,,2s")]
    #[case("1s,")]
    fn nonsense_is_named(#[case] text: &str) {
        let error = text.parse::<RetrySchedule>().unwrap_err();
        assert!(text.ends_with(&error.0), "{error}");
    }

    #[rstest]
    #[case("5s,5m,30m,2h", &[5, 300, 818, 818, 818])]
    #[case("1s,2s", &[1, 2, 2, 2, 2])]
    #[case("", &[60, 60, 60, 60, 60])]
    fn probes_follow_the_schedule_as_far_as_the_queue_delays(
        #[case] schedule: RetrySchedule,
        #[case] waits: &[u64],
    ) {
        let waited: Vec<u64> = (0..5)
            .map(|probes| schedule.wait_before_probe(probes).as_secs())
            .collect();
        assert_eq!(waited, waits);
    }

    #[rstest]
    #[case(0, 0.0, 1)]
    #[case(1, 1.0, 1)]
    #[case(1_001, 1.0, 2)]
    #[case(1_000, 0.0, 1)]
    #[case(60_000, 0.0, 60)]
    #[case(60_000, 0.5, 63)]
    #[case(900_000, 1.0, 900)]
    #[case(3_600_000, 0.0, 900)]
    fn what_is_put_off_comes_back_after_its_time_and_not_all_at_once(
        #[case] millis: u64,
        #[case] random: f64,
        #[case] delay_s: u32,
    ) {
        assert_eq!(put_off_for(Duration::from_millis(millis), random), delay_s);
    }

    #[rstest]
    #[case("2025-01-20T15:30:00Z", None)]
    #[case("2025-01-20T15:29:59.999Z", None)]
    #[case("2025-01-20T15:30:00.999Z", None)]
    #[case("2025-01-20T15:30:01.999Z", Some(1))]
    #[case("2025-01-20T15:30:05Z", Some(5))]
    #[case("2025-01-20T15:45:00Z", Some(900))]
    #[case("2025-01-20T15:45:01Z", Some(900))]
    #[case("2325-01-20T15:45:01Z", Some(900))]
    fn long_waits_go_by_hops(#[case] not_before: Timestamp, #[case] delay: Option<u32>) {
        let now = "2025-01-20T15:30:00Z".parse().unwrap();
        assert_eq!(delay_until(not_before, now), delay);
    }

    #[test]
    fn hops_add_up_to_the_whole_seconds_of_the_wait() {
        let start: Timestamp = "2025-01-20T15:30:00Z".parse().unwrap();
        let not_before = start + Duration::from_millis(7_200_500);
        let mut now = start;
        let mut hops = 0;
        while let Some(delay) = delay_until(not_before, now) {
            now += Duration::from_secs(u64::from(delay));
            hops += 1;
        }
        assert_eq!((hops, now), (8, start + Duration::from_hours(2)));
    }
}
