//! How one attempt ends, and what it leaves in the hook's history.

use std::net::{IpAddr, SocketAddr};

use futures_util::{FutureExt, future::BoxFuture};
use rstest::rstest;
use shared::{
    clock,
    deliver::{
        client::DeliveryClient,
        guard::AddressGuard,
        resolve::{Found, Resolve},
    },
    model::Outcome,
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use super::{
    bench::{ACADEMY, Bench, EVENT, PAYLOAD, job},
    receiver::{answering, closed, listener, read_request, requests, url, writing},
};

/// One attempt at this target, the only one that the schedule allows: its code and the words that
/// the owner gets.
async fn failing(target: &str, allowed: &[SocketAddr]) -> (u16, String) {
    let bench = Bench::new(allowed, "").await;
    let hook = bench.hook(target).await;
    let before = clock::now();
    assert!(bench.work([job(&hook)]).await.is_empty());

    let stats = bench.stats(&hook).await;
    assert_eq!(stats.total_calls, 1);
    let last_call_at = stats.last_call_at.unwrap();
    assert!((before..=clock::now()).contains(&last_call_at));
    let letter = bench.next_letter().await;
    assert_eq!(letter.failed_at, last_call_at);
    assert_eq!(letter.job.payload.get(), PAYLOAD);
    assert_eq!(bench.count(&bench.deliveries).await, 0);
    let code = stats.last_response_code.unwrap();
    assert!(letter.status.is_none_or(|status| status == code));
    (code, letter.message)
}

#[rstest]
#[case(200)]
#[case(201)]
#[case(204)]
#[tokio::test]
async fn any_2xx_is_a_delivery(#[case] status: u16) {
    let server = answering(status).await;
    let bench = Bench::new(&[*server.address()], "5s").await;
    let hook = bench.hook(&server.uri()).await;
    let before = clock::now();
    assert!(bench.work([job(&hook)]).await.is_empty());

    let stats = bench.stats(&hook).await;
    assert_eq!(
        (stats.total_calls, stats.last_response_code),
        (1, Some(status))
    );
    assert!((before..=clock::now()).contains(&stats.last_call_at.unwrap()));
    bench.assert_nothing_queued().await;
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn the_request_is_the_payload_itself_under_the_documents_headers() {
    let server = answering(200).await;
    let bench = Bench::new(&[*server.address()], "").await;
    let hook = bench.hook(&format!("{}/a/b?c=%20d", server.uri())).await;
    let job = job(&hook);
    let accepted_at = job.accepted_at.as_second().to_string();
    assert!(bench.work([job]).await.is_empty());

    let received = requests(&server).await;
    let request = &received[0];
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(request.url.path(), "/a/b");
    assert_eq!(request.url.query(), Some("c=%20d"));
    assert_eq!(request.body, PAYLOAD.as_bytes());
    let mut headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    headers.sort_unstable();
    let host = server.address().to_string();
    let length = PAYLOAD.len().to_string();
    // What these say is held by `signatures`.
    let [id, signature, timestamp] = ["webhook-id", "webhook-signature", "webhook-timestamp"]
        .map(|name| request.headers[name].to_str().unwrap());
    // The whole list: nothing of ours, such as an Authorization, travels with them.
    assert_eq!(
        headers,
        [
            ("accept", "*/*"),
            ("content-length", &length),
            ("content-type", "application/json"),
            ("host", &host),
            ("user-agent", "BreatheCode-Webhooks/1.0"),
            ("webhook-academy", ACADEMY),
            ("webhook-attempt", "1"),
            ("webhook-event", EVENT),
            ("webhook-event-timestamp", &accepted_at),
            ("webhook-hook", &hook.id.get().to_string()),
            ("webhook-id", id),
            ("webhook-signature", signature),
            ("webhook-timestamp", timestamp),
        ]
    );
}

#[rstest]
#[case(404)]
#[case(410)]
#[case(429)]
#[case(500)]
#[tokio::test]
async fn any_other_answer_is_a_failure_with_its_code(#[case] status: u16) {
    let server = answering(status).await;
    let (code, message) = failing(&server.uri(), &[*server.address()]).await;
    assert_eq!(code, status);
    assert_eq!(message, format!("The endpoint answered {status}."));
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let elsewhere = answering(200).await;
    let server = MockServer::start().await;
    let moved = ResponseTemplate::new(301).insert_header("location", elsewhere.uri());
    Mock::given(matchers::any())
        .respond_with(moved)
        .mount(&server)
        .await;
    let allowed = [*server.address(), *elsewhere.address()];
    let (code, message) = failing(&server.uri(), &allowed).await;
    assert_eq!(
        (code, message.as_str()),
        (301, "The endpoint answered 301.")
    );
    assert!(requests(&elsewhere).await.is_empty());
}

#[rstest]
#[case::nothing("", "The endpoint closed the connection without an HTTP answer.")]
#[case::half_a_status_line(
    "HTTP/1.1 2",
    "The endpoint closed the connection without an HTTP answer."
)]
#[case::garbage("this is no HTTP\r\n\r\n", "The endpoint's answer was not HTTP.")]
#[tokio::test]
async fn a_connection_without_an_answer_is_a_502(
    #[case] answer: &'static str,
    #[case] words: &str,
) {
    let addr = writing(answer).await;
    let (code, message) = failing(&url(addr), &[addr]).await;
    assert_eq!((code, message.as_str()), (502, words));
}

