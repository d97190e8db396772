//! What the service refuses, and that the SDK knows each refusal by its type.

use aws_sdk_sqs::{
    Client,
    operation::{
        change_message_visibility::ChangeMessageVisibilityError, create_queue::CreateQueueError,
        delete_message::DeleteMessageError, get_queue_url::GetQueueUrlError,
        receive_message::ReceiveMessageError, send_message::SendMessageError,
        send_message_batch::SendMessageBatchError, set_queue_attributes::SetQueueAttributesError,
    },
    types::{QueueAttributeName, SendMessageBatchRequestEntry},
};

use super::{code, local, queue, receive, redrive_to, send};

const MEBIBYTE: usize = 1024 * 1024;

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    let entry = SendMessageBatchRequestEntry::builder();
    entry.id(id).message_body(body).build().unwrap()
}

async fn refused(
    sqs: &Client,
    queue: &str,
    entries: Vec<SendMessageBatchRequestEntry>,
) -> SendMessageBatchError {
    let batch = sqs.send_message_batch().queue_url(queue);
    let sent = batch.set_entries(Some(entries)).send().await;
    sent.unwrap_err().into_service_error()
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_a_typed_error_of_every_action() {
    let local = local().await;
    let sqs = local.sqs();
    let url = format!("{}/000000000000/none", local.sqs_url());

    let error = sqs
        .get_queue_url()
        .queue_name("none")
        .send()
        .await
        .unwrap_err();
    assert!(matches!(
        error.into_service_error(),
        GetQueueUrlError::QueueDoesNotExist(_)
    ));
    let error = sqs
        .receive_message()
        .queue_url(&url)
        .send()
        .await
        .unwrap_err();
    assert!(matches!(
        error.into_service_error(),
        ReceiveMessageError::QueueDoesNotExist(_)
    ));
    let send = sqs.send_message().queue_url(&url).message_body("x");
    let error = send.send().await.unwrap_err().into_service_error();
    assert!(matches!(error, SendMessageError::QueueDoesNotExist(_)));
    let batch = refused(&sqs, &url, vec![entry("a", "x")]).await;
    assert!(matches!(batch, SendMessageBatchError::QueueDoesNotExist(_)));
    assert_eq!(
        code(sqs.purge_queue().queue_url(&url).send().await),
        "AWS.SimpleQueueService.NonExistentQueue"
    );
}

#[tokio::test]
async fn a_message_has_at_most_one_mebibyte_and_allowed_characters() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let send = |body: String| {
        sqs.send_message()
            .queue_url(&jobs)
            .message_body(body)
            .send()
    };

    send("\"".repeat(MEBIBYTE)).await.unwrap();
    assert_eq!(
        code(send("x".repeat(MEBIBYTE + 1)).await),
        "InvalidParameterValue"
    );
    assert_eq!(code(send(String::new()).await), "MissingParameter");
    let error = send("bell \u{7}".to_owned()).await.unwrap_err();
    assert!(matches!(
        error.into_service_error(),
        SendMessageError::InvalidMessageContents(_)
    ));
    let received = receive(&sqs, &jobs, 0).await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].body.as_ref().unwrap().len(), MEBIBYTE);
}

#[tokio::test]
async fn a_batch_is_refused_as_a_whole_for_its_form() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;

    let empty = refused(&sqs, &jobs, Vec::new()).await;
    assert!(matches!(empty, SendMessageBatchError::EmptyBatchRequest(_)));
    let eleven = (0..11).map(|n| entry(&n.to_string(), "x")).collect();
    let eleven = refused(&sqs, &jobs, eleven).await;
    assert!(matches!(
        eleven,
        SendMessageBatchError::TooManyEntriesInBatchRequest(_)
    ));
    let twice = refused(&sqs, &jobs, vec![entry("a", "x"), entry("a", "y")]).await;
    assert!(matches!(
        twice,
        SendMessageBatchError::BatchEntryIdsNotDistinct(_)
    ));
    let id = refused(&sqs, &jobs, vec![entry("a b", "x")]).await;
    assert!(matches!(id, SendMessageBatchError::InvalidBatchEntryId(_)));
    let half = "x".repeat(MEBIBYTE / 2);
    let more = format!("{half}x");
    let long = refused(&sqs, &jobs, vec![entry("a", &half), entry("b", &more)]).await;
    assert!(matches!(
        long,
        SendMessageBatchError::BatchRequestTooLong(_)
    ));

    assert!(receive(&sqs, &jobs, 0).await.is_empty());
    let full = sqs
        .send_message_batch()
        .queue_url(&jobs)
        .entries(entry("a", &half))
        .entries(entry("b", &half));
    assert_eq!(full.send().await.unwrap().successful.len(), 2);
}

