//! A queue: its name, its attributes, and what each of them may be.

use super::{
    SqsError,
    store::{Attributes, Millis},
};

/// The account that all queues belong to.
pub(crate) const ACCOUNT: &str = "000000000000";

/// The attributes that a queue may be given, and what each is without.
pub(super) const ATTRIBUTES: [(&str, &str); 6] = [
    ("DelaySeconds", "0"),
    ("MaximumMessageSize", "1048576"),
    ("MessageRetentionPeriod", "345600"),
    ("ReceiveMessageWaitTimeSeconds", "0"),
    ("RedrivePolicy", ""),
    ("VisibilityTimeout", "30"),
];

/// A queue that is there.
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) attributes: Attributes,
    pub(super) created_at: Millis,
}

impl Queue {
    pub(super) fn number(&self, attribute: &str) -> i64 {
        let value = self.attributes.get(attribute).map(String::as_str);
        let default = ATTRIBUTES
            .iter()
            .find(|(name, _)| *name == attribute)
            .map(|(_, value)| *value);
        value
            .or(default)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }

    /// Its redrive policy.
    pub(super) fn redrive(&self) -> Option<(i64, String)> {
        redrive_policy(self.attributes.get("RedrivePolicy")?)
    }
}

/// After how many receives a message goes to which queue, if the text says so.
pub(super) fn redrive_policy(text: &str) -> Option<(i64, String)> {
    let policy: serde_json::Value = serde_json::from_str(text).ok()?;
    let count = &policy["maxReceiveCount"];
    let count = count.as_i64().or_else(|| count.as_str()?.parse().ok())?;
    let target = policy["deadLetterTargetArn"]
        .as_str()?
        .rsplit(':')
        .next()?
        .to_owned();
    (1..=1000).contains(&count).then_some((count, target))
}

pub(super) fn arn(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{name}")
}

pub(super) fn is_readable(name: &str) -> bool {
    ATTRIBUTES.iter().any(|(known, _)| *known == name)
        || name == "QueueArn"
        || name == "CreatedTimestamp"
        || name.starts_with("ApproximateNumberOfMessages")
}

pub(super) fn check_attribute(name: &str, value: &str) -> Result<(), SqsError> {
    let range = match name {
        "DelaySeconds" => 0..=900,
        "MaximumMessageSize" => 1024..=1_048_576,
        "MessageRetentionPeriod" => 60..=1_209_600,
        "ReceiveMessageWaitTimeSeconds" => 0..=20,
        "VisibilityTimeout" => 0..=43_200,
        "RedrivePolicy" => {
            let invalid = || SqsError::InvalidAttributeValue(name.to_owned(), value.to_owned());
            return redrive_policy(value).map(drop).ok_or_else(invalid);
        }
        unknown => return Err(SqsError::InvalidAttributeName(unknown.to_owned())),
    };
    match value.parse::<i64>() {
        Ok(number) if range.contains(&number) => Ok(()),
        _ => Err(SqsError::InvalidAttributeValue(
            name.to_owned(),
            value.to_owned(),
        )),
    }
}
