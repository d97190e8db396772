//! The operator's commands for events of the bus that are wrong.

use std::collections::HashSet;

use anyhow::{Context, Result};
use aws_sdk_sqs::{Client, types::Message};
use serde::Deserialize;
use shared::{aws, config, terminal::printable};

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
    say!("  {}", printable(&reason(message)));
    let body = message.body().unwrap_or_default();
    match serde_json::from_str::<Envelope>(body) {
        // Quoted, since whoever puts events on the bus chooses these.
        Ok(event) => say!(
            "  event {:?} from {:?} with the id {:?}",
            event.detail_type,
            event.source,
            event.id
        ),
        Err(_) => say!("  no event of a bus; {} bytes", body.len()),
    }
    if payload {
        say!("  {}", printable(body));
    }
}

/// Why it is dead: who put it there says so in an attribute.
fn reason(message: &Message) -> String {
    let attribute = |name: &str| {
        let attributes = message.message_attributes.as_ref()?;
        attributes.get(name)?.string_value()
    };
    if let Some(reason) = attribute("reason") {
        return reason.to_owned();
    }
    match (attribute("ERROR_CODE"), attribute("ERROR_MESSAGE")) {
        (None, None) => {
            "It could not be published, again and again: the function's log says why.".to_owned()
        }
        (code, message) => format!(
            "EventBridge could not put it into the queue: {} {}",
            code.unwrap_or_default(),
            message.unwrap_or_default()
        ),
    }
}

/// Sends each event once: one that is still wrong comes back at once, and is not sent for ever.
async fn resend(sqs: &Client, dead: &str, events: &str) -> Result<()> {
    let (mut sent, mut back) = (HashSet::new(), Vec::new());
    let ended = send_each(sqs, dead, events, &mut sent, &mut back).await;
    say!("{} events are back in the queue.", sent.len());
    // They were only hidden so that the others come.
    for message in back {
        let request = sqs.change_message_visibility().queue_url(dead);
        let request = request.set_receipt_handle(message.receipt_handle);
        if request.visibility_timeout(0).send().await.is_err() {
            complain!("An event that came back stays hidden for a minute.");
        }
    }
    ended
}

async fn send_each(
    sqs: &Client,
    dead: &str,
    events: &str,
    sent: &mut HashSet<String>,
    back: &mut Vec<Message>,
) -> Result<()> {
    loop {
        let request = sqs.receive_message().queue_url(dead);
        let request = request
            .max_number_of_messages(10)
            .wait_time_seconds(1)
            .visibility_timeout(HIDDEN_S);
        let answer = request.send().await;
        let messages = answer.context("the dead events cannot be read")?.messages;
        let messages = messages.unwrap_or_default();
        if messages.is_empty() {
            return Ok(());
        }
        for message in messages {
            let body = message.body().unwrap_or_default();
            if sent.contains(body) {
                back.push(message);
                continue;
            }
            let request = sqs.send_message().queue_url(events).message_body(body);
            let failed = "an event could not be sent: it stays with the dead ones";
            request.send().await.context(failed)?;
            sent.insert(body.to_owned());
            let request = sqs.delete_message().queue_url(dead);
            let request = request.set_receipt_handle(message.receipt_handle);
            let failed = "an event was sent, and stays with the dead ones, too";
            request.send().await.context(failed)?;
        }
    }
}
