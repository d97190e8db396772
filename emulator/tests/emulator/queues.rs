//! How messages go through a queue: delays, visibility, receipts, waiting and redrive.

use std::time::{Duration, Instant};

use aws_sdk_sqs::{
    operation::change_message_visibility::ChangeMessageVisibilityError,
    primitives::Blob,
    types::{
        DeleteMessageBatchRequestEntry, MessageAttributeValue,
        MessageSystemAttributeName as System, QueueAttributeName,
    },
};

use super::{code, counts, local, next, queue, receive, redrive_to, send, system, until_counts};

#[tokio::test]
async fn queues_are_found_by_name_and_listed() {
    let local = local().await;
    let sqs = local.sqs();
    let a = queue(&sqs, "jobs-a", &[]).await;
    let b = queue(&sqs, "jobs-b", &[]).await;
    queue(&sqs, "other", &[]).await;

    assert_eq!(a, format!("{}/000000000000/jobs-a", local.sqs_url()));
    let found = sqs
        .get_queue_url()
        .queue_name("jobs-b")
        .send()
        .await
        .unwrap();
    assert_eq!(found.queue_url.as_ref(), Some(&b));
    let all = sqs.list_queues().send().await.unwrap();
    assert_eq!(all.queue_urls.unwrap().len(), 3);
    let jobs = sqs.list_queues().queue_name_prefix("jobs-").send().await;
    assert_eq!(jobs.unwrap().queue_urls, Some(vec![a, b]));
}

#[tokio::test]
async fn a_message_arrives_as_it_was_sent() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let body = "{\"n\": 1}\n☃\u{10FFFF}";
    let send = sqs.send_message().queue_url(&jobs).message_body(body);
    let sent = send.clone().send().await.unwrap();

    let received = sqs
        .receive_message()
        .queue_url(&jobs)
        .message_system_attribute_names(System::ApproximateReceiveCount)
        .send()
        .await
        .unwrap();
    let message = &received.messages()[0];
    assert_eq!(message.body(), Some(body));
    assert_eq!(message.message_id(), sent.message_id());
    assert_eq!(message.md5_of_body(), sent.md5_of_message_body());
    let attributes = message.attributes().unwrap();
    assert_eq!(attributes.len(), 1);
    assert_eq!(attributes[&System::ApproximateReceiveCount], "1");
}

/// A text that goes with a message.
fn attribute(value: &str) -> MessageAttributeValue {
    let attribute = MessageAttributeValue::builder().data_type("String");
    attribute.string_value(value).build().unwrap()
}

#[tokio::test]
async fn a_message_brings_the_attributes_that_are_asked_for() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let send = sqs.send_message().queue_url(&jobs).message_body("x");
    let send = send.message_attributes("reason", attribute("gone"));
    let sent = send.message_attributes("by", attribute("us")).send().await;
    // Computed apart from this code, from what the service's developer guide says.
    let digest = Some("ae4e0569d58f2c297227683321131dfa".to_owned());
    assert_eq!(sent.unwrap().md5_of_message_attributes, digest);
    for (asked, names) in [
        (vec![], vec![]),
        (vec!["reason"], vec!["reason"]),
        (vec!["re.*"], vec!["reason"]),
        (vec!["All"], vec!["by", "reason"]),
        (vec![".*"], vec!["by", "reason"]),
    ] {
        let request = sqs.receive_message().queue_url(&jobs).visibility_timeout(0);
        let asked = Some(asked.into_iter().map(str::to_owned).collect());
        let received = request.set_message_attribute_names(asked).send().await;
        let message = received.unwrap().messages.unwrap().remove(0);
        let attributes = message.message_attributes.unwrap_or_default();
        let mut found: Vec<_> = attributes.keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, names);
        for (name, value) in &attributes {
            let wanted = if name == "by" { "us" } else { "gone" };
            assert_eq!(value.string_value(), Some(wanted));
        }
    }
}

#[tokio::test]
async fn what_is_not_carried_is_refused() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let send = || sqs.send_message().queue_url(&jobs).message_body("x");
    let binary = MessageAttributeValue::builder().data_type("Binary");
    let binary = binary.binary_value(Blob::new("x")).build().unwrap();
    let refused = send().message_attributes("a", binary).send().await;
    assert_eq!(code(refused), "InvalidParameterValue");
    let many = (0..11).fold(send(), |send, number| {
        send.message_attributes(number.to_string(), attribute("x"))
    });
    assert_eq!(code(many.send().await), "InvalidParameterValue");
    let refused = send().message_attributes("a", attribute("\u{1}"));
    assert_eq!(code(refused.send().await), "InvalidMessageContents");
    let large = "x".repeat(1024 * 1024);
    let refused = send().message_attributes("a", attribute(&large));
    assert_eq!(code(refused.send().await), "InvalidParameterValue");
    assert_eq!(counts(&sqs, &jobs).await, [0, 0, 0]);
}

