//! What an endpoint can verify a delivery by, with the library that it would use.

use shared::{
    clock,
    model::{DeliveryJob, Hook, Secret},
};
use standardwebhooks::{Webhook, WebhookError};
use wiremock::Request;

use super::{
    bench::{Bench, EVENT, PAYLOAD, job},
    receiver::{answering, requests},
};

impl Bench {
    /// The hook's current secret, as its owner has it.
    async fn secret(&self, hook: &Hook) -> String {
        let found = self.stores.hooks.get_signed(hook.id).await.unwrap();
        found.unwrap().secrets.unwrap().current.expose()
    }

    /// Rotates the hook's secret and returns the new one.
    async fn rotate(&self, hook: &Hook) -> String {
        let hooks = &self.stores.hooks;
        let found = hooks.get_signed(hook.id).await.unwrap().unwrap();
        let secrets = found.secrets.clone().unwrap();
        let secrets = secrets.rotated(Secret::random().unwrap(), clock::now());
        let secrets = secrets.unwrap();
        assert!(hooks.set_secrets(&found, &secrets).await.unwrap());
        secrets.current.expose()
    }
}

fn verify(secret: &str, request: &Request) -> Result<(), WebhookError> {
    let receiver = Webhook::new(secret).unwrap();
    receiver.verify(&request.body, &request.headers)
}

fn refused(result: &Result<(), WebhookError>) -> bool {
    matches!(result, Err(WebhookError::InvalidSignature))
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers[name].to_str().unwrap()
}

#[tokio::test]
async fn an_endpoint_verifies_what_it_gets() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "").await;
    let hook = bench.hook(&server.uri()).await;
    let other = bench.hook(&server.uri()).await;
    let before = clock::now().as_second();
    assert!(bench.work([job(&hook)]).await.is_empty());

    let mut received = requests(&server).await;
    let request = &mut received[0];
    let secret = bench.secret(&hook).await;
    verify(&secret, request).unwrap();
    assert_eq!(header(request, "webhook-event"), EVENT);
    assert_eq!(
        header(request, "webhook-id"),
        job(&hook).delivery_id.to_string()
    );
    let timestamp: i64 = header(request, "webhook-timestamp").parse().unwrap();
    assert!((before..=clock::now().as_second()).contains(&timestamp));
    // Another hook's secret is another, and one byte more is another body.
    assert!(refused(&verify(&bench.secret(&other).await, request)));
    request.body.push(b' ');
    assert!(refused(&verify(&secret, request)));
}

#[tokio::test]
async fn a_retry_is_the_same_delivery_signed_anew() {
    let server = answering(500).await;
    let bench = Bench::new(&[*server.address()], "1s").await;
    let hook = bench.hook(&server.uri()).await;
    assert!(bench.work([job(&hook)]).await.is_empty());
    let again = bench.next_job().await;
    assert!(bench.work([again]).await.is_empty());
    // What was given up and is sent once more is still the same delivery.
    let replayed = bench.next_letter().await.job;
    assert!(bench.work([replayed]).await.is_empty());

    let received = requests(&server).await;
    assert_eq!(received.len(), 3);
    let secret = bench.secret(&hook).await;
    for request in &received {
        verify(&secret, request).unwrap();
        assert_eq!(
            header(request, "webhook-id"),
            job(&hook).delivery_id.to_string()
        );
        assert_eq!(header(request, "webhook-event"), EVENT);
        assert_eq!(request.body, PAYLOAD.as_bytes());
    }
    let [first, second] = [0, 1].map(|n| &received[n]);
    let timestamp = |request| -> i64 { header(request, "webhook-timestamp").parse().unwrap() };
    assert!(timestamp(second) > timestamp(first));
    let signature = |request| header(request, "webhook-signature").to_owned();
    assert_ne!(signature(second), signature(first));
}

#[tokio::test]
async fn after_a_rotation_the_old_secret_and_the_new_one_verify() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "").await;
    let hook = bench.hook(&server.uri()).await;
    let old = bench.secret(&hook).await;
    let new = bench.rotate(&hook).await;
    assert!(bench.work([job(&hook)]).await.is_empty());

    let request = &requests(&server).await[0];
    verify(&old, request).unwrap();
    verify(&new, request).unwrap();
    let signatures = header(request, "webhook-signature");
    assert_eq!(signatures.split(' ').count(), 2);
}

#[tokio::test]
async fn a_hook_of_an_older_release_is_called_without_a_signature() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "").await;
    let hook = bench.hook(&server.uri()).await;
    testing::forget_secrets(&bench.aws.dynamodb(), &hook).await;
    assert!(bench.work([job(&hook)]).await.is_empty());

    let request = &requests(&server).await[0];
    assert!(!request.headers.contains_key("webhook-signature"));
    assert_eq!(
        header(request, "webhook-id"),
        job(&hook).delivery_id.to_string()
    );
    assert_eq!(request.body, PAYLOAD.as_bytes());
}

#[tokio::test]
async fn no_message_has_a_secret_in_it() {
    let server = answering(500).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let hook = bench.hook(&server.uri()).await;
    let secrets = [bench.secret(&hook).await, bench.rotate(&hook).await];
    let last = DeliveryJob {
        attempt: 2,
        ..job(&hook)
    };
    assert!(bench.work([job(&hook), last]).await.is_empty());
    // One to each queue.
    let sent = bench.spy.requests("SendMessageBatch");
    assert_eq!(sent.len(), 2);
    let sent = format!("{sent:?}");
    for secret in secrets {
        assert!(!sent.contains(&secret["whsec_".len()..]), "{sent}");
    }
}
