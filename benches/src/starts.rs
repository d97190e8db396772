//! Cold start and footprint: how long each function takes from its start to its first request for work,
//! what an invocation of a warm one costs beyond its calls to others, how large it is, and how much memory
//! it has.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use axum::http::Method;
use shared::{
    clock,
    model::{DeadLetter, QueueMessage},
};

use crate::{
    Scale,
    figures::{Table, median, number, shown},
    lambda::{Answered, Deployment, Function, Services, Traffic, http_event, sqs_event},
    load::{ACADEMY_TOKEN, PUBLISHER_TOKEN, event},
    receiver::Endpoint,
    serve::built,
};

/// How often a function is started, and how many of its invocations are looked at.
const TIMES: usize = 20;

/// After how many invocations the memory is read.
const INVOCATIONS: usize = 100;

/// In how many more the processor time is read, which the kernel shows in hundredths of a second.
const COUNTED: usize = 1_000;

/// The functions, and what each does in an invocation.
const FUNCTIONS: [(&str, &str); 4] = [
    ("manage", "read a hook"),
    ("ingest", "publish an event"),
    ("deliver", "one delivery"),
    ("errors", "one dead letter"),
];

/// A table of all functions.
pub(crate) async fn starts(scale: &Scale) -> Result<Table> {
    let mut table = Table::new([
        "function",
        "start, ms",
        "invocation",
        "beyond its calls, ms",
        "CPU-ms",
        "in all, ms",
        "binary, MB",
        "zip, MB",
        "peak RSS, MB",
    ]);
    let traffic = Traffic::default();
    let endpoint = Endpoint::watched(&traffic).await?;
    let deployment = Deployment::start([endpoint.target(0)]).await?;
    let services = Services::watched(&deployment, &traffic).await?;
    let environment = deployment.environment(&services, &[endpoint.addr]);
    for (name, what) in FUNCTIONS {
        let mut starts = Vec::new();
        for _ in 0..scale.of(TIMES) {
            let function = Function::start(name, &environment).await?;
            starts.push(function.init.as_secs_f64() * 1e3);
        }
        let mut function = Function::start(name, &environment).await?;
        let (mut beyond, mut in_all) = (Vec::new(), Vec::new());
        for invocation in 0..INVOCATIONS {
            let waited = traffic.waited();
            let answered = invoke(&mut function, name, &deployment, invocation).await?;
            if invocation + TIMES >= INVOCATIONS {
                let waited = traffic.waited().saturating_sub(waited);
                beyond.push(answered.took.saturating_sub(waited).as_secs_f64() * 1e3);
                in_all.push(answered.took.as_secs_f64() * 1e3);
            }
        }
        let peak_mb = function.process.peak_mb()?;
        let cpu_s = function.process.cpu_s()?;
        let counted = scale.of(COUNTED);
        for invocation in INVOCATIONS..INVOCATIONS + counted {
            invoke(&mut function, name, &deployment, invocation).await?;
        }
        let cpu_ms = 1e3 * (function.process.cpu_s()? - cpu_s) / number(counted);
        let (binary_mb, zip_mb) = sizes(name)?;
        let described = [name.to_owned(), shown(median(starts)), what.to_owned()];
        let invocation = [median(beyond), cpu_ms, median(in_all)].map(shown);
        let footprint = [binary_mb, zip_mb, peak_mb].map(shown);
        table.row(described.into_iter().chain(invocation).chain(footprint));
    }
    Ok(table)
}

/// Has a function work the event of this number.
async fn invoke(
    function: &mut Function,
    name: &str,
    deployment: &Deployment,
    number: usize,
) -> Result<Answered> {
    let answered = function.invoke(work(name, deployment, number)?).await?;
    let answer = &answered.answer;
    let status = answer["statusCode"].as_u64();
    ensure!(status.is_none_or(|status| status < 300), "{answer}");
    Ok(answered)
}

/// An invocation of a function.
fn work(function: &str, deployment: &Deployment, number: usize) -> Result<String> {
    Ok(match function {
        "manage" => {
            let path = "/v1/notify/hook/subscribe/1";
            http_event(&Method::GET, path, ACADEMY_TOKEN, None)
        }
        "ingest" => {
            let body = event(number, None)?;
            http_event(
                &Method::POST,
                "/v1/notify/event",
                PUBLISHER_TOKEN,
                Some(body),
            )
        }
        "deliver" => sqs_event([QueueMessage::Delivery(deployment.job(number, 0)?).encode()?]),
        _ => {
            let letter = DeadLetter {
                job: deployment.job(number, 0)?,
                message: "The endpoint answered 500.".to_owned(),
                status: Some(500),
                failed_at: clock::now(),
            };
            sqs_event([QueueMessage::DeadLetter(letter).encode()?])
        }
    })
}

/// The sizes of a function's binary and of the archive that is deployed, in megabytes.
fn sizes(function: &str) -> Result<(f64, f64)> {
    let directory = tempfile::tempdir()?;
    let bootstrap = directory.path().join("bootstrap");
    fs::copy(built(function)?, &bootstrap)?;
    let archive = directory.path().join("bootstrap.zip");
    let made = Command::new("python3")
        .args(["-m", "zipfile", "-c"])
        .args([&archive, &bootstrap])
        .status()?;
    ensure!(made.success(), "python3 made no archive");
    let megabytes = |file: &Path| -> Result<f64> {
        let bytes = u32::try_from(fs::metadata(file)?.len())?;
        Ok(f64::from(bytes) / 1e6)
    };
    Ok((megabytes(&bootstrap)?, megabytes(&archive)?))
}
