//! What the tests work with: a table in memory, and the function over it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use aws_sdk_dynamodb::types::AttributeValue;
use emulator::{LocalAws, Storage};
use errors::Errors;
use serde_json::value::RawValue;
use shared::{
    deadline::Deadline,
    metrics::Metrics,
    model::{DeadLetter, DeliveryJob, HookError, HookId, HookRef, QueueMessage, Scope},
    store::{HookErrors, Stores, TableNames, create_tables},
};
use testing::Environment;
use uuid::Uuid;

/// The owner of the hooks unless a test says otherwise.
pub(crate) const ACADEMY: &str = "downtown-campus";

/// The event that their deliveries are of.
pub(crate) const EVENT: &str = "assignment.assignment_created";

/// The failure that their dead letters tell of.
pub(crate) const FAILURE: &str = "The endpoint answered 500.";

/// A payload that shows whether anything has read and written it again on its way.
pub(crate) const PAYLOAD: &str = "{\"price\": 299.00,  \"big\":12345678901234567890123,\"a\":1,\"a\":2,\n\"e\":1E2,\"s\":\"\\u00e9é\"}";

type Item = HashMap<String, AttributeValue>;

/// The function and its table.
pub(crate) struct Bench {
    pub(crate) aws: LocalAws,
    table: String,
    pub(crate) errors: Errors,
    /// What all invocations have come to.
    pub(crate) metrics: Metrics,
    store: HookErrors,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let aws = LocalAws::start(&Storage::Memory).await.unwrap();
        let names = TableNames::of_stack("test");
        create_tables(&aws.dynamodb(), &names).await.unwrap();
        let store = Stores::new(&aws.dynamodb(), &names).errors;
        Self {
            aws,
            table: names.hook_errors,
            errors: Errors::new(store.clone()),
            metrics: Metrics::default(),
            store,
        }
    }

    /// The environment of the function's process.
    pub(crate) fn environment(&self) -> Environment {
        Environment::of("Errors", &self.aws, &[])
    }

    /// Hands messages to the function, which has to be done with all of them.
    pub(crate) async fn record(&self, messages: impl IntoIterator<Item = QueueMessage>) {
        let bodies = messages.into_iter().map(|m| m.encode().unwrap());
        let failed = self.failures(bodies).await;
        assert!(failed.is_empty(), "{failed:?}");
    }

    /// Hands message bodies to the function and returns the positions of those that failed.
    pub(crate) async fn failures(&self, bodies: impl IntoIterator<Item = String>) -> Vec<usize> {
        let mut event = SqsEvent::default();
        let records = bodies.into_iter().enumerate().map(|(position, body)| {
            let mut record = SqsMessage::default();
            record.message_id = Some(position.to_string());
            record.body = Some(body);
            record
        });
        event.records = records.collect();
        let deadline = Deadline::after(Duration::from_mins(5));
        let handling = self.errors.handle(event, deadline, &self.metrics);
        let response = handling.await.unwrap();
        let items = response.batch_item_failures.iter();
        items
            .map(|item| item.item_identifier.parse().unwrap())
            .collect()
    }

    /// An owner's HookErrors, oldest id first.
    pub(crate) async fn of_owner(&self, owner: &str) -> Vec<HookError> {
        let found = self.store.of_owner(owner).await.unwrap();
        let mut errors: Vec<_> = found.into_iter().map(|found| found.error).collect();
        errors.sort_by_key(|error| error.id);
        errors
    }

    /// The only HookError there is.
    pub(crate) async fn only(&self) -> HookError {
        let mut errors = self.store.everywhere().await.unwrap();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors.remove(0).error
    }

    /// The failed deliveries that are kept, by their key.
    pub(crate) async fn kept(&self) -> Vec<Item> {
        let items = self.rows().await;
        let of_delivery = |item: &Item| item["error"].as_s().unwrap().starts_with("delivery#");
        let mut kept: Vec<Item> = items.into_iter().filter(of_delivery).collect();
        kept.sort_by_key(|item| item["error"].as_s().unwrap().clone());
        kept
    }

    /// All rows of the table.
    pub(crate) async fn rows(&self) -> Vec<Item> {
        let scan = self.aws.dynamodb().scan().table_name(&self.table);
        let items = scan.into_paginator().items().send().try_collect();
        items.await.unwrap()
    }

    pub(crate) async fn drop_table(&self) {
        let request = self.aws.dynamodb().delete_table().table_name(&self.table);
        request.send().await.unwrap();
    }
}

/// A delivery to a hook of the academy.
pub(crate) fn job(delivery_id: u128, hook: u64) -> DeliveryJob {
    DeliveryJob {
        delivery_id: Uuid::from_u128(delivery_id),
        event_id: "event-1".to_owned(),
        event: EVENT.to_owned(),
        academy: Some(ACADEMY.to_owned()),
        hook: HookRef {
            id: HookId::new(hook).unwrap(),
            scope: Scope::Academy(ACADEMY.to_owned()),
            owner: ACADEMY.to_owned(),
        },
        attempt: 5,
        not_before: "2025-01-20T15:30:00Z".parse().unwrap(),
        accepted_at: "2025-01-20T15:30:00Z".parse().unwrap(),
        event_accepted_at: None,
        payload: Arc::from(RawValue::from_string(PAYLOAD.to_owned()).unwrap()),
    }
}

/// The dead letter of such a delivery, of 15:51 and some seconds.
pub(crate) fn letter(delivery_id: u128, hook: u64, second: u32) -> DeadLetter {
    DeadLetter {
        job: job(delivery_id, hook),
        message: FAILURE.to_owned(),
        status: Some(500),
        failed_at: format!("2025-01-20T15:51:{second:02}Z").parse().unwrap(),
    }
}
