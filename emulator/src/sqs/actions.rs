//! The actions: each checks its request against the service's limits and does one thing.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Server, SqsError,
    api::{
        Batch, BatchAnswer, ChangeMessageVisibility, CreateQueue, DeleteMessage, Done,
        GetQueueAttributes, GetQueueUrl, ListQueues, NewMessage, PurgeQueue, QueueUrl, Receipt,
        ReceiveMessage, Received, SendMessage, Sent, SetQueueAttributes, VisibilityChange,
    },
    messages::{
        MAX_BYTES, Wanted, bytes_of, check_batch, each, in_range, is_name, new_message, show,
    },
    queue::{ACCOUNT, ATTRIBUTES, Queue, arn, check_attribute, is_readable, redrive_policy},
    server::now,
    store::{Attributes, ReceiveRules},
};

impl Server {
    fn url_of(&self, name: &str) -> QueueUrl {
        QueueUrl {
            queue_url: format!("{}/{ACCOUNT}/{name}", self.inner.url),
        }
    }

    pub(super) fn queue(&self, name: &str) -> Result<Queue, SqsError> {
        let (attributes, created_at) =
            self.inner.store.queue(name)?.ok_or(SqsError::NoSuchQueue)?;
        Ok(Queue {
            name: name.to_owned(),
            attributes,
            created_at,
        })
    }

    /// The queue with this URL. Only its name counts: the port changes from start to start.
    pub(super) fn queue_at(&self, url: &str) -> Result<Queue, SqsError> {
        self.queue(url.rsplit('/').next().unwrap_or_default())
    }

    pub(super) fn create_queue(&self, request: CreateQueue) -> Result<QueueUrl, SqsError> {
        let CreateQueue {
            queue_name: name,
            attributes,
        } = request;
        if !is_name(&name) {
            return Err(SqsError::InvalidParameter(format!(
                "{name:?} names no standard queue."
            )));
        }
        self.check(&attributes)?;
        if let Some((existing, _)) = self.inner.store.queue(&name)? {
            let mut given = attributes.into_iter();
            if let Some((attribute, _)) =
                given.find(|(key, value)| existing.get(key) != Some(value))
            {
                return Err(SqsError::QueueExists(attribute));
            }
        } else {
            self.inner.store.put(&name, &attributes, now())?;
        }
        Ok(self.url_of(&name))
    }

    pub(super) fn set_attributes(&self, request: SetQueueAttributes) -> Result<Done, SqsError> {
        let queue = self.queue_at(&request.queue_url)?;
        self.check(&request.attributes)?;
        let mut attributes = queue.attributes;
        attributes.extend(request.attributes);
        self.inner.store.put(&queue.name, &attributes, now())?;
        Ok(Done {})
    }

    fn check(&self, attributes: &Attributes) -> Result<(), SqsError> {
        for (name, value) in attributes {
            check_attribute(name, value)?;
            // Messages would be moved to nowhere.
            if let Some((_, target)) = redrive_policy(value).filter(|_| name == "RedrivePolicy")
                && self.inner.store.queue(&target)?.is_none()
            {
                return Err(SqsError::InvalidAttributeValue(name.clone(), value.clone()));
            }
        }
        Ok(())
    }

    pub(super) fn queue_url(&self, request: &GetQueueUrl) -> Result<QueueUrl, SqsError> {
        Ok(self.url_of(&self.queue(&request.queue_name)?.name))
    }

    pub(super) fn list_queues(&self, request: &ListQueues) -> Result<serde_json::Value, SqsError> {
        let names = self.inner.store.names()?;
        let named = names
            .iter()
            .filter(|name| name.starts_with(&request.queue_name_prefix));
        let urls: Vec<_> = named.map(|name| self.url_of(name).queue_url).collect();
        Ok(serde_json::json!({"QueueUrls": urls}))
    }

    pub(super) fn attributes(
        &self,
        request: &GetQueueAttributes,
    ) -> Result<serde_json::Value, SqsError> {
        let queue = self.queue_at(&request.queue_url)?;
        let counts = self.inner.store.counts(&queue.name, now())?;
        let mut all: BTreeMap<String, String> = ATTRIBUTES
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        all.extend(queue.attributes);
        all.extend([
            ("QueueArn".to_owned(), arn(&queue.name)),
            (
                "CreatedTimestamp".to_owned(),
                (queue.created_at / 1000).to_string(),
            ),
            (
                "ApproximateNumberOfMessages".to_owned(),
                counts.visible.to_string(),
            ),
            (
                "ApproximateNumberOfMessagesNotVisible".to_owned(),
                counts.in_flight.to_string(),
            ),
            (
                "ApproximateNumberOfMessagesDelayed".to_owned(),
                counts.delayed.to_string(),
            ),
        ]);
        let wanted = &request.attribute_names;
        if let Some(unknown) = wanted
            .iter()
            .find(|name| *name != "All" && !is_readable(name))
        {
            return Err(SqsError::InvalidAttributeName(unknown.clone()));
        }
        all.retain(|name, _| wanted.iter().any(|w| w == "All" || w == name));
        Ok(serde_json::json!({"Attributes": all}))
    }

    pub(super) fn purge(&self, request: &PurgeQueue) -> Result<Done, SqsError> {
        self.inner
            .store
            .purge(&self.queue_at(&request.queue_url)?.name)?;
        Ok(Done {})
    }

