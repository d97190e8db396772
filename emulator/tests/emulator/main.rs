//! The local AWS through the real SDKs: what a client can see of it.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what the tests share fails the test that called it"
)]

mod bus;
mod fairness;
mod http_server;
mod limits;
mod poller;
mod queues;
mod storage;
mod sts;

use std::{fmt::Debug, time::Duration};

use aws_sdk_sqs::{
    Client,
    error::ProvideErrorMetadata,
    types::{Message, MessageSystemAttributeName, QueueAttributeName},
};
use emulator::{LocalAws, Storage};

/// Servers in memory.
async fn local() -> LocalAws {
    LocalAws::start(&Storage::Memory).await.unwrap()
}

/// A queue with the attributes; its URL.
async fn queue(sqs: &Client, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
    let mut request = sqs.create_queue().queue_name(name);
    for (attribute, value) in attributes {
        request = request.attributes(attribute.clone(), *value);
    }
    request.send().await.unwrap().queue_url.unwrap()
}

/// The redrive policy that names a queue of this server.
fn redrive_to(name: &str, receives: u32) -> String {
    format!(
        r#"{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:{name}","maxReceiveCount":{receives}}}"#
    )
}

async fn send(sqs: &Client, queue: &str, body: &str) -> String {
    let request = sqs.send_message().queue_url(queue).message_body(body);
    request.send().await.unwrap().message_id.unwrap()
}

/// What can be received within the seconds.
async fn receive(sqs: &Client, queue: &str, wait: i32) -> Vec<Message> {
    let request = sqs
        .receive_message()
        .queue_url(queue)
        .max_number_of_messages(10)
        .wait_time_seconds(wait)
        .message_system_attribute_names(MessageSystemAttributeName::All);
    request.send().await.unwrap().messages.unwrap_or_default()
}

/// The next message, which has to come.
async fn next(sqs: &Client, queue: &str) -> Message {
    let mut messages = receive(sqs, queue, 10).await;
    assert_eq!(messages.len(), 1);
    messages.remove(0)
}

fn system(message: &Message, name: &MessageSystemAttributeName) -> String {
    message.attributes.as_ref().unwrap()[name].clone()
}

/// Messages that can be received, are in flight, and are delayed.
async fn counts(sqs: &Client, queue: &str) -> [u32; 3] {
    let answer = sqs
        .get_queue_attributes()
        .queue_url(queue)
        .attribute_names(QueueAttributeName::All)
        .send()
        .await
        .unwrap();
    let all = answer.attributes.unwrap();
    [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    ]
    .map(|name| all[&name].parse().unwrap())
}

/// Waits until the queue's counts are these.
async fn until_counts(sqs: &Client, queue: &str, wanted: [u32; 3]) {
    let reached = async {
        while counts(sqs, queue).await != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(20), reached)
        .await
        .is_err()
    {
        panic!("{:?} instead of {wanted:?}", counts(sqs, queue).await);
    }
}

/// The code by which a client knows the error.
fn code<T: Debug>(outcome: Result<T, impl ProvideErrorMetadata>) -> String {
    outcome.unwrap_err().code().unwrap().to_owned()
}
