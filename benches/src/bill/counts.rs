//! What AWS would count, counted: the functions' own binaries work, and what lies between them and the
//! services is watched.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use axum::http::Method;
use serde_json::{Value, json};
use shared::model::QueueMessage;

use super::template::Template;
use crate::{
    figures::number,
    lambda::{
        Charged, Deployment, Function, Services, Traffic, http_event, queue_units, sqs_event,
    },
    load::{PUBLISHER_TOKEN, event},
    receiver::Endpoint,
};

/// How long the services take for an answer, beyond what the embedded ones do.
pub(super) const DYNAMODB_TAKES: Duration = Duration::from_millis(4);
pub(super) const SQS_TAKES: Duration = Duration::from_millis(8);

/// How long an endpoint takes.
pub(super) const ENDPOINT_TAKES: Duration = Duration::from_millis(200);

/// The megabytes for which Lambda gives a function one whole processor.
pub(super) const MB_PER_PROCESSOR: f64 = 1769.0;

/// What CloudWatch counts for each line of a log, beside its bytes.
const BYTES_PER_LINE: usize = 26;

/// Lambda's own log lines of one invocation with `SystemLogLevel=INFO`, in its JSON format. With `WARN`, the default,
/// it logs neither. Neither level changes the function's lines.
const SYSTEM_LINES: &str = r#"{"time":"2025-01-20T15:30:00.123Z","type":"platform.start","record":{"requestId":"8476a536-e9f4-11e8-9739-2dfe598c3fcd","functionArn":"arn:aws:lambda:us-east-1:123456789012:function:academy-hooks-deliver","version":"$LATEST"}}
{"time":"2025-01-20T15:30:00.338Z","type":"platform.report","record":{"requestId":"8476a536-e9f4-11e8-9739-2dfe598c3fcd","metrics":{"durationMs":214.73,"billedDurationMs":215,"memorySizeMB":256,"maxMemoryUsedMB":24},"status":"success"}}"#;

/// What the gateway logs of a request, as the template has it.
const GATEWAY_LINE: &str = r#"{"requestId":"EventFile000013=","time":"20/Jan/2025:15:30:00 +0000", "method":"POST","path":"/v1/notify/event","status":"202", "responseLatencyMs":"38","sourceIp":"203.0.113.24", "integrationError":"-"}"#;

/// The most that the gateway counts as one request, in bytes.
const GATEWAY_BYTES: usize = 512 * 1024;

/// How many attempts at each hook are made before those that count: as many as it remembers, so that its
/// row is as large as it gets.
const REMEMBERED: usize = 18;

/// The messages that Lambda takes and deletes at most at once, and hands out to a worker, as the template has it.
pub(super) const BATCH: usize = 10;

/// Those that it hands out when it gathers them for some seconds (`DeliverBatchWindow`).
pub(super) const GATHERED: usize = 50;

/// How events are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Publishing {
    /// How many are in one request.
    pub(super) per_request: usize,
    /// Whether each has an id of the publisher's.
    pub(super) ids: bool,
}

/// What a piece of work comes to, on average.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    pub(super) gateway_requests: f64,
    pub(super) invocations: f64,
    pub(super) gb_s: f64,
    /// What tables and queues charge.
    pub(crate) charged: Charged,
    pub(super) log_bytes: f64,
    /// The names of the custom metrics that it reports.
    pub(super) metrics: BTreeSet<String>,
}

impl Work {
    /// So many of it.
    pub(super) fn times(&self, count: f64) -> Self {
        let mut work = self.clone();
        work.add(self, count - 1.0);
        work
    }

    /// Adds so many of another.
    pub(super) fn add(&mut self, other: &Self, count: f64) {
        self.gateway_requests += count * other.gateway_requests;
        self.invocations += count * other.invocations;
        self.gb_s += count * other.gb_s;
        self.log_bytes += count * other.log_bytes;
        self.charged.add(&other.charged, count);
        self.metrics.extend(other.metrics.iter().cloned());
    }
}

/// Runs invocations of a function and averages them.
struct Measured {
    function: Function,
    traffic: Traffic,
    memory_mb: f64,
    invoked: usize,
}

impl Measured {
    async fn start(name: &str, deployment: &Deployment, endpoint: &Endpoint) -> Result<Self> {
        let traffic = Traffic::default();
        let services = Services::slow(deployment, &traffic, DYNAMODB_TAKES, SQS_TAKES).await?;
        let environment = deployment.environment(&services, &[endpoint.addr]);
        Ok(Self {
            function: Function::start(name, &environment).await?,
            traffic,
            memory_mb: Template::read()?.memory_mb(name)?,
            invoked: 0,
        })
    }

    async fn invoke(&mut self, event: String) -> Result<(Value, Duration)> {
        self.invoked += 1;
        let answered = self.function.invoke(event).await?;
        Ok((answered.answer, answered.took))
    }