#[tokio::test]
async fn the_digest_of_a_body_is_its_md5() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let sent = sqs.send_message().queue_url(&jobs).message_body("hello");
    let sent = sent.send().await.unwrap();
    assert_eq!(
        sent.md5_of_message_body(),
        Some("5d41402abc4b2a76b9719d911017c592")
    );
}

#[tokio::test]
async fn a_delayed_message_comes_after_one_sent_later() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let delayed = sqs.send_message().queue_url(&jobs).message_body("delayed");
    delayed.delay_seconds(1).send().await.unwrap();
    assert_eq!(counts(&sqs, &jobs).await, [0, 0, 1]);
    send(&sqs, &jobs, "prompt").await;

    assert_eq!(next(&sqs, &jobs).await.body(), Some("prompt"));
    let delayed = next(&sqs, &jobs).await;
    assert_eq!(delayed.body(), Some("delayed"));
    let sent: i64 = system(&delayed, &System::SentTimestamp).parse().unwrap();
    let first = system(&delayed, &System::ApproximateFirstReceiveTimestamp);
    assert!(first.parse::<i64>().unwrap() >= sent + 1000);
}

#[tokio::test]
async fn the_queues_own_delay_and_wait_hold_where_a_call_names_none() {
    let local = local().await;
    let sqs = local.sqs();
    let attributes = [
        (QueueAttributeName::DelaySeconds, "1"),
        (QueueAttributeName::ReceiveMessageWaitTimeSeconds, "20"),
    ];
    let jobs = queue(&sqs, "jobs", &attributes).await;
    send(&sqs, &jobs, "x").await;
    assert_eq!(counts(&sqs, &jobs).await, [0, 0, 1]);
    let received = sqs.receive_message().queue_url(&jobs).send().await.unwrap();
    assert_eq!(received.messages().len(), 1);
}

#[tokio::test]
async fn a_message_that_is_not_deleted_comes_back_and_old_handles_are_stale() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(
        &sqs,
        "jobs",
        &[(QueueAttributeName::VisibilityTimeout, "1")],
    )
    .await;
    let id = send(&sqs, &jobs, "x").await;
    let first = next(&sqs, &jobs).await;
    assert_eq!(counts(&sqs, &jobs).await, [0, 1, 0]);
    let second = next(&sqs, &jobs).await;
    assert_eq!(second.message_id(), Some(id.as_str()));
    assert_ne!(first.receipt_handle(), second.receipt_handle());
    assert_eq!(system(&first, &System::ApproximateReceiveCount), "1");
    assert_eq!(system(&second, &System::ApproximateReceiveCount), "2");
    for unchanged in [
        System::SentTimestamp,
        System::ApproximateFirstReceiveTimestamp,
    ] {
        assert_eq!(system(&first, &unchanged), system(&second, &unchanged));
    }

    let handle = |handle: Option<&str>| handle.unwrap().to_owned();
    let change = |receipt: String, seconds| {
        let change = sqs.change_message_visibility().queue_url(&jobs);
        change
            .receipt_handle(receipt)
            .visibility_timeout(seconds)
            .send()
    };
    let delete = |receipt| {
        sqs.delete_message()
            .queue_url(&jobs)
            .receipt_handle(receipt)
            .send()
    };
    change(handle(second.receipt_handle()), 600).await.unwrap();
    let error = change(handle(first.receipt_handle()), 0).await.unwrap_err();
    assert!(matches!(
        error.into_service_error(),
        ChangeMessageVisibilityError::MessageNotInflight(_)
    ));
    delete(handle(first.receipt_handle())).await.unwrap();
    assert_eq!(counts(&sqs, &jobs).await, [0, 1, 0]);
    delete(handle(second.receipt_handle())).await.unwrap();
    delete(handle(second.receipt_handle())).await.unwrap();
    assert_eq!(counts(&sqs, &jobs).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_visibility_of_zero_wakes_a_poll_that_waits() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    send(&sqs, &jobs, "x").await;
    let first = next(&sqs, &jobs).await;
    let poll = tokio::spawn({
        let (sqs, jobs) = (sqs.clone(), jobs.clone());
        async move { next(&sqs, &jobs).await }
    });
    let change = sqs.change_message_visibility().queue_url(&jobs);
    let change = change
        .set_receipt_handle(first.receipt_handle)
        .visibility_timeout(0);
    change.send().await.unwrap();
    assert_eq!(poll.await.unwrap().message_id, first.message_id);
}

