//! Counting what a batch of deliveries did to a hook: once, whatever becomes of the answers.
//!
//! A counter is added to, and whoever adds again because an answer was lost counts twice. So each such write leaves a
//! token of its own in the row, in one of a few slots, and only where it finds an older one. The SDK does not repeat
//! it. We do, and what stands in the slot then tells: our token, that an earlier try has counted; an older one, that
//! none has. A newer one is another batch's: if an earlier try got no answer, nobody can tell any more, and the batch
//! is left uncounted.

use std::{cmp::Ordering, collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    config::{Builder, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::{UpdateItemError, UpdateItemOutput},
    primitives::Blob,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use jiff::Timestamp;
use tokio::time::timeout;

use super::{HookStates, encoded, key};
use crate::{
    aws::{OPERATION_TIMEOUT, is_unsent},
    clock,
    model::{AttemptRecord, Counts, HookId, Period},
    store::{ConditionFailure, Item, StoreError, failed, millis, number},
};

const RECORD: &str = "record deliveries of a hook";

/// How many batches of a hook are told apart that are recorded at the same time. Each takes a dozen bytes of a row that
/// is to stay below a kilobyte.
const SLOTS: u8 = 8;

/// How often a write is tried.
const TRIES: usize = 10;

/// How long to wait before the second try, on the average: before each one after it twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// How long to wait before a try at most, on the average.
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// The greatest time that a token has room for, in milliseconds.
const LAST_MILLIS: i64 = (1 << 48) - 1;

/// What a batch of deliveries did to one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The hook.
    pub hook_id: HookId,
    /// How many calls were made: none where the target was refused each time, and then the hook's last call
    /// is another one.
    pub calls: u64,
    /// When the last of them ended, or the last attempt, if there was no call.
    pub last_call_at: Timestamp,
    /// How.
    pub last_response_code: u16,
    /// Whether any of them succeeded.
    pub succeeded: bool,
    /// How many failed since the last that succeeded, or of all.
    pub failures: u64,
    /// How many attempts arrived and failed, calls or not.
    pub attempted: Counts,
    /// The periods in the hook's row that do not count any more.
    pub expired_periods: Vec<Period>,
    /// When the hook that was called had last been edited.
    pub edited_at: Timestamp,
    /// The hook's newest attempts, those of the batch among them; none when those before it are not
    /// known, which then stay.
    pub attempts: Option<Vec<AttemptRecord>>,
    /// When a payload of it was kept as a sample, if one was.
    pub sampled_at: Option<Timestamp>,
}

/// Names a batch in a hook's row: the time and a random number, so that newer tokens compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BatchToken([u8; 10]);

impl BatchToken {
    /// A token of this time, or of the nearest that it has room for.
    fn at(millis: i64) -> Self {
        let mut bytes = [0; 10];
        bytes[..6].copy_from_slice(&millis.clamp(0, LAST_MILLIS).to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&rand::random::<[u8; 4]>());
        Self(bytes)
    }

    /// The attribute that it is kept in.
    fn slot(self) -> String {
        slot_name(self.0[9] % SLOTS)
    }

    fn value(self) -> AttributeValue {
        AttributeValue::B(Blob::new(self.0))
    }

    /// What stands in its slot.
    fn slot_in(self, row: &Item) -> Slot {
        let token = row.get(&self.slot()).and_then(|value| value.as_b().ok());
        match token.map(|token| token.as_ref().cmp(&self.0[..])) {
            None | Some(Ordering::Less) => Slot::Free,
            Some(Ordering::Equal) => Slot::Ours,
            Some(Ordering::Greater) => Slot::Taken,
        }
    }
}

/// By how many milliseconds a token must be later than now to be newer than all those in a row: by none, unless they
/// are of a clock that is ahead.
fn lead_over(row: &Item, now: Timestamp) -> i64 {
    let tokens = (0..SLOTS).filter_map(|slot| row.get(&slot_name(slot))?.as_b().ok());
    let millis = tokens.filter_map(|token| {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(token.as_ref().get(..6)?);
        Some(i64::from_be_bytes(bytes))
    });
    let next = millis.max().map_or(0, |newest| newest + 1);
    next.saturating_sub(now.as_millisecond()).max(0)
}

fn slot_name(slot: u8) -> String {
    format!("b{slot:x}")
}

/// What stands in a token's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// Nothing, or an older token: the write has not taken effect.
    Free,
    /// The token: it has.
    Ours,
    /// A newer token, of another batch: it may have before that.
    Taken,
}