    pub(super) fn send(&self, request: SendMessage, trace: Option<&str>) -> Result<Sent, SqsError> {
        let queue = self.queue_at(&request.queue_url)?;
        self.send_one(&queue, request.message, trace)
    }

    fn send_one(
        &self,
        queue: &Queue,
        message: NewMessage,
        trace: Option<&str>,
    ) -> Result<Sent, SqsError> {
        let (message, sent) = new_message(message, trace, queue)?;
        self.inner.store.send(&queue.name, &[message], now())?;
        self.inner.changed.notify_waiters();
        Ok(sent)
    }

    /// Puts a message into the queue of this name, as a service does that has it for a target.
    pub(crate) fn put(&self, queue: &str, body: String) -> Result<(), SqsError> {
        self.send_one(&self.queue(queue)?, NewMessage::of(body), None)
            .map(drop)
    }

    pub(super) fn send_batch(
        &self,
        request: Batch<NewMessage>,
        trace: Option<&str>,
    ) -> Result<BatchAnswer<Sent>, SqsError> {
        let queue = self.queue_at(&request.queue_url)?;
        check_batch(&request.entries)?;
        let bytes = request
            .entries
            .iter()
            .map(|entry| entry.request.body.len() + bytes_of(&entry.request.attributes))
            .sum();
        if bytes > MAX_BYTES {
            return Err(SqsError::BatchTooLong(bytes));
        }
        let mut messages = Vec::with_capacity(request.entries.len());
        let answer = each(request.entries, |message| {
            let (message, sent) = new_message(message, trace, &queue)?;
            messages.push(message);
            Ok(sent)
        });
        self.inner.store.send(&queue.name, &messages, now())?;
        self.inner.changed.notify_waiters();
        Ok(answer)
    }

    pub(super) async fn receive(&self, request: ReceiveMessage) -> Result<Received, SqsError> {
        let queue = self.queue_at(&request.queue_url)?;
        let within = |name, value: Option<i64>, default, range| match value {
            None => Ok(default),
            Some(value) => in_range(name, value, range),
        };
        let visibility = queue.number("VisibilityTimeout");
        let wait = queue.number("ReceiveMessageWaitTimeSeconds");
        let visibility = within(
            "VisibilityTimeout",
            request.visibility_timeout,
            visibility,
            0..=43_200,
        )?;
        let wait = within("WaitTimeSeconds", request.wait_time_seconds, wait, 0..=20)?;
        let rules = ReceiveRules {
            max_messages: within(
                "MaxNumberOfMessages",
                request.max_number_of_messages,
                1,
                1..=10,
            )?,
            visibility_timeout: visibility * 1000,
            redrive: queue.redrive(),
        };
        let wanted = Wanted {
            system: [
                request.attribute_names,
                request.message_system_attribute_names,
            ]
            .concat(),
            sender: request.message_attribute_names,
        };
        let deadline = now() + wait * 1000;
        loop {
            // Before looking, so that what is sent from here on is not missed.
            let changed = self.inner.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = now();
            let taken = self.inner.store.receive(&queue.name, &rules, now)?;
            if taken.moved {
                self.inner.changed.notify_waiters();
            }
            if !taken.messages.is_empty() || now >= deadline || self.inner.stop.is_cancelled() {
                let messages = taken
                    .messages
                    .into_iter()
                    .map(|message| show(message, &wanted))
                    .collect();
                return Ok(Received { messages });
            }
            let next = taken.next.unwrap_or(deadline);
            let sleep = u64::try_from((next.min(deadline) - now).max(1)).unwrap_or(1);
            tokio::select! {
                () = &mut changed => {}
                () = tokio::time::sleep(Duration::from_millis(sleep)) => {}
                () = self.inner.stop.cancelled() => {}
            }
        }
    }

    pub(super) fn delete(&self, request: &DeleteMessage) -> Result<Done, SqsError> {
        self.delete_one(&self.queue_at(&request.queue_url)?, &request.receipt)
    }

    pub(super) fn delete_batch(
        &self,
        request: Batch<Receipt>,
    ) -> Result<BatchAnswer<Done>, SqsError> {
        let queue = self.queue_at(&request.queue_url)?;
        check_batch(&request.entries)?;
        Ok(each(request.entries, |receipt| {
            self.delete_one(&queue, &receipt)
        }))
    }

    fn delete_one(&self, queue: &Queue, receipt: &Receipt) -> Result<Done, SqsError> {
        let store = &self.inner.store;
        if store.delete(&queue.name, &receipt.receipt_handle)? {
            self.inner.changed.notify_waiters();
        }
        Ok(Done {})
    }

    pub(super) fn change_visibility(
        &self,
        request: &ChangeMessageVisibility,
    ) -> Result<Done, SqsError> {
        self.change(&self.queue_at(&request.queue_url)?, &request.change)
    }

    pub(super) fn change_visibility_batch(
        &self,
        request: Batch<VisibilityChange>,
    ) -> Result<BatchAnswer<Done>, SqsError> {
        let queue = self.queue_at(&request.queue_url)?;
        check_batch(&request.entries)?;
        Ok(each(request.entries, |change| self.change(&queue, &change)))
    }

    fn change(&self, queue: &Queue, change: &VisibilityChange) -> Result<Done, SqsError> {
        let timeout = in_range("VisibilityTimeout", change.visibility_timeout, 0..=43_200)?;
        let store = &self.inner.store;
        store.change_visibility(&queue.name, &change.receipt_handle, timeout * 1000, now())?;
        self.inner.changed.notify_waiters();
        Ok(Done {})
    }
}
