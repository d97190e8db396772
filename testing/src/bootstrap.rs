//! A function's own binary, between a Runtime API and the embedded services.

use std::{
    collections::HashMap,
    io::{PipeReader, Read, pipe},
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::Duration,
};

use lambda_simulator::{InvocationError, InvocationStatus, Simulator};
use serde_json::Value;
use shared::http::ApiError;
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, sleep},
};

use crate::Environment;

/// How long a process may take for anything before the test has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running process of a function, killed when it is dropped.
#[derive(Debug)]
pub struct Bootstrap {
    child: Child,
    runtime_api: Option<RuntimeApi>,
    log: Option<JoinHandle<String>>,
}

/// The API that it gets its invocations from. It has threads of its own: what it has accepted ends with
/// them, as connections do when a machine is gone.
struct RuntimeApi {
    simulator: Simulator,
    threads: Runtime,
}

impl std::fmt::Debug for RuntimeApi {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.simulator.runtime_api_url())
    }
}

/// An invocation that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its id, which its lines of the log have.
    pub request_id: String,
    /// What the function answered, or its error.
    pub answer: Result<Value, InvocationError>,
    /// Whether that came before Lambda would have ended the process.
    pub is_in_time: bool,
}

/// What a process has written, each line of which is a JSON object.
#[derive(Clone, Debug)]
pub struct Log {
    /// How it ended.
    pub status: ExitStatus,
    /// All lines.
    pub lines: Vec<Value>,
}

impl Bootstrap {
    /// Starts a binary.
    pub async fn start(binary: &str, environment: &Environment) -> Self {
        let runtime_api = RuntimeApi::start(environment.timeout).await;
        let variables = runtime_api.simulator.lambda_env_vars();
        let (child, log) = spawn(binary, environment, variables);
        Self {
            child,
            runtime_api: Some(runtime_api),
            log: Some(log),
        }
    }

    /// Has an event handled.
    pub async fn invoke(&self, event: Value) -> Ended {
        let simulator = &self.runtime_api.as_ref().unwrap().simulator;
        let request_id = simulator.enqueue_payload(event).await;
        let state = || async { simulator.get_invocation_state(&request_id).await.unwrap() };
        let has_ended = || async {
            let status = state().await.status;
            matches!(status, InvocationStatus::Success | InvocationStatus::Error)
        };
        // The simulator's own way to wait for an invocation may miss its end.
        let waited = simulator.wait_for(has_ended, PATIENCE).await;
        waited.unwrap_or_else(|_| panic!("{request_id} has not been answered"));
        let state = state().await;
        let (answer, at) = match (state.response, state.error) {
            (Some(response), None) => (Ok(response.payload), response.received_at),
            (None, Some(error)) => {
                let at = error.received_at;
                (Err(error), at)
            }
            both => panic!("{both:?}"),
        };
        Ended {
            request_id,
            answer,
            is_in_time: at <= state.invocation.deadline,
        }
    }

    /// Has an event handled, and returns its answer, which must be none of an error.
    pub async fn answer(&self, event: Value) -> Value {
        self.invoke(event).await.answer.unwrap()
    }

    /// Holds that a request is answered as a malformed one.
    pub async fn assert_malformed(&self, request: Value) {
        let answer = self.answer(request).await;
        assert_eq!(answer["statusCode"], 400, "{answer}");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, ApiError::MalformedRequest.body());
    }

    /// Holds that a request panics that has more headers than any library can hold, or the gateway lets
    /// through, and returns its id.
    pub async fn assert_panics(&self, mut request: Value) -> String {
        let headers = (0..40_000).map(|n| (n.to_string(), Value::from("")));
        request["headers"] = Value::Object(headers.collect());
        let ended = self.invoke(request).await;
        let error = ended.answer.unwrap_err();
        assert!(error.error_message.contains("panicked"), "{error:?}");
        ended.request_id
    }

    /// Takes the Runtime API away, which the process must not outlive.
    pub async fn end(mut self) -> Log {
        self.runtime_api.take().unwrap().end().await;
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "the process has outlived Lambda");
            sleep(Duration::from_millis(10)).await;
        };
        Log::of(status, self.log.take().unwrap())
    }

    /// Holds that a binary does not start without any of the variables that the template gives it, unless it
    /// can do without, and says which it lacks.
    pub fn assert_needs_its_variables(binary: &str, environment: &Environment) {
        for name in environment.required() {
            let (mut child, log) =
                spawn(binary, &environment.clone().without(name), HashMap::new());
            let log = Log::of(child.wait().unwrap(), log);
            assert_eq!(log.status.code(), Some(1), "{name}");
            let [line] = log.lines.as_slice() else {
                panic!("{name}: {:?}", log.lines)
            };
            let said = format!("the environment variable {name} is not set");
            assert_eq!(
                (&line["level"], &line["error"]),
                (&"ERROR".into(), &said.into())
            );
        }
    }
}