/// A write that counts, but for its token.
#[derive(Default)]
struct Counting {
    add: Vec<String>,
    set: Vec<&'static str>,
    remove: Vec<String>,
    condition: &'static str,
    values: HashMap<String, AttributeValue>,
}

impl Counting {
    fn value(&mut self, name: &str, value: AttributeValue) {
        self.values.insert(name.to_owned(), value);
    }

    /// Adds the calls, and the attempts to their period.
    fn count(&mut self, recorded: &Recorded) {
        if recorded.calls > 0 {
            self.add.push("total_calls :calls".to_owned());
            self.value(":calls", number(recorded.calls));
        }
        let period = Period::of(recorded.last_call_at);
        self.add.push(format!("{} :attempted", period.attribute()));
        self.value(":attempted", number(recorded.attempted.packed()));
        let over = recorded
            .expired_periods
            .iter()
            .filter(|over| **over != period);
        self.remove.extend(over.map(|period| period.attribute()));
    }

    /// The expression that writes the token as well.
    fn expression(&self, token: BatchToken) -> String {
        let mut expression = format!("SET {} = :token", token.slot());
        for set in &self.set {
            expression = format!("{expression}, {set}");
        }
        for (clause, parts) in [("ADD", &self.add), ("REMOVE", &self.remove)] {
            if !parts.is_empty() {
                expression = format!("{expression} {clause} {}", parts.join(", "));
            }
        }
        expression
    }
}

/// How a write that counts ended.
enum Counted {
    /// It has taken effect, once: what it has left in the row.
    Done(Item),
    /// It has not: its condition does not hold.
    Refused,
    /// It has not: the hook is gone.
    Gone,
    /// It may have, and is not made again.
    Unknown,
}

impl HookStates {
    /// Counts a batch of deliveries in its hook's row, and returns the hook's failures in a row, or `None` if a newer
    /// call is already shown. Batches may be recorded out of order, or after an edit: all are counted, but only the newest
    /// call of the hook as it is now sets what is shown, the failures in a row, and the remembered attempts. A success
    /// closes the circuit. Where there was no call, only the attempts are remembered and counted. If the hook was
    /// deleted, only the batch's sample is removed.
    ///
    /// A batch is counted at most once: it is left out if every answer is lost, or if one is and another batch takes its
    /// slot. All tries together take [`OPERATION_TIMEOUT`] at most.
    pub async fn record(&self, recorded: &Recorded) -> Result<Option<u64>, StoreError> {
        let counting = timeout(OPERATION_TIMEOUT, self.count_batch(recorded)).await;
        let counted = counting.unwrap_or_else(|_| {
            Err(StoreError::Table {
                operation: RECORD,
                cause: "the table did not answer in time".to_owned(),
            })
        });
        let (counted, is_newest) = counted?;
        match counted {
            Counted::Done(row) if is_newest => return Ok(failures_in_row(&row)),
            Counted::Gone if recorded.sampled_at.is_some() => {
                self.samples.forget(recorded.hook_id).await?;
            }
            Counted::Unknown => {
                let (hook, calls) = (recorded.hook_id.get(), recorded.calls);
                tracing::warn!(
                    hook,
                    calls,
                    "calls may not be counted: an answer of the table was lost"
                );
            }
            Counted::Done(_) | Counted::Refused | Counted::Gone => {}
        }
        Ok(None)
    }

