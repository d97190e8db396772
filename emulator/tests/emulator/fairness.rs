//! Groups of messages: what a receive prefers, and what it costs.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aws_sdk_sqs::{
    Client,
    types::{
        DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName as System,
        QueueAttributeName, SendMessageBatchRequestEntry,
    },
};
use emulator::GROUP_IN_FLIGHT;

use super::{code, counts, local, queue, receive, redrive_to, send, system, until_counts};

/// Sends messages of a group; each one's body is the group's name and its number.
async fn send_of(sqs: &Client, queue: &str, group: &str, numbers: std::ops::Range<u32>) {
    for chunk in numbers.collect::<Vec<_>>().chunks(10) {
        let entries = chunk.iter().map(|number| {
            let entry = SendMessageBatchRequestEntry::builder().id(number.to_string());
            let entry = entry.message_body(format!("{group}{number}"));
            entry.message_group_id(group).build().unwrap()
        });
        let batch = sqs.send_message_batch().queue_url(queue);
        let sent = batch.set_entries(Some(entries.collect())).send().await;
        assert!(sent.unwrap().failed.is_empty());
    }
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|m| m.body().unwrap()).collect()
}

async fn delete(sqs: &Client, queue: &str, messages: &[Message]) {
    let entries = messages.iter().enumerate().map(|(index, message)| {
        let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
        let receipt = message.receipt_handle().unwrap();
        entry.receipt_handle(receipt).build().unwrap()
    });
    let batch = sqs.delete_message_batch().queue_url(queue);
    let deleted = batch.set_entries(Some(entries.collect())).send().await;
    assert!(deleted.unwrap().failed.is_empty());
}

/// Receives messages of a group that waits alone until it has this many in flight.
async fn take(sqs: &Client, queue: &str, group: &str, count: u32) -> Vec<Message> {
    send_of(sqs, queue, group, 0..count).await;
    let mut taken = Vec::new();
    while taken.len() < count as usize {
        let messages = receive(sqs, queue, 0).await;
        assert!(!messages.is_empty());
        taken.extend(messages);
    }
    taken
}

#[tokio::test]
async fn a_messages_group_is_told_to_those_who_ask() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    send(&sqs, &jobs, "without").await;
    send_of(&sqs, &jobs, "a", 0..1).await;
    let received = receive(&sqs, &jobs, 0).await;
    // Also if both have come in the same millisecond: by the groups' names then.
    assert_eq!(bodies(&received), ["without", "a0"]);
    assert_eq!(system(&received[1], &System::MessageGroupId), "a");
    let attributes = received[0].attributes().unwrap();
    assert!(!attributes.contains_key(&System::MessageGroupId));
}

#[tokio::test]
async fn a_groups_name_is_held_to_the_services_limits() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let long = "x".repeat(129);
    for group in ["", "a b", "ä", &long] {
        let send = sqs.send_message().queue_url(&jobs).message_body("x");
        let sent = send.message_group_id(group).send().await;
        assert_eq!(code(sent), "InvalidParameterValue", "{group}");
    }
}

#[tokio::test]
async fn quiet_groups_take_turns_and_each_gets_its_oldest_first() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    send_of(&sqs, &jobs, "a", 0..20).await;
    send_of(&sqs, &jobs, "b", 0..2).await;
    send_of(&sqs, &jobs, "c", 0..1).await;
    // The one that has waited longest gives all that fits …
    let first = receive(&sqs, &jobs, 0).await;
    let expected = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"];
    assert_eq!(bodies(&first), expected);
    // … and then those have their turn that have less in flight.
    send_of(&sqs, &jobs, "d", 0..1).await;
    let second = receive(&sqs, &jobs, 0).await;
    assert_eq!(bodies(&second)[..5], ["b0", "b1", "c0", "d0", "a10"]);
}

#[tokio::test]
async fn a_noisy_group_waits_for_the_quiet_ones_and_is_received_alone() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let in_flight = take(&sqs, &jobs, "noisy", 30).await;
    send_of(&sqs, &jobs, "noisy", 30..35).await;
    send_of(&sqs, &jobs, "quiet", 0..2).await;
    assert_eq!(bodies(&receive(&sqs, &jobs, 0).await), ["quiet0", "quiet1"]);
    let alone = receive(&sqs, &jobs, 0).await;
    assert_eq!(bodies(&alone)[..2], ["noisy30", "noisy31"]);
    assert_eq!(alone.len(), 5);

    // Below thirty it is quiet again.
    delete(&sqs, &jobs, &in_flight[..6]).await;
    send_of(&sqs, &jobs, "noisy", 35..36).await;
    send_of(&sqs, &jobs, "quiet", 2..3).await;
    assert_eq!(
        bodies(&receive(&sqs, &jobs, 0).await),
        ["quiet2", "noisy35"]
    );
}

#[tokio::test]
async fn a_group_with_no_more_than_its_share_is_quiet() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    for group in 0..10 {
        take(&sqs, &jobs, &group.to_string(), 30).await;
    }
    send_of(&sqs, &jobs, "0", 30..31).await;
    send_of(&sqs, &jobs, "x", 0..1).await;
    assert_eq!(bodies(&receive(&sqs, &jobs, 0).await), ["x0", "030"]);
}

