//! An SQS that keeps its messages: the service's JSON protocol over a SQLite file.
//!
//! It holds standard queues to the limits that the service documents, refuses what it does not do
//! rather than ignore it, and keeps exact time. A message is in the file when its sender is
//! answered.

mod actions;
mod api;
mod groups;
mod messages;
mod queue;
mod server;
mod store;

pub use groups::GROUP_IN_FLIGHT;
pub(crate) use queue::ACCOUNT;
pub(crate) use server::{Server, now};
pub(crate) use store::Store;

/// What a caller did wrong, or what is wrong here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SqsError {
    #[error("The specified queue does not exist.")]
    NoSuchQueue,
    #[error("A queue of this name exists with another {0}.")]
    QueueExists(String),
    #[error("{0}")]
    InvalidParameter(String),
    #[error("The request must contain the parameter {0}.")]
    MissingParameter(&'static str),
    #[error("The attribute {0} does not exist.")]
    InvalidAttributeName(String),
    #[error("The attribute {0} cannot be {1:?}.")]
    InvalidAttributeValue(String, String),
    #[error("The message has a character that is not allowed.")]
    InvalidMessageContents,
    #[error("There is no entry in the batch.")]
    EmptyBatch,
    #[error("A batch has at most 10 entries, this one has {0}.")]
    TooManyEntries(usize),
    #[error("Two entries of the batch have the same id.")]
    IdsNotDistinct,
    #[error("{0:?} is no id of a batch's entry: 1 to 80 letters, digits, hyphens and underscores.")]
    InvalidEntryId(String),
    #[error("The batch has {0} bytes, at most 1048576 are allowed.")]
    BatchTooLong(usize),
    #[error("The receipt handle is not valid.")]
    InvalidReceipt,
    #[error("The message is not in flight.")]
    NotInFlight,
    #[error("The action {0} is not known here.")]
    InvalidAction(String),
    #[error("The request cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("The queues' file cannot be used.")]
    Storage(#[from] rusqlite::Error),
}

impl SqsError {
    /// The error's shape in the service's model, and its older code, which clients also know.
    fn codes(&self) -> (&'static str, &'static str) {
        match self {
            Self::NoSuchQueue => (
                "QueueDoesNotExist",
                "AWS.SimpleQueueService.NonExistentQueue",
            ),
            Self::QueueExists(_) => ("QueueNameExists", "QueueAlreadyExists"),
            Self::InvalidParameter(_) => ("InvalidParameterValue", "InvalidParameterValue"),
            Self::MissingParameter(_) => ("MissingParameter", "MissingParameter"),
            Self::InvalidAttributeName(_) => ("InvalidAttributeName", "InvalidAttributeName"),
            Self::InvalidAttributeValue(..) => ("InvalidAttributeValue", "InvalidAttributeValue"),
            Self::InvalidMessageContents => ("InvalidMessageContents", "InvalidMessageContents"),
            Self::EmptyBatch => (
                "EmptyBatchRequest",
                "AWS.SimpleQueueService.EmptyBatchRequest",
            ),
            Self::TooManyEntries(_) => (
                "TooManyEntriesInBatchRequest",
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            ),
            Self::IdsNotDistinct => (
                "BatchEntryIdsNotDistinct",
                "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            ),
            Self::InvalidEntryId(_) => (
                "InvalidBatchEntryId",
                "AWS.SimpleQueueService.InvalidBatchEntryId",
            ),
            Self::BatchTooLong(_) => (
                "BatchRequestTooLong",
                "AWS.SimpleQueueService.BatchRequestTooLong",
            ),
            Self::InvalidReceipt => ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"),
            Self::NotInFlight => (
                "MessageNotInflight",
                "AWS.SimpleQueueService.MessageNotInflight",
            ),
            Self::InvalidAction(_) => ("InvalidAction", "InvalidAction"),
            Self::Malformed(_) => ("SerializationException", "MalformedInput"),
            Self::Storage(_) => ("InternalFailure", "InternalFailure"),
        }
    }
}
