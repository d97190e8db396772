//! What a directory keeps, and for whom.

use std::{collections::BTreeMap, fs::Permissions, os::unix::fs::PermissionsExt, path::Path};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use aws_sdk_sqs::types::QueueAttributeName;
use emulator::{LocalAws, StartError, Storage};

use super::{counts, next, queue, receive, redrive_to, send};

async fn start(path: &Path) -> LocalAws {
    LocalAws::start(&Storage::Directory(path.to_owned()))
        .await
        .unwrap()
}

async fn put_item(local: &LocalAws) {
    let tables = local.dynamodb();
    let key = KeySchemaElement::builder()
        .attribute_name("id")
        .key_type(KeyType::Hash);
    let id = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S);
    let create = tables
        .create_table()
        .table_name("things")
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key.build().unwrap())
        .attribute_definitions(id.build().unwrap());
    create.send().await.unwrap();
    let put = tables.put_item().table_name("things");
    put.item("id", AttributeValue::S("a".to_owned()))
        .send()
        .await
        .unwrap();
}

async fn has_item(local: &LocalAws) -> bool {
    let get = local.dynamodb().get_item().table_name("things");
    let got = get
        .key("id", AttributeValue::S("a".to_owned()))
        .send()
        .await
        .unwrap();
    got.item.is_some()
}

#[tokio::test]
async fn what_was_answered_is_there_after_an_end_without_a_shutdown() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(directory.path()).await;
    let sqs = local.sqs();
    queue(&sqs, "dead", &[]).await;
    let policy = redrive_to("dead", 3);
    let jobs = queue(
        &sqs,
        "jobs",
        &[(QueueAttributeName::RedrivePolicy, &policy)],
    )
    .await;
    let flying = send(&sqs, &jobs, "in flight").await;
    let received = next(&sqs, &jobs).await;
    let id = send(&sqs, &jobs, "kept").await;
    put_item(&local).await;
    drop(local);

    let local = start(directory.path()).await;
    assert!(has_item(&local).await);
    let sqs = local.sqs();
    // The old URL names another port, and still the queue.
    // Whoever had a message in flight has ended with the server.
    assert_eq!(counts(&sqs, &jobs).await, [2, 0, 0]);
    let found = sqs.get_queue_url().queue_name("jobs").send().await.unwrap();
    let jobs = found.queue_url.unwrap();
    assert_eq!(received.message_id(), Some(flying.as_str()));
    let delete = sqs.delete_message().queue_url(&jobs);
    delete
        .set_receipt_handle(received.receipt_handle)
        .send()
        .await
        .unwrap();
    assert_eq!(counts(&sqs, &jobs).await, [1, 0, 0]);
    let kept = next(&sqs, &jobs).await;
    assert_eq!(kept.message_id(), Some(id.as_str()));
    let attributes = sqs.get_queue_attributes().queue_url(&jobs);
    let attributes = attributes.attribute_names(QueueAttributeName::RedrivePolicy);
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    assert_eq!(attributes[&QueueAttributeName::RedrivePolicy], policy);
}

#[tokio::test]
async fn a_directory_is_used_by_one_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let first = start(directory.path()).await;
    let storage = Storage::Directory(directory.path().to_owned());
    let second = LocalAws::start(&storage).await;
    assert!(matches!(second, Err(StartError::InUse(path)) if path == directory.path()));
    first.shut_down().await;
    start(directory.path()).await.shut_down().await;
}

#[tokio::test]
async fn a_shutdown_leaves_no_log_to_recover() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(directory.path()).await;
    let jobs = queue(&local.sqs(), "jobs", &[]).await;
    send(&local.sqs(), &jobs, "x").await;
    local.shut_down().await;
    assert!(directory.path().join("sqs.sqlite").exists());
    assert!(!directory.path().join("sqs.sqlite-wal").exists());
}

/// The permissions of a directory's files.
fn modes(directory: &Path) -> BTreeMap<String, u32> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, entry.metadata().unwrap().permissions().mode() & 0o777)
        })
        .collect()
}

#[tokio::test]
async fn nobody_but_the_owner_may_read_what_is_kept() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("data");
    let local = start(&directory).await;
    queue(&local.sqs(), "jobs", &[]).await;
    put_item(&local).await;
    assert_eq!(modes(parent.path())["data"], 0o700);
    let made = modes(&directory);
    for name in [
        "lock",
        "dynamodb.sqlite",
        "sqs.sqlite",
        "sqs.sqlite-wal",
        "sqs.sqlite-shm",
    ] {
        assert_eq!(made.get(name), Some(&0o600), "{name}");
    }
    assert!(made.values().all(|mode| *mode == 0o600), "{made:?}");
    drop(local);

    // As an older release has left them, in a directory that is the user's.
    let open = Permissions::from_mode(0o644);
    for name in made.keys() {
        // Those beside the databases are gone where nothing is left in them.
        let _ = std::fs::set_permissions(directory.join(name), open.clone());
    }
    std::fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let local = start(&directory).await;
    let kept = modes(&directory);
    assert!(kept.values().all(|mode| *mode == 0o600), "{kept:?}");
    assert_eq!(modes(parent.path())["data"], 0o755);
    local.shut_down().await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let storage = Storage::Directory(file.join("below"));
    let error = LocalAws::start(&storage).await.err().unwrap();
    assert!(matches!(error, StartError::Io(..)));
    assert!(error.to_string().contains("below"));
}

#[tokio::test]
async fn storage_in_memory_is_its_own() {
    let first = super::local().await;
    let second = super::local().await;
    queue(&first.sqs(), "jobs", &[]).await;
    let jobs = queue(&second.sqs(), "jobs", &[]).await;
    send(
        &first.sqs(),
        &jobs.replace(second.sqs_url(), first.sqs_url()),
        "x",
    )
    .await;
    assert!(receive(&second.sqs(), &jobs, 0).await.is_empty());
}
