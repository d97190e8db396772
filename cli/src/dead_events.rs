//! The operator's commands for events of the bus that are wrong.

use anyhow::{Context, Result};
use aws_sdk_sqs::{
    Client,
    types::{Message, MessageSystemAttributeName::SentTimestamp},
};
use serde::Deserialize;
use shared::{aws, clock, config};

use crate::{
    args::{BusArgs, BusCommand},
    dead_letters::peek,
    operator::queue_url,
};

/// How long what is being sent again stays hidden from others, in seconds.
const HIDDEN_S: i32 = 60;

/// What is shown of an event.
#[derive(Deserialize)]
struct Envelope {
    id: String,
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
}

pub(crate) async fn run(args: BusArgs) -> Result<()> {
    let sqs = Client::new(&aws::sdk_config().await);
    let deployment = &args.deployment;
    let dead = queue_url(deployment, "dead-events", config::dead_events_queue, &sqs).await?;
    match args.command {
        BusCommand::Peek { max, payload } => {
            peek(&sqs, &dead, max, |message| show(message, payload)).await
        }
        BusCommand::Resend => {
            let events = queue_url(deployment, "events", config::events_queue, &sqs).await?;
            resend(&sqs, &dead, &events).await
        }
    }
}

fn show(message: &Message, payload: bool) {
    let attributes = message.message_attributes.as_ref();
    let reason = attributes.and_then(|attributes| attributes.get("reason")?.string_value());
    // Without one it was received too often: the function's log has what happened each time.
    let reason = reason.unwrap_or("It could not be published, again and again.");
    println!("  {}", printable(reason));
    let body = message.body().unwrap_or_default();
    match serde_json::from_str::<Envelope>(body) {
        // Quoted, since whoever puts events on the bus chooses these.
        Ok(event) => println!(
            "  event {:?} from {:?} with the id {:?}",
            event.detail_type, event.source, event.id
        ),
        Err(_) => println!("  no event of a bus; {} bytes", body.len()),
    }
    if payload {
        println!("  {}", printable(body));
    }
}

/// A text that does nothing to the terminal.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// Sends what was there when it began: an event that comes back at once is not sent for ever.
async fn resend(sqs: &Client, dead: &str, events: &str) -> Result<()> {
    let began = clock::now().as_millisecond();
    let (mut sent, mut newer) = (0, Vec::new());
    loop {
        let request = sqs.receive_message().queue_url(dead);
        let request = request
            .max_number_of_messages(10)
            .wait_time_seconds(1)
            .visibility_timeout(HIDDEN_S)
            .message_system_attribute_names(SentTimestamp);
        let answer = request.send().await;
        let messages = answer.context("the dead events cannot be read")?.messages;
        let messages = messages.unwrap_or_default();
        if messages.is_empty() {
            break;
        }
        for message in messages {
            if is_newer(&message, began) {
                newer.push(message);
                continue;
            }
            let body = message.body().unwrap_or_default();
            let request = sqs.send_message().queue_url(events).message_body(body);
            let failed = "an event could not be sent: it stays with the dead ones";
            request.send().await.context(failed)?;
            let request = sqs.delete_message().queue_url(dead);
            let request = request.set_receipt_handle(message.receipt_handle);
            let failed = "an event was sent, and stays with the dead ones, too";
            request.send().await.context(failed)?;
            sent += 1;
        }
    }
    // They were only hidden so that the others come.
    for message in newer {
        let request = sqs.change_message_visibility().queue_url(dead);
        let request = request.set_receipt_handle(message.receipt_handle);
        let shown = request.visibility_timeout(0).send().await;
        shown.context("an event stays hidden for a minute")?;
    }
    println!("{sent} events are on their way again.");
    Ok(())
}

fn is_newer(message: &Message, began: i64) -> bool {
    let attributes = message.attributes.as_ref();
    let sent_at = attributes.and_then(|attributes| attributes.get(&SentTimestamp)?.parse().ok());
    sent_at.is_some_and(|sent_at: i64| sent_at > began)
}