    /// What one of these invocations comes to. `log` is of all so far, those before them too.
    async fn average(mut self, events: Vec<String>) -> Result<Work> {
        let count = number(events.len());
        let before = self.traffic.charged();
        let cpu_s = self.function.process.cpu_s()?;
        let mut times = Vec::with_capacity(events.len());
        for event in events {
            let (answer, took) = self.invoke(event).await?;
            let status = answer["statusCode"].as_u64().unwrap_or(202);
            let failures = answer["batchItemFailures"].as_array();
            let failed = failures.is_some_and(|failures| !failures.is_empty());
            ensure!(status == 202 && !failed, "{answer}");
            times.push(took);
        }
        let cpu_ms = 1e3 * (self.function.process.cpu_s()? - cpu_s) / count;
        // A part of a processor takes longer for the same.
        let slower = MB_PER_PROCESSOR / self.memory_mb - 1.0;
        let billed_ms = |took: &Duration| (took.as_secs_f64() * 1e3 + cpu_ms * slower).ceil();
        let billed_ms = times.iter().map(billed_ms).sum::<f64>() / count;
        let mut charged = Charged::default();
        charged.add(&(self.traffic.charged() - before), 1.0 / count);
        let log = self.function.end();
        let log_bytes = number(log.bytes + log.lines * BYTES_PER_LINE) / number(self.invoked);
        Ok(Work {
            gateway_requests: 0.0,
            invocations: 1.0,
            gb_s: billed_ms / 1e3 * self.memory_mb / 1024.0,
            charged,
            log_bytes,
            metrics: log.metrics,
        })
    }
}

/// What an event comes to until its deliveries are in the queue.
pub(crate) async fn ingest(
    fan_out: usize,
    publishing: Publishing,
    requests: usize,
) -> Result<Work> {
    let endpoint = Endpoint::failing(0, Duration::ZERO).await?;
    let deployment = Deployment::start((0..fan_out).map(|hook| endpoint.target(hook))).await?;
    let mut ingest = Measured::start("ingest", &deployment, &endpoint).await?;
    let Publishing { per_request, ids } = publishing;
    let mut gateway_requests = 0;
    let mut bodies = (0..).map(|request| {
        let numbers = request * per_request..(request + 1) * per_request;
        let events = numbers.map(|number| {
            let id = ids.then(|| format!("assignment-{number}-created"));
            event(number, id.as_deref())
        });
        let events = events.collect::<Result<Vec<_>>>()?;
        let body = if per_request == 1 {
            events.concat()
        } else {
            format!("[{}]", events.join(","))
        };
        gateway_requests = body.len().div_ceil(GATEWAY_BYTES);
        let path = "/v1/notify/event";
        anyhow::Ok(http_event(&Method::POST, path, PUBLISHER_TOKEN, Some(body)))
    });
    for body in bodies.by_ref().take(2) {
        ingest.invoke(body?).await?;
    }
    let events = bodies.by_ref().take(requests).collect::<Result<Vec<_>>>()?;
    let mut work = ingest.average(events).await?;
    work.gateway_requests = number(gateway_requests);
    work.log_bytes += number(GATEWAY_LINE.len() + BYTES_PER_LINE);
    Ok(work.times(1.0 / number(per_request)))
}

/// The batches that a worker gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Batches {
    /// The messages in each.
    pub(crate) messages: usize,
    /// The hooks that they are for.
    pub(crate) hooks: usize,
    /// How many in a hundred attempts fail, and are sent round again.
    pub(crate) failing: usize,
}

/// What an attempt comes to from the queue on.
pub(crate) async fn deliver(batches: Batches, count: usize) -> Result<Work> {
    let Batches {
        messages,
        hooks,
        failing,
    } = batches;
    let endpoint = Endpoint::failing(failing, ENDPOINT_TAKES).await?;
    let deployment = Deployment::start((0..hooks).map(|hook| endpoint.target(hook))).await?;
    let mut deliver = Measured::start("deliver", &deployment, &endpoint).await?;
    let mut units = 0.0;
    let mut events = (0..).map(|position| {
        let numbers = position * messages..(position + 1) * messages;
        let jobs = numbers.map(|number| {
            let job = deployment.job(number, number % hooks)?;
            anyhow::Ok(QueueMessage::Delivery(job).encode()?)
        });
        let bodies = jobs.collect::<Result<Vec<_>>>()?;
        units = bodies.chunks(BATCH).map(polling_units).sum();
        anyhow::Ok(sqs_event(bodies))
    });
    let warm_up = (REMEMBERED * hooks).div_ceil(messages);
    for event in events.by_ref().take(warm_up) {
        deliver.invoke(event?).await?;
    }
    let events = events.by_ref().take(count).collect::<Result<Vec<_>>>()?;
    let mut work = deliver.average(events).await?;
    // Lambda's own.
    for _ in 0..messages.div_ceil(BATCH) {
        for operation in ["ReceiveMessage", "DeleteMessageBatch"] {
            work.charged.request(operation);
        }
    }
    work.charged.queue_units += units;
    Ok(work.times(1.0 / number(messages)))
}

/// What SQS charges Lambda for taking these messages, which are as many as it gives at once, and for deleting them.
fn polling_units(bodies: &[String]) -> f64 {
    let messages: Vec<_> = bodies.iter().map(|body| json!({"Body": body})).collect();
    let received = json!({"Messages": messages});
    queue_units(&Value::Null, &received) + queue_units(&Value::Null, &Value::Null)
}

/// Bytes that `SystemLogLevel=INFO` adds to the log of an invocation.
pub(super) fn system_log_bytes() -> f64 {
    let lines = SYSTEM_LINES.lines();
    number(lines.map(|line| line.len() + BYTES_PER_LINE).sum())
}