#[tokio::test]
async fn of_two_noisy_groups_the_one_with_fewer_in_flight_is_first() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    take(&sqs, &jobs, "a", 40).await;
    take(&sqs, &jobs, "b", 35).await;
    send_of(&sqs, &jobs, "a", 40..41).await;
    send_of(&sqs, &jobs, "b", 35..36).await;
    assert_eq!(bodies(&receive(&sqs, &jobs, 0).await), ["b35"]);
    assert_eq!(bodies(&receive(&sqs, &jobs, 0).await), ["a40"]);
}

#[tokio::test]
async fn a_group_has_so_many_in_flight_and_the_next_when_one_is_done() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let in_flight = take(&sqs, &jobs, "a", GROUP_IN_FLIGHT).await;
    send_of(&sqs, &jobs, "a", 900..902).await;
    assert!(receive(&sqs, &jobs, 0).await.is_empty());
    let poll = tokio::spawn({
        let (sqs, jobs) = (sqs.clone(), jobs.clone());
        async move { receive(&sqs, &jobs, 20).await }
    });
    let began = Instant::now();
    delete(&sqs, &jobs, &in_flight[..1]).await;
    assert_eq!(bodies(&poll.await.unwrap()), ["a900"]);
    assert!(began.elapsed() < Duration::from_secs(19));
}

#[tokio::test]
async fn a_group_gets_the_next_when_one_in_flight_comes_back() {
    let local = local().await;
    let sqs = local.sqs();
    let attributes = [(QueueAttributeName::VisibilityTimeout, "2")];
    let jobs = queue(&sqs, "jobs", &attributes).await;
    take(&sqs, &jobs, "a", GROUP_IN_FLIGHT).await;
    send_of(&sqs, &jobs, "a", 900..901).await;
    assert!(!receive(&sqs, &jobs, 20).await.is_empty());
}

#[tokio::test]
async fn messages_without_a_group_are_never_held_back() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    for number in 0..=GROUP_IN_FLIGHT {
        send(&sqs, &jobs, &number.to_string()).await;
    }
    let mut received = 0;
    while received <= GROUP_IN_FLIGHT as usize {
        let messages = receive(&sqs, &jobs, 0).await;
        assert!(!messages.is_empty());
        received += messages.len();
    }
}

#[tokio::test]
async fn what_is_moved_or_comes_back_keeps_its_group() {
    let local = local().await;
    let sqs = local.sqs();
    let dead = queue(&sqs, "dead", &[]).await;
    let policy = redrive_to("dead", 1);
    let attributes = [
        (QueueAttributeName::RedrivePolicy, policy.as_str()),
        (QueueAttributeName::VisibilityTimeout, "0"),
    ];
    let jobs = queue(&sqs, "jobs", &attributes).await;
    send_of(&sqs, &jobs, "a", 0..1).await;
    assert_eq!(receive(&sqs, &jobs, 0).await.len(), 1);
    assert!(receive(&sqs, &jobs, 0).await.is_empty());
    let moved = receive(&sqs, &dead, 0).await;
    assert_eq!(system(&moved[0], &System::MessageGroupId), "a");
}

#[tokio::test]
async fn a_purge_leaves_no_group_behind() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    send_of(&sqs, &jobs, "a", 0..3).await;
    sqs.purge_queue().queue_url(&jobs).send().await.unwrap();
    until_counts(&sqs, &jobs, [0, 0, 0]).await;
    assert!(receive(&sqs, &jobs, 0).await.is_empty());
    send_of(&sqs, &jobs, "a", 3..4).await;
    assert_eq!(bodies(&receive(&sqs, &jobs, 0).await), ["a3"]);
}

/// The time that it takes to receive and delete messages, a batch at a time.
async fn time_to_drain(sqs: &Client, queue: &str, batches: u32) -> Duration {
    let began = Instant::now();
    for _ in 0..batches {
        let messages = receive(sqs, queue, 0).await;
        assert_eq!(messages.len(), 10);
        delete(sqs, queue, &messages).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn a_receive_costs_no_more_when_many_wait() {
    const GROUPS: u32 = 100;
    let local = local().await;
    let sqs = local.sqs();
    let policy = redrive_to("dead", 5);
    queue(&sqs, "dead", &[]).await;
    let attributes = [(QueueAttributeName::RedrivePolicy, policy.as_str())];
    let (few, many) = (
        queue(&sqs, "few", &attributes).await,
        queue(&sqs, "many", &attributes).await,
    );
    for group in 0..GROUPS {
        send_of(&sqs, &few, &group.to_string(), 0..10).await;
    }
    // One group with a long row in front of all others.
    send_of(&sqs, &many, "long", 0..10_000).await;
    for group in 0..GROUPS {
        send_of(&sqs, &many, &group.to_string(), 0..10).await;
    }
    let few = time_to_drain(&sqs, &few, 50).await;
    let many = time_to_drain(&sqs, &many, 50).await;
    assert!(many < few * 4, "{many:?} instead of {few:?}");
}

#[tokio::test]
async fn every_group_is_served_while_one_floods_the_queue() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    send_of(&sqs, &jobs, "flood", 0..500).await;
    let groups = ["a", "b", "c"];
    for group in groups {
        send_of(&sqs, &jobs, group, 0..5).await;
    }
    // Nothing is deleted: the flood's share only grows.
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..6 {
        for message in receive(&sqs, &jobs, 0).await {
            let group = system(&message, &System::MessageGroupId);
            *seen.entry(group).or_default() += 1;
        }
    }
    assert!(groups.iter().all(|group| seen[*group] == 5), "{seen:?}");
    assert!(counts(&sqs, &jobs).await[0] > 0);
}