    /// Counts a batch, and says whether it was the hook's newest.
    async fn count_batch(&self, recorded: &Recorded) -> Result<(Counted, bool), StoreError> {
        let id = recorded.hook_id;
        match self.count(id, &of_newest(recorded)?).await? {
            Counted::Refused => Ok((self.count(id, &of_older(recorded)).await?, false)),
            counted => Ok((counted, true)),
        }
    }

    /// Makes a write that counts, once. The pauses between its tries are random: of many that lose to each other, all would
    /// else come back at once.
    async fn count(&self, id: HookId, write: &Counting) -> Result<Counted, StoreError> {
        let mut lead = 0;
        let mut token = BatchToken::at(clock::now().as_millisecond());
        let mut may_have_counted = false;
        let growing = |pause: &Duration| Some(LONGEST_PAUSE.min(*pause * 2));
        let mut pauses = std::iter::successors(Some(FIRST_PAUSE), growing).take(TRIES - 1);
        loop {
            let error = match self.try_to_count(id, write, token).await {
                Ok(output) => return Ok(Counted::Done(output.attributes.unwrap_or_default())),
                Err(error) => error,
            };
            let service_error = error.as_service_error();
            let error = match service_error.and_then(ConditionFailure::condition_failure) {
                Some(failure) => {
                    let Some(row) = failure.item() else {
                        return Ok(Counted::Gone);
                    };
                    match token.slot_in(row) {
                        Slot::Free => return Ok(Counted::Refused),
                        Slot::Ours => return Ok(Counted::Done(row.clone())),
                        Slot::Taken if may_have_counted => return Ok(Counted::Unknown),
                        Slot::Taken => lead = lead_over(row, clock::now()),
                    }
                    StoreError::Contended(RECORD)
                }
                None if is_busy(&error) => StoreError::Contended(RECORD),
                None if is_lost(&error) => {
                    may_have_counted |= !is_unsent(&error);
                    failed(RECORD)(error)
                }
                None => return Err(failed(RECORD)(error)),
            };
            let Some(pause) = pauses.next() else {
                return Err(error);
            };
            tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
            if !may_have_counted {
                let now = clock::now().as_millisecond();
                token = BatchToken::at(now.saturating_add(lead));
            }
        }
    }

    async fn try_to_count(
        &self,
        id: HookId,
        write: &Counting,
        token: BatchToken,
    ) -> Result<UpdateItemOutput, SdkError<UpdateItemError>> {
        let slot = token.slot();
        let condition = format!(
            "attribute_exists(hook_id) AND (attribute_not_exists({slot}) OR {slot} < :token){}",
            write.condition
        );
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(id)))
            .update_expression(write.expression(token))
            .condition_expression(condition)
            .set_expression_attribute_values(Some(write.values.clone()))
            .expression_attribute_values(":token", token.value())
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .config_override(Builder::new().retry_config(RetryConfig::disabled()))
            .send()
            .await
    }
}

/// The write when the batch's last call is the newest of the hook.
fn of_newest(recorded: &Recorded) -> Result<Counting, StoreError> {
    let mut write = Counting {
        condition: " AND (attribute_not_exists(last_call_ms) OR last_call_ms <= :ms) \
                    AND (attribute_not_exists(edited_ms) OR edited_ms <= :edited)",
        ..Counting::default()
    };
    let at = recorded.last_call_at;
    write.value(":edited", millis(recorded.edited_at));
    write.value(":ms", millis(at));
    write.count(recorded);
    if recorded.calls > 0 {
        write
            .set
            .push("last_call_at = :at, last_call_ms = :ms, last_response_code = :code");
        write.value(":at", AttributeValue::S(at.to_string()));
        write.value(":code", number(recorded.last_response_code));
        write.value(":failures", number(recorded.failures));
        if recorded.succeeded {
            write.set.push("failures_in_row = :failures");
            write.remove.push("circuit".to_owned());
        } else {
            write.add.push("failures_in_row :failures".to_owned());
        }
    }
    if let Some(attempts) = &recorded.attempts {
        write.set.push("attempts = :attempts");
        write.value(":attempts", encoded(attempts)?);
    }
    if let Some(at) = recorded.sampled_at {
        write.set.push("sampled_ms = :sampled");
        write.value(":sampled", millis(at));
    }
    Ok(write)
}

