//! A Lambda of one worker: the function's own binary, in a process that can be killed at a moment
//! that is known exactly.
//!
//! All that the worker does can be seen from outside: it gets its events from the Runtime API and
//! answers it, talks to the tables and queues, and calls the endpoint, and all four are in this
//! process. A [`Cue`] names one of these requests; when it comes the worker is killed, before or
//! after the request has had its effect. The next event gets a new worker, as with Lambda.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::Path,
    http::{HeaderMap, HeaderName, Response, StatusCode, Uri, header},
    routing::{get, post},
};
use emulator::EventSource;
use shared::model::QueueMessage;
use tokio::{
    net::TcpListener,
    sync::{
        Mutex as AsyncMutex,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::bench::Bench;

/// When the worker is killed: once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cue {
    /// When it makes this request, which has no effect.
    Before(&'static str),
    /// When this request of it has had its effect, but before it hears of that.
    After(&'static str),
}

/// The worker's request to the endpoint, as a [`Cue`] names it.
pub(crate) const POST: &str = "POST";

/// The worker's answer to an event, as a [`Cue`] names it.
pub(crate) const ANSWER: &str = "answer";

type Outcome = Result<SqsBatchResponse, lambda_runtime::Error>;

/// What the servers of the play share.
struct Stage {
    cue: Mutex<Option<Cue>>,
    worker: Mutex<Option<Child>>,
    environment: Mutex<BTreeMap<String, String>>,
    events: UnboundedSender<SqsEvent>,
    outcomes: UnboundedSender<Outcome>,
    outcome: AsyncMutex<UnboundedReceiver<Outcome>>,
    /// The ids of the deliveries, as often as each was handed to a worker.
    handed_out: Mutex<Vec<Uuid>>,
    /// The paths of the calls at the endpoint.
    calls: Mutex<Vec<String>>,
}

impl Stage {
    /// Kills the worker if this request is its cue. `true`: it is gone, and nobody waits for more.
    fn act(&self, request: &str, had_effect: bool) -> bool {
        let mut cue = self.cue.lock().unwrap();
        let is_due = match *cue {
            Some(Cue::Before(name)) => name == request && !had_effect,
            Some(Cue::After(name)) => name == request && had_effect,
            None => false,
        };
        if is_due {
            *cue = None;
            let mut worker = self.worker.lock().unwrap().take().unwrap();
            worker.kill().unwrap();
            worker.wait().unwrap();
            self.outcomes.send(Err("killed".into())).unwrap();
        }
        is_due
    }

    /// Has a worker work an event: an error when that was its end.
    async fn invoke(&self, event: SqsEvent) -> Outcome {
        for record in &event.records {
            let body = record.body.as_deref().unwrap();
            let Ok(QueueMessage::Delivery(job)) = QueueMessage::decode(body) else {
                panic!("{body} is no job");
            };
            self.handed_out.lock().unwrap().push(job.delivery_id);
        }
        self.worker.lock().unwrap().get_or_insert_with(|| {
            Command::new(env!("CARGO_BIN_EXE_deliver"))
                .env_clear()
                .envs(&*self.environment.lock().unwrap())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        });
        self.events.send(event).unwrap();
        self.outcome.lock().await.recv().await.unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.get_mut().unwrap() {
            // It may have ended already.
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

/// A running play.
pub(crate) struct Lambda {
    stage: Arc<Stage>,
    endpoint: String,
    stop: CancellationToken,
    polling: Option<JoinHandle<()>>,
}

impl Lambda {
    /// Starts the servers; the worker comes with the first event. The endpoint answers its first
    /// call with `first`, or not at all, and all others with 200.
    pub(crate) async fn start(bench: &Bench, cue: Cue, first: Option<u16>) -> Self {
        let (events, queue) = unbounded_channel();
        let (outcomes, outcome) = unbounded_channel();
        let stage = Arc::new(Stage {
            cue: Mutex::new(Some(cue)),
            worker: Mutex::default(),
            environment: Mutex::default(),
            events,
            outcomes,
            outcome: AsyncMutex::new(outcome),
            handed_out: Mutex::default(),
            calls: Mutex::default(),
        });
        let endpoint = serve(endpoint(&stage, first)).await;
        let runtime_api = serve(runtime_api(&stage, queue)).await;
        let dynamodb = serve(proxy(&stage, bench.aws.dynamodb_url())).await;
        let sqs = serve(proxy(&stage, bench.aws.sqs_url())).await;
        let environment = bench.environment(&endpoint, "1s");
        let environment = environment
            .with("AWS_LAMBDA_RUNTIME_API", &runtime_api)
            .with("AWS_ENDPOINT_URL_DYNAMODB", &format!("http://{dynamodb}"))
            .with("AWS_ENDPOINT_URL_SQS", &format!("http://{sqs}"));
        stage
            .environment
            .lock()
            .unwrap()
            .clone_from(environment.variables());
        Self {
            stage,
            endpoint,
            stop: CancellationToken::new(),
            polling: None,
        }
    }

    /// The URL of a path at the endpoint.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.endpoint)
    }

    /// Hands the jobs of the queue to the worker from here on.
    pub(crate) fn poll(&mut self, bench: &Bench) {
        let source = EventSource {
            client: bench.aws.sqs(),
            queue_url: bench.deliveries.clone(),
            batch_size: 10,
            concurrency: 1,
        };
        let stage = Arc::clone(&self.stage);
        let handler = move |event| {
            let stage = Arc::clone(&stage);
            async move { stage.invoke(event).await }
        };
        self.polling = Some(tokio::spawn(source.run(handler, self.stop.clone())));
    }

    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(polling) = self.polling.take() {
            polling.await.unwrap();
        }
    }

    /// Whether the worker has been killed.
    pub(crate) fn has_acted(&self) -> bool {
        self.stage.cue.lock().unwrap().is_none()
    }

    /// How often the endpoint was called at a path.
    pub(crate) fn calls(&self, path: &str) -> usize {
        let calls = self.stage.calls.lock().unwrap();
        calls.iter().filter(|call| call[1..] == *path).count()
    }

    /// The deliveries that workers were handed, each as often as it was.
    pub(crate) fn handed_out(&self) -> Vec<Uuid> {
        self.stage.handed_out.lock().unwrap().clone()
    }
}

/// Serves on a free loopback port; its address.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    addr
}

fn endpoint(stage: &Arc<Stage>, first: Option<u16>) -> Router {
    let stage = Arc::clone(stage);
    let first = Arc::new(Mutex::new(Some(first)));
    Router::new().fallback(move |uri: Uri, _body: Bytes| {
        let (stage, first) = (Arc::clone(&stage), Arc::clone(&first));
        async move {
            stage.calls.lock().unwrap().push(uri.path().to_owned());
            if stage.act(POST, false) {
                return StatusCode::OK;
            }
            // Only at the path that is there to fail does the first call count.
            let answer = if uri.path() == "/fails" {
                first.lock().unwrap().take()
            } else {
                None
            };
            match answer {
                None => StatusCode::OK,
                Some(Some(status)) => StatusCode::from_u16(status).unwrap(),
                Some(None) => std::future::pending().await,
            }
        }
    })
}

/// The API that a worker gets its events from.
fn runtime_api(stage: &Arc<Stage>, events: UnboundedReceiver<SqsEvent>) -> Router {
    let events = Arc::new(AsyncMutex::new(events));
    let next = move || {
        let events = Arc::clone(&events);
        async move {
            let event = events.lock().await.recv().await.unwrap();
            let headers = [
                ("lambda-runtime-aws-request-id", "1"),
                ("lambda-runtime-deadline-ms", "9999999999999"),
                ("lambda-runtime-invoked-function-arn", "arn:deliver"),
            ];
            (headers, Json(event))
        }
    };
    let stage = Arc::clone(stage);
    let answer = move |Path(_): Path<String>, body: Bytes| {
        let stage = Arc::clone(&stage);
        async move {
            if !stage.act(ANSWER, false) {
                let answer = serde_json::from_slice(&body).unwrap();
                stage.outcomes.send(Ok(answer)).unwrap();
            }
            StatusCode::ACCEPTED
        }
    };
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(answer))
}

/// Passes on what the worker asks of a service, whose requests name themselves in a header.
fn proxy(stage: &Arc<Stage>, service: &str) -> Router {
    let (stage, service) = (Arc::clone(stage), service.to_owned());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    Router::new().fallback(move |mut headers: HeaderMap, body: Bytes| {
        let (stage, service, client) = (Arc::clone(&stage), service.clone(), client.clone());
        async move {
            let target = headers["x-amz-target"].to_str().unwrap().to_owned();
            let action = target.rsplit('.').next().unwrap();
            if stage.act(action, false) {
                return Response::new(Body::empty());
            }
            remove(&mut headers, &[header::HOST, header::CONTENT_LENGTH]);
            let request = client.post(&service).headers(headers).body(body);
            let answer = request.send().await.unwrap();
            let (status, mut headers) = (answer.status(), answer.headers().clone());
            let body = answer.bytes().await.unwrap();
            stage.act(action, true);
            remove(
                &mut headers,
                &[header::TRANSFER_ENCODING, header::CONTENT_LENGTH],
            );
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            response
        }
    })
}

fn remove(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        headers.remove(name);
    }
}