#[tokio::test]
async fn a_long_poll_is_answered_by_the_message_not_by_the_clock() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let began = Instant::now();
    let poll = tokio::spawn({
        let (sqs, jobs) = (sqs.clone(), jobs.clone());
        async move { receive(&sqs, &jobs, 20).await }
    });
    send(&sqs, &jobs, "x").await;
    assert_eq!(poll.await.unwrap().len(), 1);
    assert!(began.elapsed() < Duration::from_secs(19));
}

#[tokio::test]
async fn a_shutdown_answers_a_long_poll_with_nothing() {
    let local = local().await;
    let sqs = local.sqs();
    let dead = queue(&sqs, "dead", &[]).await;
    let policy = redrive_to("dead", 1);
    let attributes = [
        (QueueAttributeName::RedrivePolicy, policy.as_str()),
        (QueueAttributeName::VisibilityTimeout, "0"),
    ];
    let jobs = queue(&sqs, "jobs", &attributes).await;
    send(&sqs, &jobs, "poison").await;
    next(&sqs, &jobs).await;
    let poll = tokio::spawn({
        let (sqs, jobs) = (sqs.clone(), jobs.clone());
        async move { receive(&sqs, &jobs, 20).await }
    });
    // The poll's first look moves the message: once that is seen, the poll is under way.
    until_counts(&sqs, &dead, [1, 0, 0]).await;
    local.shut_down().await;
    assert!(poll.await.unwrap().is_empty());
}

#[tokio::test]
async fn a_message_received_too_often_moves_to_the_dead_letter_queue() {
    let local = local().await;
    let sqs = local.sqs();
    let dead = queue(&sqs, "dead", &[]).await;
    let policy = redrive_to("dead", 2);
    let attributes = [
        (QueueAttributeName::RedrivePolicy, policy.as_str()),
        (QueueAttributeName::VisibilityTimeout, "0"),
    ];
    let jobs = queue(&sqs, "jobs", &attributes).await;
    let id = send(&sqs, &jobs, "poison").await;
    let first = next(&sqs, &jobs).await;
    let last = next(&sqs, &jobs).await;
    assert_eq!(system(&last, &System::ApproximateReceiveCount), "2");
    let poll = tokio::spawn({
        let (sqs, dead) = (sqs.clone(), dead.clone());
        async move { next(&sqs, &dead).await }
    });
    assert!(receive(&sqs, &jobs, 0).await.is_empty());

    let moved = poll.await.unwrap();
    assert_eq!(moved.message_id(), Some(id.as_str()));
    assert_eq!(system(&moved, &System::ApproximateReceiveCount), "1");
    assert_eq!(
        system(&moved, &System::SentTimestamp),
        system(&first, &System::SentTimestamp)
    );
    let delete = sqs
        .delete_message()
        .queue_url(&jobs)
        .set_receipt_handle(last.receipt_handle);
    delete.send().await.unwrap();
    assert_eq!(counts(&sqs, &jobs).await, [0, 0, 0]);
    assert_eq!(counts(&sqs, &dead).await, [0, 1, 0]);
}

#[tokio::test]
async fn what_moves_away_leaves_its_place_to_others() {
    let local = local().await;
    let sqs = local.sqs();
    queue(&sqs, "dead", &[]).await;
    let policy = redrive_to("dead", 1);
    let attributes = [
        (QueueAttributeName::RedrivePolicy, policy.as_str()),
        (QueueAttributeName::VisibilityTimeout, "0"),
    ];
    let jobs = queue(&sqs, "jobs", &attributes).await;
    for _ in 0..10 {
        send(&sqs, &jobs, "poison").await;
    }
    assert_eq!(receive(&sqs, &jobs, 0).await.len(), 10);
    send(&sqs, &jobs, "good").await;
    let received = receive(&sqs, &jobs, 0).await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].body(), Some("good"));
}

#[tokio::test]
async fn a_batch_deletes_what_its_handles_name() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    for body in ["a", "b", "c"] {
        send(&sqs, &jobs, body).await;
    }
    let mut handles: Vec<String> = receive(&sqs, &jobs, 0)
        .await
        .into_iter()
        .map(|message| message.receipt_handle.unwrap())
        .collect();
    handles[2] = "bogus".to_owned();
    let entries = handles
        .into_iter()
        .zip(["x", "y", "z"])
        .map(|(handle, id)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(id);
            entry.receipt_handle(handle).build().unwrap()
        });
    let batch = sqs.delete_message_batch().queue_url(&jobs);
    let deleted = batch
        .set_entries(Some(entries.collect()))
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.successful.len(), 2);
    assert_eq!(deleted.failed[0].id, "z");
    assert_eq!(deleted.failed[0].code, "ReceiptHandleIsInvalid");
    assert_eq!(counts(&sqs, &jobs).await, [0, 1, 0]);

    sqs.purge_queue().queue_url(&jobs).send().await.unwrap();
    until_counts(&sqs, &jobs, [0, 0, 0]).await;
}
