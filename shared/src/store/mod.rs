//! The tables, one file each. A store method is one operation of the domain; what it promises when
//! others write at the same time stands in its doc comment, and is held by DynamoDB's conditions
//! and transactions, never by reading first and hoping.

mod claims;
mod hook_errors;
mod hook_samples;
mod hook_state;
mod hooks;
mod identities;
mod kept;
mod keys;
mod retention;
mod tables;

use std::{fmt::Display, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        delete_item::DeleteItemError, put_item::PutItemError,
        transact_write_items::TransactWriteItemsError, update_item::UpdateItemError,
    },
    types::{
        AttributeValue, CancellationReason, ReturnValue, error::ConditionalCheckFailedException,
    },
};
use jiff::Timestamp;
use tokio::time::timeout;

use crate::model::{InvalidSecret, NoRandomness};

pub use claims::{Claim, Claims, IdSpace};
pub use hook_errors::{HookErrors, OwnedError};
pub use hook_samples::{HookSamples, MAX_SAMPLE_BYTES};
pub use hook_state::{HookStates, Recorded, StoredState};
pub use hooks::{Hooks, SignedHook};
pub use identities::{Found, Identities, StoredToken, TokenDigest};
pub use kept::{ClaimedDelivery, Kept, KeptKey, KeptPages};
pub use retention::{InvalidRetention, Retention};
pub use tables::{TableNames, create_tables};

type Item = std::collections::HashMap<String, AttributeValue>;

/// All tables of a deployment.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Subscriptions.
    pub hooks: Hooks,
    /// Their history.
    pub states: HookStates,
    /// What their deliveries look like.
    pub samples: HookSamples,
    /// What was given up.
    pub errors: HookErrors,
    /// Academies, users, tokens.
    pub identities: Identities,
    /// Event ids already taken.
    pub claims: Claims,
}

impl Stores {
    /// The stores over these tables. Nothing is called yet.
    #[must_use]
    pub fn new(client: &Client, names: &TableNames) -> Self {
        let samples = HookSamples::new(client.clone(), names.hook_samples.clone());
        let state_table = names.hook_state.clone();
        let states = HookStates::new(client.clone(), state_table, samples.clone());
        let hooks_table = names.hooks.clone();
        Self {
            hooks: Hooks::new(client.clone(), hooks_table, states.clone(), samples.clone()),
            states,
            samples,
            errors: HookErrors::new(client.clone(), names.hook_errors.clone()),
            identities: Identities::new(client.clone(), names.identities.clone()),
            claims: Claims::new(client.clone(), names.claims.clone()),
        }
    }
}

