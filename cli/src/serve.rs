//! `serve`: the bundle until it is stopped.

use std::{io::stdout, net::SocketAddr};

use anyhow::{Context, Result};
use axum::http::StatusCode;
use emulator::Storage;
use shared::{catalog, telemetry::Lossy};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    LAST_LINES,
    args::ServeArgs,
    bundle::{Prepared, listen},
    fixtures::{Demonstration, Fixtures, Loading},
    receiver::Receiver,
};

pub(crate) async fn run(args: ServeArgs) -> Result<()> {
    // Whoever reads it may stop, and end or not: neither is to hold up deliveries or to end them.
    let out = Lossy::new(stdout()).context("cannot print")?;
    let served = serve(args, &out).await;
    out.flush(LAST_LINES);
    served
}

async fn serve(args: ServeArgs, out: &Lossy) -> Result<()> {
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
    let loading = match &storage {
        Storage::Memory => None,
        Storage::Directory(directory) => Some(Loading::into(directory)?),
    };
    let mut allow_targets = args.allow_targets;
    let mut demonstration = None;
    let mut inbox = None;
    if let Some(fixtures) = &fixtures {
        fixtures.load(&prepared.stores, loading.as_ref()).await?;
    } else {
        if prepared.stores.identities.is_empty().await? {
            demonstration = Some(Demonstration::create(&prepared.stores).await?);
        }
        let started = start_inbox(args.addr, out.clone()).await;
        allow_targets.extend(started.as_ref().ok());
        inbox = Some(started);
    }
    let bundle = prepared.start(listener, allow_targets, args.retry_schedule)?;

    out.line(format_args!("The API listens on http://{}", bundle.addr));
    match demonstration {
        Some(demonstration) => {
            let inbox = inbox.as_ref().and_then(|inbox| inbox.as_ref().ok());
            demonstration.introduce(out, bundle.addr, inbox.copied());
        }
        None if fixtures.is_none() => out.line(format_args!(
            "\nTokens were shown at the first start. Another one, with the exports below:\n  \
             academy-hooks token issue {}",
            Demonstration::ACADEMY
        )),
        None => {}
    }
    match inbox {
        Some(Ok(addr)) => out.line(format_args!(
            "\nAn inbox to try webhooks with, which answers 200 and shows what it gets: http://{addr}/"
        )),
        Some(Err(error)) => out.line(format_args!(
            "\nNo inbox to try webhooks with: {error:#}. Hooks that call it fail until it is there. It needs \
             the port after the API's: end the program that has it, or choose another --addr."
        )),
        None => {}
    }
    match &storage {
        Storage::Memory => out.line("\nEverything is kept in memory, until it stops."),
        Storage::Directory(directory) => out.line(format_args!(
            "\nEverything is kept in {}",
            directory.display()
        )),
    }
    out.line("\nThe same state for other programs (AWS CLI, cargo lambda watch, sam local):");
    for (name, value) in bundle.environment() {
        out.line(format_args!("  export {name}={value}"));
    }
    if !args.aws_addr.is_loopback() {
        out.line(format_args!(
            "\nWhoever can reach {} can read and change all of it: any credentials will do there.",
            args.aws_addr
        ));
    }
    out.line("\nEach delivery is shown as it happens. Stop with Ctrl-C.\n");

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    out.line("Stopping: deliveries in progress are ended first; a second signal ends at once.");
    let left = tokio::select! {
        left = bundle.shut_down() => left?,
        _ = interrupt.recv() => anyhow::bail!("stopped in the middle of deliveries"),
        _ = terminate.recv() => anyhow::bail!("stopped in the middle of deliveries"),
    };
    out.line(match storage {
        Storage::Memory => format!("Stopped. {left} queued jobs are gone."),
        Storage::Directory(_) => format!("Stopped. {left} queued jobs wait for the next start."),
    });
    Ok(())
}

/// Starts an endpoint beside the API, on the next port, so that hooks that were made to try it out
/// find it again after a restart. Without that port there is none.
async fn start_inbox(api: SocketAddr, out: Lossy) -> Result<SocketAddr> {
    let port = match api.port() {
        0 => 0,
        port => port
            .checked_add(1)
            .with_context(|| format!("there is no port after {port}"))?,
    };
    let addr = SocketAddr::new([127, 0, 0, 1].into(), port);
    let Receiver { addr, mut requests } = Receiver::start(addr, StatusCode::OK).await?;
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            out.line(format_args!("The inbox got:\n{}", request.shown()));
        }
    });
    Ok(addr)
}

impl Demonstration {
    /// Shows the tokens, and three commands that use them.
    fn introduce(&self, out: &Lossy, api: SocketAddr, inbox: Option<SocketAddr>) {
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
        out.line("\nMade to begin with; these tokens are shown only now:");
        out.line(format_args!("  academy {:18} {academy}", Self::ACADEMY));
        out.line(format_args!("  superadmin {:15} {superadmin}", "admin"));
        out.line(format_args!("  publisher {:16} {publisher}", "platform"));
        out.line("\nSubscribe, publish, and look at the hook's counters:");
        out.line(format_args!(
            "  curl -X POST http://{api}/v1/notify/hook/subscribe -H 'Authorization: Token {academy}' \
             -H 'Content-Type: application/json' \
             -d '{{\"event\": \"{event}\", \"target\": \"{target}\"}}'"
        ));
        out.line(format_args!(
            "  curl -X POST http://{api}/v1/notify/event -H 'Authorization: Token {publisher}' \
             -H 'Content-Type: application/json' \
             -d '{{\"event\": \"{event}\", \"academy\": \"{}\", \"payload\": {example}}}'",
            Self::ACADEMY
        ));
        out.line(format_args!(
            "  curl http://{api}/v1/notify/hook/subscribe -H 'Authorization: Token {academy}'"
        ));
    }
}
