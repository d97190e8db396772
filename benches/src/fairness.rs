//! What one endpoint that hangs costs the others: `make bench`.
//!
//! A release build of `academy-hooks serve --in-memory` gets fifty events a second for thirty
//! seconds, in an open loop: the next event is published when its time has come, whatever became of
//! the one before. Each is for ten hooks. In the first run all ten endpoints answer at once; in the
//! second one of them never does. Of the other nine, the time from the answer 202 to the arrival of
//! each delivery is shown for both runs, with the ratio of the two. As a second line the time from
//! the moment at which the event was due, which a server that is slow to accept cannot hide.
//!
//! Ends by itself within two minutes. It stops no process but the server that it has started.

#![expect(clippy::print_stdout, reason = "a bench shows its figures")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use axum::{Router, body::Bytes};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::MissedTickBehavior};

const EVENTS_PER_SECOND: u32 = 50;
const SECONDS: u32 = 30;
const HOOKS: usize = 10;

/// How long the endpoint that hangs takes: longer than an attempt may.
const HANG: Duration = Duration::from_mins(1);

/// How long the last deliveries may take after the last event.
const PATIENCE: Duration = Duration::from_secs(15);

const EVENT: &str = "assignment.assignment_created";

/// When each delivery arrived: by the hook's position and the event's number.
type Arrivals = Arc<Mutex<HashMap<(usize, u64), Instant>>>;

/// When an event was due and when it was accepted.
#[derive(Clone, Copy)]
struct Published {
    due: Instant,
    accepted: Instant,
}

/// The server under test, killed when this is dropped.
struct Serve {
    child: Child,
    api: String,
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The times of one run, sorted.
struct Run {
    from_accepted: Vec<Duration>,
    from_due: Vec<Duration>,
    missing: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    // An error says that this process has a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let command = match std::env::args_os().nth(1) {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe()?.with_file_name("academy-hooks"),
    };
    println!(
        "{EVENTS_PER_SECOND} events/s for {SECONDS} s to {HOOKS} hooks; the nine that never hang:"
    );
    let well = run(&command, false).await?;
    well.show("none hangs");
    let ill = run(&command, true).await?;
    ill.show("one hangs");
    for (name, well, ill) in [
        (
            "accepted → received",
            &well.from_accepted,
            &ill.from_accepted,
        ),
        ("due → received", &well.from_due, &ill.from_due),
    ] {
        let ratio = quantile(ill, 0.99).as_secs_f64() / quantile(well, 0.99).as_secs_f64();
        println!("p99 {name}: {ratio:.2} times as long");
    }
    Ok(())
}

async fn run(command: &Path, hang: bool) -> Result<Run> {
    let arrivals = Arrivals::default();
    let mut endpoints = Vec::new();
    for position in 0..HOOKS {
        endpoints.push(endpoint(position, hang && position == 0, &arrivals).await?);
    }
    let directory = tempfile::tempdir()?;
    let fixtures = directory.path().join("fixtures.json");
    std::fs::write(&fixtures, deployment(&endpoints).to_string())?;
    let serve = start(command, &fixtures, &endpoints)?;
    let published = publish(&serve.api).await?;

    let quiet = HOOKS - 1;
    let end = Instant::now() + PATIENCE;
    let arrived = || {
        let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals
            .keys()
            .filter(|(position, _)| *position > 0)
            .count()
    };
    while arrived() < published.len() * quiet && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(serve);
    let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    let mut run = Run {
        from_accepted: Vec::new(),
        from_due: Vec::new(),
        missing: published.len() * quiet,
    };
    for ((position, number), at) in arrivals.iter() {
        if let Some(published) = published.get(number).filter(|_| *position > 0) {
            // A delivery may overtake the answer to its publisher.
            let accepted = at.saturating_duration_since(published.accepted);
            run.from_accepted.push(accepted);
            run.from_due
                .push(at.saturating_duration_since(published.due));
            run.missing -= 1;
        }
    }
    run.from_accepted.sort_unstable();
    run.from_due.sort_unstable();
    Ok(run)
}