/// The write when it is not, or when the hook has been edited since: the counts alone.
fn of_older(recorded: &Recorded) -> Counting {
    let mut write = Counting::default();
    write.count(recorded);
    write
}

/// The failures in a row that a write has left.
fn failures_in_row(row: &Item) -> Option<u64> {
    row.get("failures_in_row")?.as_n().ok()?.parse().ok()
}

/// Whether no answer came, or one that says that the server failed: the write may have taken effect.
fn is_lost(error: &SdkError<UpdateItemError>) -> bool {
    match error {
        SdkError::ServiceError(context) => context.raw().status().is_server_error(),
        SdkError::ConstructionFailure(_) => false,
        _ => true,
    }
}

/// Whether the table throttled the write, or a transaction held the row.
fn is_busy(error: &SdkError<UpdateItemError>) -> bool {
    matches!(
        error.code(),
        Some(
            "TransactionConflictException"
                | "ProvisionedThroughputExceededException"
                | "RequestLimitExceeded"
                | "ThrottlingException"
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_token_compares_greater_and_names_one_of_eight_slots() {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let (now, then) = (
            time("2025-01-20T15:30:00Z"),
            time("2025-01-20T15:30:00.001Z"),
        );
        let early = BatchToken::at(now.as_millisecond());
        let late = BatchToken::at(then.as_millisecond());
        assert!(early < late);
        let row = Item::from([(early.slot(), late.value())]);
        assert_eq!(early.slot_in(&row), Slot::Taken);
        assert_eq!(early.slot_in(&Item::new()), Slot::Free);
        let row = Item::from([(early.slot(), early.value())]);
        assert_eq!(early.slot_in(&row), Slot::Ours);
        assert!(u8::from_str_radix(&early.slot()[1..], 16).is_ok_and(|slot| slot < SLOTS));
    }

    #[test]
    fn a_token_is_later_than_now_by_as_much_as_the_newest_of_the_row_needs() {
        let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_millis(1_000);
        let row = |millis: &[i64]| -> Item {
            let tokens = (0..).zip(millis);
            tokens
                .map(|(slot, millis)| (slot_name(slot), BatchToken::at(*millis).value()))
                .collect()
        };
        assert_eq!(lead_over(&Item::new(), now), 0);
        assert_eq!(lead_over(&row(&[7, 999]), now), 0);
        assert_eq!(lead_over(&row(&[4_000, 1_000, 7]), now), 3_001);
        let lead = lead_over(&row(&[1_000]), now);
        assert!(BatchToken::at(1_000 + lead) > BatchToken::at(1_000));
    }

    #[test]
    fn a_token_of_a_time_that_it_has_no_room_for_is_the_first_or_the_last() {
        let millis = |token: BatchToken| token.0[..6].to_vec();
        for time in [i64::MIN, -1, 0] {
            assert_eq!(millis(BatchToken::at(time)), [0; 6], "{time}");
        }
        for time in [LAST_MILLIS, LAST_MILLIS + 1, i64::MAX] {
            assert_eq!(millis(BatchToken::at(time)), [255; 6], "{time}");
        }
        let row = Item::from([(slot_name(0), BatchToken::at(LAST_MILLIS).value())]);
        assert_eq!(
            lead_over(&row, Timestamp::MIN),
            LAST_MILLIS + 1 - Timestamp::MIN.as_millisecond()
        );
    }
}
