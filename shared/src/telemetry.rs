//! Logging. Every log line is one JSON object in a function and one readable line on a laptop; what
//! is logged are ids, codes and durations, never a payload, a token, a secret or a full target. That holds
//! at every level: what the SDK and Lambda's runtime would say at `trace`, which is all that they read and
//! write, is left out.

use std::{error::Error, io::IsTerminal, panic, process::ExitCode};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    Layer,
    filter::{Targets, filter_fn},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::config;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, without times (the log service stamps each line).
    Json,
    /// One line for a person, on standard error.
    Text,
}

/// Runs a function until it ends. Its log is [`Format::Json`] to the end: a panic is one of its lines, and
/// so is the error that ends it.
pub async fn logged(
    function: impl Future<Output = Result<(), Box<dyn Error + Send + Sync>>>,
) -> ExitCode {
    init(Format::Json, "info");
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
    match function.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "the function has ended");
            ExitCode::FAILURE
        }
    }
}

/// Starts logging for this process, at the levels that `RUST_LOG` names, else at `default`: a level, or
/// levels of modules such as `info,shared=debug`. A second call does nothing.
pub fn init(format: Format, default: &str) {
    let levels = config::log_levels(default);
    let unreadable = levels.as_ref().err().map(ToString::to_string);
    let levels: Targets = levels.unwrap_or_else(|_| default.parse().unwrap_or_default());
    let registry = tracing_subscriber::registry()
        .with(levels)
        .with(filter_fn(|metadata| !has_contents(metadata)));
    // An error says that logging has been started before, which is what was asked for.
    let _ = match format {
        Format::Json => registry.with(json(std::io::stdout)).try_init(),
        Format::Text => {
            let stderr = std::io::stderr;
            let layer = fmt::layer().compact().with_writer(stderr);
            registry
                .with(layer.with_ansi(stderr().is_terminal()))
                .try_init()
        }
    };
    if let Some(error) = unreadable {
        tracing::error!(error, "what is to be logged is not what was asked for");
    }
}

/// Writes lines as [`Format::Json`] has them. All spans stand in each, from the outermost on: the first is
/// the invocation's, with the id of its request.
pub fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .without_time()
        .with_writer(writer)
}

/// Whether a line of the AWS SDK's, or of Lambda's runtime, may hold what is in tables, queues and events.
fn has_contents(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let is_of_aws = target.starts_with("aws_") || target.starts_with("lambda_");
    *metadata.level() == Level::TRACE && is_of_aws
}