impl Run {
    fn show(&self, name: &str) {
        println!(
            "{name}: {} received, {} missing",
            self.from_due.len(),
            self.missing
        );
        for (name, times) in [
            ("accepted → received", &self.from_accepted),
            ("due → received", &self.from_due),
        ] {
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|q| quantile(times, q).as_secs_f64() * 1e3);
            println!("  {name}: p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms");
        }
    }
}

/// The time that this part of the sorted times does not exceed.
fn quantile(sorted: &[Duration], part: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a position among some thousand"
    )]
    let position = (sorted.len() as f64 * part).ceil() as usize;
    let position = position.saturating_sub(1);
    sorted.get(position).copied().unwrap_or_default()
}

/// An endpoint that notes each event's first arrival, and answers at once or hangs.
async fn endpoint(position: usize, hangs: bool, arrivals: &Arrivals) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let arrivals = Arc::clone(arrivals);
    let router = Router::new().fallback(move |body: Bytes| {
        let at = Instant::now();
        let arrivals = Arc::clone(&arrivals);
        async move {
            let payload: Value = serde_json::from_slice(&body).unwrap_or_default();
            if let Some(number) = payload["id"].as_u64() {
                let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
                arrivals.entry((position, number)).or_insert(at);
            }
            if hangs {
                tokio::time::sleep(HANG).await;
            }
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(addr)
}

/// An academy with a hook for each endpoint, and a publisher.
fn deployment(endpoints: &[SocketAddr]) -> Value {
    let hooks = endpoints.iter().zip(1..).map(|(addr, id): (_, u32)| {
        json!({
            "id": id,
            "owner": "academy",
            "event": EVENT,
            "target": format!("http://{addr}/"),
            "created_at": "2025-01-15T10:30:00Z",
            "updated_at": "2025-01-15T10:30:00Z",
        })
    });
    json!({
        "academies": [{"id": 1, "slug": "academy", "name": "Academy"}],
        "users": [
            {"username": "academy", "is_superuser": false, "is_active": true, "can_publish": false},
            {"username": "platform", "is_superuser": false, "is_active": true, "can_publish": true},
        ],
        "tokens": [{"token": "publisher", "username": "platform"}],
        "hooks": hooks.collect::<Vec<_>>(),
    })
}

fn start(command: &Path, fixtures: &Path, endpoints: &[SocketAddr]) -> Result<Serve> {
    use std::io::{BufRead, BufReader};

    let allowed = endpoints
        .iter()
        .map(|addr| format!("--allow-target={addr}"));
    let mut child = Command::new(command)
        .args([
            "serve",
            "--in-memory",
            "--addr",
            "127.0.0.1:0",
            "--fixtures",
        ])
        .arg(fixtures)
        .args(allowed)
        .env("RUST_LOG", "error")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", command.display()))?;
    let output = child.stdout.take().context("it has no output")?;
    let mut serve = Serve {
        child,
        api: String::new(),
    };
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next().transpose()? {
        if let Some(url) = line.strip_prefix("The API listens on ") {
            url.clone_into(&mut serve.api);
        }
        if line.contains("Stop with Ctrl-C") {
            // Its output has to be read to the end, or it would stop at a full pipe.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(serve);
        }
    }
    bail!("{} has ended by itself", command.display())
}

/// Publishes the events, each at its time; what was accepted, by the event's number.
async fn publish(api: &str) -> Result<HashMap<u64, Published>> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / EVENTS_PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = JoinSet::new();
    for number in 0..u64::from(EVENTS_PER_SECOND * SECONDS) {
        let due = ticks.tick().await.into_std();
        let event = json!({"event": EVENT, "academy": "academy", "payload": {"id": number}});
        let request = client
            .post(format!("{api}/v1/notify/event"))
            .header("authorization", "Token publisher")
            .header("content-type", "application/json")
            .body(event.to_string())
            .send();
        requests.spawn(async move {
            let answer = request.await?;
            let accepted = Instant::now();
            anyhow::ensure!(answer.status() == 202, "{}", answer.status());
            Ok((number, Published { due, accepted }))
        });
    }
    let mut published = HashMap::new();
    while let Some(answered) = requests.join_next().await {
        let (number, times) = answered??;
        published.insert(number, times);
    }
    Ok(published)
}
