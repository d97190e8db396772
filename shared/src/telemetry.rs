//! Logging. Every log line is one JSON object in a function and one readable line on a laptop; what
//! is logged are ids, codes and durations, never a payload, a token, a secret or a full target. That holds
//! at every level: what the SDK and Lambda's runtime would say at `trace`, which is all that they read and
//! write, is left out.

mod lossy;

use std::{error::Error, panic, process::ExitCode};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    Layer, Registry,
    field::MakeExt,
    filter::{Targets, filter_fn},
    fmt::{self, MakeWriter, format::debug_fn},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

pub use self::lossy::Lossy;
use crate::{config, terminal::printable};

/// Runs a function until it ends. Its log is [`json`] to the end: a panic is one of its lines, and
/// so is the error that ends it.
pub async fn logged(
    function: impl Future<Output = Result<(), Box<dyn Error + Send + Sync>>>,
) -> ExitCode {
    init(json(std::io::stdout), "info");
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
    match function.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "the function has ended");
            ExitCode::FAILURE
        }
    }
}

/// Starts logging for this process in one of the formats, [`json`] or [`text`], at the levels that `RUST_LOG`
/// names, else at `default`: a level, or levels of modules such as `info,shared=debug`. A second call does nothing.
pub fn init(format: impl Layer<Registry> + Send + Sync, default: &str) {
    let levels = config::log_levels(default);
    let unreadable = levels.as_ref().err().map(ToString::to_string);
    let levels: Targets = levels.unwrap_or_else(|_| default.parse().unwrap_or_default());
    let wanted = filter_fn(|metadata| !has_contents(metadata));
    // The format is innermost: what the filters around it leave out does not get to it.
    let logging = tracing_subscriber::registry()
        .with(format)
        .with(levels)
        .with(wanted);
    // An error says that logging has been started before, which is what was asked for.
    let _ = logging.try_init();
    if let Some(error) = unreadable {
        tracing::error!(error, "what is to be logged is not what was asked for");
    }
}

/// One JSON object a line, without times: the log service stamps each line. All spans stand in each, from the
/// outermost on: the first is the invocation's, with the id of its request.
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

/// One line for a person, with colours if asked for. What of a value would act on a terminal is shown instead:
/// payloads and endpoints choose some of them.
pub fn text<S, W>(writer: W, colours: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    let fields = debug_fn(|line, field, value| {
        let value = printable(&format!("{value:?}"));
        match field.name() {
            "message" => write!(line, "{value}"),
            name => write!(line, "{name}={value}"),
        }
    });
    fmt::layer()
        .compact()
        .fmt_fields(fields.delimited(" "))
        .with_ansi(colours)
        .with_writer(writer)
}

/// Whether a line of the AWS SDK's, or of Lambda's runtime, may hold what is in tables, queues and events.
fn has_contents(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let is_of_aws = target.starts_with("aws_") || target.starts_with("lambda_");
    *metadata.level() == Level::TRACE && is_of_aws
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while this is done.
    fn logged_text(work: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let layer = text(move || writer.clone(), false);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn nothing_of_a_value_acts_on_a_terminal() {
        let hostile = "a\u{1b}[2J\r\nb\u{202e}c";
        let said = logged_text(|| {
            let span = tracing::info_span!("request", id = %hostile);
            let _within = span.enter();
            let error = io::Error::other(hostile);
            let error: &dyn Error = &error;
            tracing::info!(path = hostile, shown = %hostile, debug = ?hostile, error, "said {hostile}");
        });
        let acting = |c: char| c.is_control() || c == '\u{202e}';
        assert_eq!(said.matches(acting).collect::<String>(), "\n", "{said:?}");
        for part in [
            r"said a\u{1b}[2J\r\nb\u{202e}c",
            r#"path="a\u{1b}[2J\r\nb\u{202e}c""#,
            r"shown=a\u{1b}[2J\r\nb\u{202e}c",
            r"id=a\u{1b}[2J\r\nb\u{202e}c",
            r"error=a\u{1b}[2J\r\nb\u{202e}c",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
