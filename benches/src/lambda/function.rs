//! A function's process, and the Runtime API that it gets its work from.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::StatusCode,
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{
        Mutex as AsyncMutex,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    task::JoinHandle,
};

use crate::{process::Process, serve::built};

/// How long a function may take for its start, and for an invocation.
const PATIENCE: Duration = Duration::from_mins(1);

/// A function in a process of its own, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) process: Process,
    /// From before its start to its first request for work.
    pub(crate) init: Duration,
    events: UnboundedSender<String>,
    moments: UnboundedReceiver<Moment>,
    runtime_api: JoinHandle<()>,
    output: Option<thread::JoinHandle<Log>>,
}

/// How much a function has logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) lines: usize,
    /// Without the ends of lines.
    pub(crate) bytes: usize,
    /// The names of the metrics in its embedded metric lines.
    pub(crate) metrics: BTreeSet<String>,
}

impl Log {
    fn add(&mut self, line: &str) {
        self.lines += 1;
        self.bytes += line.len();
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        let described = line["_aws"]["CloudWatchMetrics"].as_array();
        let metrics = described
            .into_iter()
            .flatten()
            .filter_map(|described| described["Metrics"].as_array());
        let names = metrics
            .flatten()
            .filter_map(|metric| metric["Name"].as_str());
        self.metrics.extend(names.map(str::to_owned));
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.runtime_api.abort();
    }
}

/// What the Runtime API sees of a function.
#[derive(Debug)]
enum Moment {
    /// It asks for work.
    Ready(Instant),
    /// It has been given some.
    Handed(Instant),
    /// It has answered, with an error or without.
    Answered(Instant, Result<Value, String>),
}

/// An invocation that has been answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) answer: Value,
    pub(crate) took: Duration,
}

impl Function {
    /// Starts the function of this name in this environment, and waits until it asks for work.
    pub(crate) async fn start(name: &str, environment: &[(&'static str, String)]) -> Result<Self> {
        let (events, queue) = unbounded_channel();
        let (sender, mut moments) = unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let router = runtime_api(queue, sender);
        let runtime_api = tokio::spawn(async move {
            // It ends with this task.
            let _ = axum::serve(listener, router).await;
        });
        let mut command = Command::new(built(name)?);
        command
            .env_clear()
            .envs(environment.iter().cloned())
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let begin = Instant::now();
        let mut child = command.spawn()?;
        let output = child.stdout.take().context("it has no output")?;
        // Its output has to be read to the end, or it would stop at a full pipe.
        let output = thread::spawn(move || {
            let mut log = Log::default();
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                log.add(&line);
            }
            log
        });
        let process = Process::from(child);
        let Moment::Ready(ready) = next(&mut moments).await? else {
            bail!("{name} does something else than to ask for work");
        };
        Ok(Self {
            process,
            init: ready - begin,
            events,
            moments,
            runtime_api,
            output: Some(output),
        })
    }

    /// Ends it, and says how much it has logged.
    pub(crate) fn end(mut self) -> Log {
        self.process.end();
        let log = self.output.take().map(thread::JoinHandle::join);
        log.and_then(Result::ok).unwrap_or_default()
    }

    /// Has the function work an event, and waits until it asks for more.
    pub(crate) async fn invoke(&mut self, event: String) -> Result<Answered> {
        self.events.send(event)?;
        let Moment::Handed(handed) = next(&mut self.moments).await? else {
            bail!("a function answers before it was asked");
        };
        let Moment::Answered(at, answer) = next(&mut self.moments).await? else {
            bail!("a function asks for more before it has answered");
        };
        let answer = answer.map_err(|error| anyhow::anyhow!("an invocation failed: {error}"))?;
        let Moment::Ready(_) = next(&mut self.moments).await? else {
            bail!("a function does not ask for more");
        };
        Ok(Answered {
            answer,
            took: at - handed,
        })
    }

    /// [`Function::invoke`] with a queue's messages, all of which must be done with.
    pub(crate) async fn work(&mut self, event: String) -> Result<Duration> {
        let Answered { answer, took } = self.invoke(event).await?;
        let failures = answer["batchItemFailures"].as_array();
        ensure!(failures.is_some_and(Vec::is_empty), "{answer}");
        Ok(took)
    }
}

async fn next(moments: &mut UnboundedReceiver<Moment>) -> Result<Moment> {
    let moment = tokio::time::timeout(PATIENCE, moments.recv()).await;
    let moment = moment.context("a function is silent")?;
    moment.context("the Runtime API has ended")
}

fn runtime_api(queue: UnboundedReceiver<String>, moments: UnboundedSender<Moment>) -> Router {
    let queue = Arc::new(AsyncMutex::new(queue));
    let sender = moments.clone();
    let next = move || {
        let (queue, moments) = (Arc::clone(&queue), sender.clone());
        async move {
            // Nobody hears it only when everything ends.
            let _ = moments.send(Moment::Ready(Instant::now()));
            let event = queue.lock().await.recv().await.ok_or(StatusCode::GONE)?;
            let headers = [
                (
                    "lambda-runtime-aws-request-id",
                    "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
                ),
                ("lambda-runtime-deadline-ms", "9999999999999"),
                (
                    "lambda-runtime-trace-id",
                    "Root=1-678e6d38-000000000000000000005a0d;Parent=0c8e9a3b5d7f1e24;Sampled=0",
                ),
                (
                    "lambda-runtime-invoked-function-arn",
                    "arn:aws:lambda:us-east-1:123456789012:function:bench",
                ),
            ];
            let _ = moments.send(Moment::Handed(Instant::now()));
            Ok::<_, StatusCode>((headers, event))
        }
    };
    let answer = move |Path((_, kind)): Path<(String, String)>, body: Bytes| {
        let at = Instant::now();
        let moments = moments.clone();
        async move {
            let text = String::from_utf8_lossy(&body).into_owned();
            let answer = match (kind.as_str(), serde_json::from_str(&text)) {
                ("response", Ok(answer)) => Ok(answer),
                _ => Err(text),
            };
            let _ = moments.send(Moment::Answered(at, answer));
            StatusCode::ACCEPTED
        }
    };
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_collected_from_embedded_metric_lines() {
        let lines = [
            r#"{"level":"INFO","message":"delivered"}"#,
            r#"{"_aws":{"CloudWatchMetrics":[{"Metrics":[{"Name":"JobsQueued"},{"Name":"OldestJobAge"}]}]}}"#,
            r#"{"_aws":{"CloudWatchMetrics":[{"Metrics":[{"Name":"JobsQueued"}]}]}}"#,
            "no JSON",
        ];
        let mut log = Log::default();
        for line in lines {
            log.add(line);
        }
        assert_eq!((log.lines, log.bytes), (4, lines.concat().len()));
        assert_eq!(
            log.metrics.into_iter().collect::<Vec<_>>(),
            ["JobsQueued", "OldestJobAge"]
        );
    }
}