/// Why an operation on a table did not happen (or may not have).
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table did not answer, or refused.
    #[error("{operation}: {cause}")]
    Table {
        /// What was tried.
        operation: &'static str,
        /// What the SDK reports, with its causes.
        cause: String,
    },
    /// A stored item, or one to store, has not the shape that it should.
    #[error("an item of the table has an unexpected shape: {0}")]
    Item(#[from] serde_dynamo::Error),
    /// A value to store has no JSON form.
    #[error("a value to store cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A hook's attempts cannot be encoded.
    #[error("attempts to store cannot be encoded: {0}")]
    Attempts(#[from] postcard::Error),
    /// A request to the table could not be built.
    #[error("a request to the table is incomplete: {0}")]
    Request(#[from] aws_sdk_dynamodb::error::BuildError),
    /// A stored secret is none.
    #[error("a secret of the table cannot be read")]
    Secret(#[from] InvalidSecret),
    /// A new secret could not be made.
    #[error("a secret cannot be made")]
    NoRandomness(#[from] NoRandomness),
    /// All ids below 2^53 have been given out.
    #[error("there are no more hook ids")]
    OutOfIds,
    /// A row that was to be new is there already.
    #[error("{0}: one of the ids is taken")]
    Taken(&'static str),
    /// The table kept putting off a part of a read.
    #[error("{0}: the table is too busy")]
    Busy(&'static str),
    /// Others kept changing the same rows.
    #[error("{0}: others keep changing the same rows")]
    Contended(&'static str),
}

/// Turns an SDK error into ours, saying what was tried.
fn failed<E, R>(operation: &'static str) -> impl FnOnce(SdkError<E, R>) -> StoreError
where
    SdkError<E, R>: std::error::Error,
{
    move |error| StoreError::Table {
        operation,
        cause: causes(&error),
    }
}

/// An error and its causes on one line, without the dump of everything that the SDK's own has.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Counts a counter row up by one and returns the new value: each value is returned once, ever.
async fn count_up(
    client: &Client,
    table: &str,
    key: Item,
    operation: &'static str,
) -> Result<u64, StoreError> {
    let answer = client
        .update_item()
        .table_name(table)
        .set_key(Some(key))
        .update_expression("ADD last_id :one")
        .expression_attribute_values(":one", number(1))
        .return_values(ReturnValue::UpdatedNew)
        .send()
        .await
        .map_err(failed(operation))?;
    answer
        .attributes()
        .and_then(|attributes| attributes.get("last_id"))
        .and_then(|value| value.as_n().ok())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| StoreError::Table {
            operation,
            cause: "the table returned no number".to_owned(),
        })
}

/// How a conditional write ended.
enum Conditional<O> {
    Done(O),
    /// Its condition did not hold: the item that stands in the way, if that was asked for. It may be what the write
    /// itself has left, since the SDK repeats a write whose answer was lost. So whoever acts on a write gives it a nonce
    /// and compares.
    Refused(Option<Item>),
}

/// Reads a conditional write's result.
fn conditional<O, E, R>(
    operation: &'static str,
    result: Result<O, SdkError<E, R>>,
) -> Result<Conditional<O>, StoreError>
where
    E: ConditionFailure + ProvideErrorMetadata,
    SdkError<E, R>: std::error::Error,
{
    let error = match result {
        Ok(output) => return Ok(Conditional::Done(output)),
        Err(error) => error,
    };
    let service_error = error.as_service_error();
    if let Some(failure) = service_error.and_then(ConditionFailure::condition_failure) {
        return Ok(Conditional::Refused(failure.item().cloned()));
    }
    match error.code() {
        Some("TransactionConflictException") => Err(StoreError::Contended(operation)),
        _ => Err(failed(operation)(error)),
    }
}

/// Reads a conditional write's result: `None` when its condition did not hold.
fn written<O, E, R>(
    operation: &'static str,
    result: Result<O, SdkError<E, R>>,
) -> Result<Option<O>, StoreError>
where
    E: ConditionFailure + ProvideErrorMetadata,
    SdkError<E, R>: std::error::Error,
{
    Ok(match conditional(operation, result)? {
        Conditional::Done(output) => Some(output),
        Conditional::Refused(_) => None,
    })
}

/// The errors of those writes that can have a condition.
trait ConditionFailure {
    /// What is said of a condition that did not hold, if that is the error.
    fn condition_failure(&self) -> Option<&ConditionalCheckFailedException>;
}

macro_rules! condition_failure {
    ($($error:ident)*) => {$(
        impl ConditionFailure for $error {
            fn condition_failure(&self) -> Option<&ConditionalCheckFailedException> {
                match self {
                    Self::ConditionalCheckFailedException(failure) => Some(failure),
                    _ => None,
                }
            }
        }
    )*};
}

condition_failure!(DeleteItemError PutItemError UpdateItemError);

/// How long it may take to give back what a claim that failed may have been granted.
const GIVING_BACK: Duration = Duration::from_secs(2);

/// Gives back what a claim that failed may have been granted all the same. `false`: it stays until its lease runs out.
fn is_given_back(
    releasing: impl Future<Output = Result<(), StoreError>>,
) -> impl Future<Output = bool> {
    // Boxed: it would be a part of every claim, and is hardly ever needed.
    let releasing = timeout(GIVING_BACK, Box::pin(releasing));
    async { matches!(releasing.await, Ok(Ok(()))) }
}

fn number(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A time as keys and conditions have it, in milliseconds since 1970.
fn millis(time: Timestamp) -> AttributeValue {
    number(time.as_millisecond())
}

/// Tries again for a moment while others hold the same rows, which the SDK does not do by itself.
async fn while_contended<T, F>(attempt: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for pause in PAUSES {
        match attempt().await {
            Err(StoreError::Contended(_)) => tokio::time::sleep(pause).await,
            result => return result,
        }
    }
    attempt().await
}

/// How a transaction ended that may meet a condition of its own.
enum Transaction {
    Done,
    /// A condition did not hold: the index of the first such write.
    ConditionFailed(usize),
}

/// Reads a transaction's result: a failed condition is an answer, everything else an error. A
/// conflict with another transaction is one too: the SDK does not retry it, the caller may.
fn transacted<O, R>(
    operation: &'static str,
    result: Result<O, SdkError<TransactWriteItemsError, R>>,
) -> Result<Transaction, StoreError>
where
    SdkError<TransactWriteItemsError, R>: std::error::Error,
{
    let Err(error) = result else {
        return Ok(Transaction::Done);
    };
    if let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) =
        error.as_service_error()
    {
        let is =
            |code: &'static str| move |reason: &CancellationReason| reason.code() == Some(code);
        let reasons = canceled.cancellation_reasons();
        if let Some(index) = reasons.iter().position(is("ConditionalCheckFailed")) {
            return Ok(Transaction::ConditionFailed(index));
        }
        if reasons.iter().any(is("TransactionConflict")) {
            return Err(StoreError::Contended(operation));
        }
    }
    Err(failed(operation)(error))
}

/// How often something is tried again that the table put off, and how long to wait each time.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];

/// The most items in one reading of a batch (DynamoDB).
const KEYS_PER_BATCH: usize = 100;

/// Reads up to [`KEYS_PER_BATCH`] items of one table, asking again for what the table left out under load.
async fn batch_get(
    client: &Client,
    table: &str,
    keys: Vec<Item>,
    consistent: bool,
    operation: &'static str,
) -> Result<Vec<Item>, StoreError> {
    use aws_sdk_dynamodb::types::KeysAndAttributes;

    let mut found = Vec::with_capacity(keys.len());
    let mut wanted = keys;
    for pause in PAUSES.iter().map(Some).chain([None]) {
        let request = KeysAndAttributes::builder()
            .set_keys(Some(wanted))
            .consistent_read(consistent)
            .build()?;
        let answer = client
            .batch_get_item()
            .request_items(table, request)
            .send()
            .await
            .map_err(failed(operation))?;
        found.extend(
            answer
                .responses
                .and_then(|mut r| r.remove(table))
                .unwrap_or_default(),
        );
        wanted = answer
            .unprocessed_keys
            .and_then(|mut rest| rest.remove(table))
            .map(|rest| rest.keys)
            .unwrap_or_default();
        if wanted.is_empty() {
            return Ok(found);
        }
        if let Some(pause) = pause {
            tokio::time::sleep(*pause).await;
        }
    }
    Err(StoreError::Busy(operation))
}
