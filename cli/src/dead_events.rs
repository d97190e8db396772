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
    println!(
        "  {}",
        reason.unwrap_or("It could not be published, again and again.")
    );
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
        println!("  {body}");
    }
}

/// Sends what was there when it began: an event that comes back at once is not sent for ever.
async fn resend(sqs: &Client, dead: &str, events: &str) -> Result<()> {
    let began = clock::now().as_millisecond();
    let mut sent = 0;
    loop {
        let request = sqs.receive_message().queue_url(dead);
        let request = request
            .max_number_of_messages(10)
            .wait_time_seconds(1)
            .visibility_timeout(HIDDEN_S)
            .message_system_attribute_names(SentTimestamp);
        let answer = request
            .send()
            .await
            .context("the dead events cannot be read")?;
        let messages = answer.messages.unwrap_or_default();
        let is_older = |message: &&Message| {
            let attributes = message.attributes.as_ref();
            let sent_at = attributes.and_then(|attributes| attributes.get(&SentTimestamp));
            sent_at.is_none_or(|sent_at| sent_at.parse().is_ok_and(|at: i64| at <= began))
        };
        if messages.is_empty() {
            break;
        }
        for message in messages.iter().filter(is_older) {
            let body = message.body().unwrap_or_default();
            let request = sqs.send_message().queue_url(events).message_body(body);
            let failed = "an event could not be sent: it stays with the dead ones";
            request.send().await.context(failed)?;
            let request = sqs.delete_message().queue_url(dead);
            let request = request.set_receipt_handle(message.receipt_handle.clone());
            request
                .send()
                .await
                .context("an event was sent but stays with the dead ones, too")?;
            sent += 1;
        }
    }
    println!("{sent} events are on their way again.");
    Ok(())
}