impl Drop for Bootstrap {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(runtime_api) = self.runtime_api.take() {
            runtime_api.threads.shutdown_background();
        }
    }
}

impl RuntimeApi {
    async fn start(timeout: Duration) -> Self {
        let mut threads = Builder::new_multi_thread();
        let threads = threads.worker_threads(1).enable_all().build().unwrap();
        let simulator = Simulator::builder().invocation_timeout(timeout).build();
        let simulator = threads.spawn(simulator).await.unwrap().unwrap();
        Self { simulator, threads }
    }

    async fn end(self) {
        self.simulator.shutdown().await;
        self.threads.shutdown_background();
    }
}

impl Log {
    fn of(status: ExitStatus, text: JoinHandle<String>) -> Self {
        let text = text.join().unwrap();
        let lines = text.lines().map(|line| {
            let parsed = serde_json::from_str::<Value>(line);
            let object = parsed.ok().filter(Value::is_object);
            object.unwrap_or_else(|| panic!("{line:?} is no JSON object"))
        });
        Self {
            status,
            lines: lines.collect(),
        }
    }

    /// The lines of a request.
    pub fn of_request(&self, request_id: &str) -> Vec<&Value> {
        let lines = self.lines.iter();
        lines
            .filter(|line| line["spans"][0]["requestId"] == request_id)
            .collect()
    }

    /// Holds that each line is of an invocation, but for the last one, which says why the process has ended,
    /// as its code does.
    pub fn assert_of_requests(&self) {
        assert_eq!(self.status.code(), Some(1));
        let (last, lines) = self.lines.split_last().unwrap();
        assert_eq!(last["message"], "the function has ended", "{last}");
        for line in lines {
            let is_of_one = line["spans"][0]["requestId"].is_string();
            assert!(is_of_one || line.get("_aws").is_some(), "{line}");
        }
    }

    /// Holds that each line is of an invocation, and that this one panicked and no other.
    pub fn assert_panicked(&self, request_id: &str) {
        self.assert_of_requests();
        let lines = self.lines.iter();
        let panicked = lines.filter(|line| line["message"] == "panicked");
        let requests: Vec<_> = panicked
            .map(|line| &line["spans"][0]["requestId"])
            .collect();
        assert_eq!(requests, [request_id]);
    }

    /// The figures of all invocations, in their order, without what tells CloudWatch about them.
    pub fn metrics(&self) -> Vec<Value> {
        let lines = self.lines.iter().cloned();
        let metrics = lines.filter_map(|mut line| {
            let about = line.as_object_mut().unwrap().remove("_aws")?;
            let about = &about["CloudWatchMetrics"][0];
            assert_eq!(about["Namespace"], "test");
            Some(line)
        });
        metrics.collect()
    }
}

/// Starts a process, and collects what it writes until its end.
fn spawn(
    binary: &str,
    environment: &Environment,
    variables: HashMap<String, String>,
) -> (Child, JoinHandle<String>) {
    let (mut output, writer) = pipe().unwrap();
    let child = Command::new(binary)
        .env_clear()
        .envs(variables)
        .envs(environment.variables())
        .stdin(Stdio::null())
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .spawn()
        .unwrap();
    (child, thread::spawn(move || read(&mut output)))
}

fn read(output: &mut PipeReader) -> String {
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    text
}