#[tokio::test]
async fn an_entry_that_is_not_in_order_fails_alone() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let late = SendMessageBatchRequestEntry::builder();
    let late = late.id("late").message_body("x").delay_seconds(901);

    let sent = sqs
        .send_message_batch()
        .queue_url(&jobs)
        .entries(entry("good", "x"))
        .entries(entry("bad", "\u{1}"))
        .entries(late.build().unwrap())
        .send()
        .await
        .unwrap();

    assert_eq!(sent.successful.len(), 1);
    assert_eq!(sent.successful[0].id, "good");
    let failed: Vec<_> = sent
        .failed
        .iter()
        .map(|failed| {
            (
                failed.id.as_str(),
                failed.code.as_str(),
                failed.sender_fault,
            )
        })
        .collect();
    assert_eq!(
        failed,
        [
            ("bad", "InvalidMessageContents", true),
            ("late", "InvalidParameterValue", true)
        ]
    );
}

#[tokio::test]
async fn numbers_outside_their_range_are_refused() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    let send = |delay| {
        let message = sqs.send_message().queue_url(&jobs).message_body("x");
        message.delay_seconds(delay).send()
    };
    let receive = || sqs.receive_message().queue_url(&jobs);

    for delay in [-1, 901] {
        assert_eq!(code(send(delay).await), "InvalidParameterValue");
    }
    send(900).await.unwrap();
    for most in [0, 11] {
        let refused = receive().max_number_of_messages(most).send().await;
        assert_eq!(code(refused), "InvalidParameterValue");
    }
    let refused = receive().wait_time_seconds(21).send().await;
    assert_eq!(code(refused), "InvalidParameterValue");
    let refused = receive().visibility_timeout(43_201).send().await;
    assert_eq!(code(refused), "InvalidParameterValue");
}

#[tokio::test]
async fn a_handle_that_was_never_given_is_a_typed_error() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;

    let delete = sqs
        .delete_message()
        .queue_url(&jobs)
        .receipt_handle("bogus");
    let error = delete.send().await.unwrap_err().into_service_error();
    assert!(matches!(
        error,
        DeleteMessageError::ReceiptHandleIsInvalid(_)
    ));
    let change = sqs.change_message_visibility().queue_url(&jobs);
    let change = change.receipt_handle("bogus").visibility_timeout(1);
    let error = change.send().await.unwrap_err().into_service_error();
    assert!(matches!(
        error,
        ChangeMessageVisibilityError::ReceiptHandleIsInvalid(_)
    ));
}

#[tokio::test]
async fn queue_attributes_are_checked() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(
        &sqs,
        "jobs",
        &[(QueueAttributeName::VisibilityTimeout, "60")],
    )
    .await;
    let create = |timeout: &str| {
        let request = sqs.create_queue().queue_name("jobs");
        request
            .attributes(QueueAttributeName::VisibilityTimeout, timeout)
            .send()
    };

    assert_eq!(create("60").await.unwrap().queue_url.unwrap(), jobs);
    let error = create("61").await.unwrap_err().into_service_error();
    assert!(matches!(error, CreateQueueError::QueueNameExists(_)));
    assert_eq!(
        code(sqs.create_queue().queue_name("a b").send().await),
        "InvalidParameterValue"
    );
    let nowhere = redrive_to("none", 3);
    for (name, value) in [
        (QueueAttributeName::VisibilityTimeout, "43201"),
        (QueueAttributeName::DelaySeconds, "soon"),
        (QueueAttributeName::MessageRetentionPeriod, "59"),
        (QueueAttributeName::RedrivePolicy, nowhere.as_str()),
    ] {
        let set = sqs
            .set_queue_attributes()
            .queue_url(&jobs)
            .attributes(name, value);
        let error = set.send().await.unwrap_err().into_service_error();
        assert!(matches!(
            error,
            SetQueueAttributesError::InvalidAttributeValue(_)
        ));
    }
    let unknown = QueueAttributeName::from("Colour");
    let set = sqs
        .set_queue_attributes()
        .queue_url(&jobs)
        .attributes(unknown, "red");
    let error = set.send().await.unwrap_err().into_service_error();
    assert!(matches!(
        error,
        SetQueueAttributesError::InvalidAttributeName(_)
    ));
}

#[tokio::test]
async fn the_queues_own_size_limit_holds() {
    let local = local().await;
    let sqs = local.sqs();
    let small = queue(
        &sqs,
        "small",
        &[(QueueAttributeName::MaximumMessageSize, "1024")],
    )
    .await;
    send(&sqs, &small, &"x".repeat(1024)).await;
    let message = sqs
        .send_message()
        .queue_url(&small)
        .message_body("x".repeat(1025));
    assert_eq!(code(message.send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn an_action_that_is_not_served_is_said_to_be_invalid() {
    let local = local().await;
    let sqs = local.sqs();
    let jobs = queue(&sqs, "jobs", &[]).await;
    assert_eq!(
        code(sqs.delete_queue().queue_url(&jobs).send().await),
        "InvalidAction"
    );
}