#[tokio::test]
async fn half_a_body_is_an_answer() {
    let addr = writing("HTTP/1.1 410 Gone\r\ncontent-length: 100\r\n\r\n{}").await;
    let (code, message) = failing(&url(addr), &[addr]).await;
    assert_eq!(code, 410);
    assert_eq!(message, "The endpoint answered 410.");
}

#[tokio::test]
async fn a_closed_port_is_a_502() {
    let addr = closed().await;
    let (code, message) = failing(&url(addr), &[addr]).await;
    assert_eq!(code, 502);
    assert_eq!(message, "The endpoint did not accept a connection.");
}

#[tokio::test]
async fn a_name_that_nobody_has_is_a_502() {
    let (code, message) = failing("http://endpoint.invalid/hook", &[]).await;
    assert_eq!(code, 502);
    assert_eq!(message, "The endpoint's name could not be resolved.");
}

#[tokio::test]
async fn a_target_that_is_not_public_is_given_up_without_a_call() {
    let server = answering(200).await;
    let bench = Bench::new(&[], "5s,1m").await;
    let hook = bench.hook(&server.uri()).await;
    assert!(bench.work([job(&hook)]).await.is_empty());

    let letter = bench.next_letter().await;
    assert_eq!(
        letter.message,
        "Webhooks are only sent to public addresses."
    );
    let state = bench.stores.states.get(hook.id).await.unwrap().unwrap();
    assert_eq!(
        (state.stats.total_calls, state.stats.last_call_at),
        (0, None)
    );
    assert_eq!(state.stats.last_response_code, None);
    // It is shown as an attempt all the same.
    let outcomes: Vec<_> = state
        .attempts()
        .iter()
        .map(|attempt| attempt.outcome)
        .collect();
    assert_eq!(outcomes, [Outcome::Refused]);
    assert_eq!(bench.count(&bench.deliveries).await, 0);
    assert!(requests(&server).await.is_empty());
}

/// A resolver whose names all lead inside.
struct Inside;

impl Resolve for Inside {
    fn resolve(&self, _: &str) -> BoxFuture<'static, Found> {
        async { Ok(vec![IpAddr::from([10, 0, 0, 1])]) }.boxed()
    }
}

/// Its owner may point it elsewhere before the schedule ends.
#[tokio::test]
async fn a_name_that_leads_inside_is_tried_again_and_was_not_called() {
    let mut bench = Bench::new(&[], "1s").await;
    let guard = AddressGuard::new(Vec::new());
    bench.deliver.client = DeliveryClient::with_resolver(guard, Inside).unwrap();
    let hook = bench.hook("https://endpoint.example.com/hook").await;
    assert!(bench.work([job(&hook)]).await.is_empty());
    assert_eq!(bench.count(&bench.dead_letters).await, 0);
    let second = bench.next_job().await;
    assert_eq!(second.attempt, 2);
    assert!(bench.work([second]).await.is_empty());

    let letter = bench.next_letter().await;
    assert_eq!(
        letter.message,
        "Webhooks are only sent to public addresses."
    );
    let state = bench.stores.states.get(hook.id).await.unwrap().unwrap();
    assert_eq!((state.stats.total_calls, state.failures_in_row), (0, 0));
    let outcomes: Vec<_> = state
        .attempts()
        .iter()
        .map(|attempt| attempt.outcome)
        .collect();
    assert_eq!(outcomes, [Outcome::NameRefused; 2]);
}

#[tokio::test]
async fn an_endpoint_that_says_nothing_for_30_seconds_is_a_504() {
    let (listener, addr) = listener().await;
    let bench = Bench::new(&[addr], "").await;
    let hook = bench.hook(&url(addr)).await;
    let silent_endpoint = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        // From here on the attempt's deadline is all that anything waits for: time jumps there.
        tokio::time::pause();
        tokio::time::sleep(shared::model::DELIVERY_DEADLINE).await;
        tokio::time::resume();
        stream
    };
    let (failed, _stream) = tokio::join!(bench.work([job(&hook)]), silent_endpoint);
    assert!(failed.is_empty());

    let stats = bench.stats(&hook).await;
    assert_eq!(
        (stats.total_calls, stats.last_response_code),
        (1, Some(504))
    );
    let letter = bench.next_letter().await;
    assert_eq!(letter.status, None);
    assert_eq!(letter.message, "The endpoint did not answer in time.");
}
