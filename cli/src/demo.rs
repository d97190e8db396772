//! `demo`: the whole story on one screen. It succeeds only if all of it happened.

use std::{
    collections::HashSet,
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use axum::http::StatusCode;
use emulator::Storage;
use serde_json::{Value, json, value::RawValue};
use shared::{catalog, deliver::schedule::RetrySchedule};
use standardwebhooks::Webhook;

use crate::{
    bundle::{Bundle, Options},
    fixtures::Demonstration,
    receiver::{Received, Receiver},
};

/// The waits after the first and the second failure, so that the third is the last.
const SCHEDULE: &str = "1s,2s";
const ATTEMPTS: usize = 3;

/// How long a step may take before the demonstration has failed.
const PATIENCE: Duration = Duration::from_secs(30);

const ARRIVES: &str = "assignment.assignment_created";
const FAILS: &str = "cohort_user.added";

pub(crate) async fn run() -> Result<()> {
    let any_port = "127.0.0.1:0".parse()?;
    let mut good = Receiver::start(any_port, StatusCode::OK).await?;
    let mut bad = Receiver::start(any_port, StatusCode::INTERNAL_SERVER_ERROR).await?;
    let bundle = Bundle::start(Options {
        addr: any_port,
        storage: Storage::Memory,
        allow_targets: vec![good.addr, bad.addr],
        retry_schedule: SCHEDULE.parse::<RetrySchedule>()?,
    })
    .await?;
    let people = Demonstration::create(bundle.stores()).await?;
    let api = Api::new(format!("http://{}/v1/notify", bundle.addr))?;
    say!("The bundle runs on http://{}, all in memory.", bundle.addr);

    delivered(&api, &people, &mut good).await?;
    dead_lettered(&api, &people, &mut bad).await?;

    let left = bundle.shut_down().await?;
    ensure!(left == 0, "{left} jobs were left in the queues");
    say!("\nAll of it happened. `academy-hooks serve` runs the same bundle for you to use.");
    Ok(())
}

/// The first half: an event reaches its subscriber.
async fn delivered(api: &Api, people: &Demonstration, receiver: &mut Receiver) -> Result<()> {
    let target = format!("http://{}/webhooks/assignment-created", receiver.addr);
    heading(1, "An academy subscribes an endpoint that answers 200");
    let hook = api.subscribe(people, ARRIVES, &target).await?;
    show(&hook);

    heading(2, "The platform publishes the event");
    let payload = api.publish(people, ARRIVES).await?;

    heading(3, "The endpoint receives");
    let request = next(receiver).await?;
    say!("{}", request.shown());
    ensure!(
        request.body == payload.as_bytes(),
        "the body is not the payload as published"
    );

    heading(
        4,
        "With the hook's secret it verifies that this is ours, and whole",
    );
    let verifier = api.verifier(people, &hook["id"]).await?;
    verifier.verify(&request.body, &request.headers)?;
    let mut forged = request.body.to_vec();
    forged.push(b' ');
    ensure!(
        verifier.verify(&forged, &request.headers).is_err(),
        "a changed body was taken for ours"
    );
    say!("The signature is valid. With one byte more in the body it is not.");

    heading(5, "The hook's counters have moved");
    let hook = api.hook_after_calls(people, &hook["id"], 1).await?;
    ensure!(
        hook["last_response_code"] == 200,
        "the hook shows another code than 200"
    );
    show(&hook);
    Ok(())
}

/// The second half: an event that its subscriber never takes.
async fn dead_lettered(api: &Api, people: &Demonstration, receiver: &mut Receiver) -> Result<()> {
    let target = format!("http://{}/webhooks/student-added", receiver.addr);
    heading(
        6,
        "It subscribes another endpoint, which always answers 500",
    );
    let hook = api.subscribe(people, FAILS, &target).await?;
    show(&hook);

    heading(
        7,
        "The delivery fails, is retried after 1 s and 2 s, and is dead-lettered",
    );
    let verifier = api.verifier(people, &hook["id"]).await?;
    api.publish(people, FAILS).await?;
    let began = Instant::now();
    let mut ids = HashSet::new();
    for attempt in 1..=ATTEMPTS {
        let request = next(receiver).await?;
        verifier.verify(&request.body, &request.headers)?;
        let id = request.headers.get("webhook-id");
        let id = id.context("a delivery has no id")?.to_str()?.to_owned();
        say!(
            "attempt {attempt} after {:.1} s: webhook-id {id}, answered 500",
            began.elapsed().as_secs_f64()
        );
        ids.insert(id);
    }
    ensure!(ids.len() == 1, "a retry came under another id");
    let calls = u64::try_from(ATTEMPTS)?;
    let hook = api.hook_after_calls(people, &hook["id"], calls).await?;
    ensure!(
        hook["last_response_code"] == 500,
        "the hook shows another code than 500"
    );
    show(&hook);

    heading(8, "The academy reads why");
    let errors = eventually("a HookError", async || {
        let errors = api.get("/hook/error", &people.academy).await?;
        Ok((errors["count"] == 1).then_some(errors))
    })
    .await?;
    let error = &errors["results"][0];
    ensure!(
        error["hooks"] == json!([hook["id"]]),
        "the HookError names another hook"
    );
    show(error);
    Ok(())
}

fn heading(number: usize, text: &str) {
    say!("\n── {number}. {text}");
}

fn show(value: &Value) {
    say!("{value:#}");
}

async fn next(receiver: &mut Receiver) -> Result<Received> {
    let request = tokio::time::timeout(PATIENCE, receiver.requests.recv()).await;
    request
        .context("no request came")?
        .context("the receiver has ended")
}

/// Looks again and again until there is something.
async fn eventually<T, F>(what: &str, look: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("{what} never came")
}

/// The bundle's API, as an academy's and the platform's software call it.
struct Api {
    base: String,
    http: reqwest::Client,
}

impl Api {
    fn new(base: String) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { base, http })
    }

    async fn get(&self, path: &str, token: &str) -> Result<Value> {
        let request = self.http.get(format!("{}{path}", self.base));
        self.call(request, token, StatusCode::OK).await
    }

    async fn post(
        &self,
        path: &str,
        token: &str,
        body: String,
        status: StatusCode,
    ) -> Result<Value> {
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .header("Content-Type", "application/json")
            .body(body);
        self.call(request, token, status).await
    }

    async fn call(
        &self,
        request: reqwest::RequestBuilder,
        token: &str,
        status: StatusCode,
    ) -> Result<Value> {
        let request = request.header("Authorization", format!("Token {token}"));
        let response = request.send().await?;
        let answered = response.status();
        let body = response.text().await?;
        ensure!(answered == status, "the API answered {answered}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    async fn subscribe(&self, people: &Demonstration, event: &str, target: &str) -> Result<Value> {
        let body = json!({"event": event, "target": target}).to_string();
        let path = "/hook/subscribe";
        self.post(path, &people.academy, body, StatusCode::CREATED)
            .await
    }

    /// Publishes an event with its example as the payload, and returns the payload.
    async fn publish(&self, people: &Demonstration, event: &str) -> Result<&'static str> {
        let example = catalog::find(event)
            .context("there is no such event")?
            .example();
        let payload: &RawValue = serde_json::from_str(example)?;
        let academy = Demonstration::ACADEMY;
        let body =
            format!(r#"{{"event": "{event}", "academy": "{academy}", "payload": {payload}}}"#);
        let accepted = self
            .post("/event", &people.publisher, body, StatusCode::ACCEPTED)
            .await?;
        show(&accepted);
        ensure!(
            accepted["deliveries"] == 1,
            "the event matched another number of hooks than 1"
        );
        Ok(example)
    }

    /// What the endpoint of a hook verifies its deliveries with.
    async fn verifier(&self, people: &Demonstration, id: &Value) -> Result<Webhook> {
        let path = format!("/hook/subscribe/{id}/secret");
        let answer = self.get(&path, &people.academy).await?;
        let secret = answer["secret"].as_str().context("there is no secret")?;
        Ok(Webhook::new(secret)?)
    }

    async fn hook_after_calls(
        &self,
        people: &Demonstration,
        id: &Value,
        calls: u64,
    ) -> Result<Value> {
        eventually("the hook's counter", async || {
            let hook = self
                .get(&format!("/hook/subscribe/{id}"), &people.academy)
                .await?;
            Ok((hook["total_calls"] == calls).then_some(hook))
        })
        .await
    }
}
