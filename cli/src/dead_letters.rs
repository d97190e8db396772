//! The operator's look into the dead-letter queue.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use aws_sdk_sqs::{
    Client,
    types::{Message, MessageSystemAttributeName, QueueAttributeName},
};
use jiff::Timestamp;
use shared::{
    aws, clock, config,
    model::{DeliveryJob, QueueMessage},
    terminal::printable,
};

use crate::{
    args::{DlqArgs, DlqCommand},
    operator::queue_url,
};

/// The most messages that SQS hands out at once.
const AT_ONCE: i32 = 10;

/// How long a look waits for messages, in seconds. With a wait all of the queue is looked at, without
/// one a part of it.
const WAIT_S: i32 = 1;

/// After how many looks in a row that show nothing new all is taken to be seen.
const LOOKS: usize = 3;

pub(crate) async fn run(args: DlqArgs) -> Result<()> {
    let DlqCommand::Peek { max, payload } = args.command;
    let sqs = Client::new(&aws::sdk_config().await);
    let environment = config::dead_letters_queue;
    let url = queue_url(&args.deployment, "dead-letters", environment, &sqs).await?;
    peek(&sqs, &url, max, |message| show(message, payload)).await
}

/// Shows what is in a queue, without taking it away.
pub(crate) async fn peek(sqs: &Client, url: &str, max: u16, show: impl Fn(&Message)) -> Result<()> {
    count(sqs, url).await?;
    let max = usize::from(max);
    let mut seen = BTreeSet::new();
    let mut barren = 0;
    while seen.len() < max && barren < LOOKS {
        barren += 1;
        for message in look(sqs, url).await? {
            let id = message.message_id.clone().unwrap_or_default();
            if seen.len() < max && seen.insert(id) {
                barren = 0;
                show_age(&message, clock::now());
                show(&message);
            }
        }
    }
    Ok(())
}

async fn count(sqs: &Client, url: &str) -> Result<()> {
    use QueueAttributeName::{
        ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesDelayed as Delayed,
        ApproximateNumberOfMessagesNotVisible as InFlight,
    };
    let request = sqs.get_queue_attributes().queue_url(url);
    let request = request.set_attribute_names(Some(vec![Visible, InFlight, Delayed]));
    let answer = request.send().await;
    let answer = answer.context("the queue cannot be looked at")?;
    let attributes = answer.attributes.unwrap_or_default();
    let number = |name| attributes.get(&name).map_or("?", String::as_str);
    say!(
        "Messages: {} visible, {} in flight, {} delayed",
        number(Visible),
        number(InFlight),
        number(Delayed),
    );
    Ok(())
}

/// Some of the messages. They stay visible to all others.
async fn look(sqs: &Client, url: &str) -> Result<Vec<Message>> {
    let request = sqs
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(AT_ONCE)
        .visibility_timeout(0)
        .wait_time_seconds(WAIT_S)
        .message_attribute_names("All")
        .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
        .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
    let answer = request.send().await;
    let answer = answer.context("the queue cannot be looked at")?;
    Ok(answer.messages.unwrap_or_default())
}

/// Which message it is, and how old.
fn show_age(message: &Message, now: Timestamp) {
    let attribute = |name| {
        let attributes = message.attributes.as_ref()?;
        attributes.get(&name)?.parse::<i64>().ok()
    };
    let sent_ms = attribute(MessageSystemAttributeName::SentTimestamp);
    let age = sent_ms.map_or_else(
        || "of unknown age".to_owned(),
        |sent_ms| format!("{} old", span((now.as_millisecond() - sent_ms) / 1_000)),
    );
    let receives = attribute(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(0);
    let id = message.message_id().unwrap_or("?");
    say!("\nmessage {id}  {age}  received {receives} times");
}

fn show(message: &Message, payload: bool) {
    let body = message.body().unwrap_or_default();
    match QueueMessage::decode(body) {
        Ok(QueueMessage::DeadLetter(letter)) => {
            let message = printable(&letter.message);
            say!("  dead letter: {message} At {}.", letter.failed_at);
            show_job(&letter.job, payload);
        }
        Ok(QueueMessage::Delivery(job)) => {
            say!("  job that the queue gave up: its worker ended again and again.");
            show_job(&job, payload);
        }
        Err(error) => {
            let error = printable(&error.to_string());
            say!("  unreadable: {error}; {} bytes", body.len());
            if payload {
                say!("  body {body:?}");
            }
        }
    }
}

fn show_job(job: &DeliveryJob, payload: bool) {
    say!(
        "  delivery {} to hook {} of {}, attempt {}",
        job.delivery_id,
        job.hook.id,
        printable(&job.hook.owner),
        job.attempt
    );
    // Quoted, since publishers choose these ids.
    let event = printable(&job.event);
    say!("  event {event} with the id {:?}", job.event_id);
    if payload {
        say!("  payload {}", printable(job.payload.get()));
    }
}

/// A number of seconds in the largest unit that is full.
fn span(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let fits = units.into_iter().find(|(size, _)| seconds >= *size);
    match fits {
        Some((size, unit)) => format!("{} {unit}", seconds / size),
        None => format!("{} s", seconds.max(0)),
    }
}
