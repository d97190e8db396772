//! `serve`: the bundle until it is stopped.

use std::net::SocketAddr;

use anyhow::Result;
use axum::http::StatusCode;
use emulator::Storage;
use shared::catalog;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    args::ServeArgs,
    bundle::{Prepared, listen},
    fixtures::{Demonstration, Fixtures},
    receiver::Receiver,
};

pub(crate) async fn run(args: ServeArgs) -> Result<()> {
    let fixtures = args.fixtures.as_deref().map(Fixtures::read).transpose()?;
    let storage = if args.in_memory {
        Storage::Memory
    } else {
        Storage::Directory(args.data.clone())
    };
    // Before anything else, so that a signal in the middle of the start is not lost either.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    // Before anything is stored: tokens that are made and cannot be shown would be lost.
    let listener = listen(args.addr).await?;
    let prepared = Prepared::open(&storage, args.aws_addr).await?;
    let mut allow_targets = args.allow_targets;
    let mut demonstration = None;
    let mut inbox = None;
    if let Some(fixtures) = &fixtures {
        fixtures.load(&prepared.stores).await?;
    } else {
        if prepared.stores.identities.is_empty().await? {
            demonstration = Some(Demonstration::create(&prepared.stores).await?);
        }
        inbox = start_inbox(args.addr).await;
        allow_targets.extend(inbox);
    }
    let bundle = prepared.start(listener, allow_targets, args.retry_schedule)?;

    println!("The API listens on http://{}", bundle.addr);
    match &storage {
        Storage::Memory => println!("Everything is kept in memory, until it stops."),
        Storage::Directory(directory) => println!("Everything is kept in {}", directory.display()),
    }
    println!("\nThe same state for other programs (AWS CLI, cargo lambda watch, sam local):");
    for (name, value) in bundle.environment() {
        println!("  export {name}={value}");
    }
    if !args.aws_addr.is_loopback() {
        println!(
            "\nWhoever can reach {} can read and change all of it: any credentials will do there.",
            args.aws_addr
        );
    }
    if let Some(inbox) = inbox {
        println!("\nAn inbox to try webhooks with, which answers 200: http://{inbox}/");
    }
    match demonstration {
        Some(demonstration) => demonstration.introduce(bundle.addr, inbox),
        None if fixtures.is_none() => println!(
            "\nTokens were shown at the first start. Another one, with the exports above:\n  \
             academy-hooks token issue {}",
            Demonstration::ACADEMY
        ),
        None => {}
    }
    println!("\nEach delivery is shown as it happens. Stop with Ctrl-C.\n");

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    println!("Stopping: deliveries in progress are ended first; a second signal ends at once.");
    let left = tokio::select! {
        left = bundle.shut_down() => left?,
        _ = interrupt.recv() => anyhow::bail!("stopped in the middle of deliveries"),
        _ = terminate.recv() => anyhow::bail!("stopped in the middle of deliveries"),
    };
    match storage {
        Storage::Memory => println!("Stopped. {left} queued jobs are gone."),
        Storage::Directory(_) => println!("Stopped. {left} queued jobs wait for the next start."),
    }
    Ok(())
}

/// Starts an endpoint beside the API, on the next port, so that hooks that were made to try it out
/// find it again after a restart. Without that port there is none.
async fn start_inbox(api: SocketAddr) -> Option<SocketAddr> {
    let port = match api.port() {
        0 => 0,
        port => port.checked_add(1)?,
    };
    let addr = SocketAddr::new([127, 0, 0, 1].into(), port);
    match Receiver::start(addr, StatusCode::OK).await {
        Ok(mut receiver) => {
            let addr = receiver.addr;
            tokio::spawn(async move {
                while let Some(request) = receiver.requests.recv().await {
                    let bytes = request.body.len();
                    tracing::info!(target: "inbox", method = %request.method, path = request.path, bytes, "received");
                }
            });
            Some(addr)
        }
        Err(error) => {
            tracing::warn!("no inbox: {error:#}");
            None
        }
    }
}

impl Demonstration {
    /// Shows the tokens, and three commands that use them.
    fn introduce(&self, api: SocketAddr, inbox: Option<SocketAddr>) {
        let Self {
            academy,
            superadmin,
            publisher,
        } = self;
        let target = inbox.map_or_else(
            || "https://your-app.example.com/webhooks".to_owned(),
            |inbox| format!("http://{inbox}/webhooks"),
        );
        let event = "assignment.assignment_created";
        let example = catalog::find(event).map(catalog::CatalogEvent::example);
        let example: String = example
            .unwrap_or("{}")
            .lines()
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ");
        println!("\nMade to begin with; these tokens are shown only now:");
        println!("  academy {:18} {academy}", Self::ACADEMY);
        println!("  superadmin {:15} {superadmin}", "admin");
        println!("  publisher {:16} {publisher}", "platform");
        println!("\nSubscribe, publish, and look at the hook's counters:");
        println!(
            "  curl -X POST http://{api}/v1/notify/hook/subscribe -H 'Authorization: Token {academy}' \
             -H 'Content-Type: application/json' \
             -d '{{\"event\": \"{event}\", \"target\": \"{target}\"}}'"
        );
        println!(
            "  curl -X POST http://{api}/v1/notify/event -H 'Authorization: Token {publisher}' \
             -H 'Content-Type: application/json' \
             -d '{{\"event\": \"{event}\", \"academy\": \"{}\", \"payload\": {example}}}'",
            Self::ACADEMY
        );
        println!(
            "  curl http://{api}/v1/notify/hook/subscribe -H 'Authorization: Token {academy}'"
        );
    }
}
