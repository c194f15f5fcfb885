//! The log: on stderr, for people.

use std::fmt::{self, Debug};
use std::io::{self, IsTerminal, Write, stderr, stdout};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::args::{Cli, Command};
use crate::ending::Failure;
use crate::output;

/// The variable that says what is logged, such as `info` or `warn,tandem_engine=debug`.
const VARIABLE: &str = "TANDEM_LOG";

/// Sets the log up.
pub(crate) fn init(cli: &Cli) -> Result<(), Failure> {
    let said = std::env::var(VARIABLE)
        .ok()
        .filter(|text| !text.trim().is_empty());
    let filter = match &said {
        Some(text) if text.trim().parse::<Level>().is_ok() => EnvFilter::new(ours(text.trim())),
        Some(text) => EnvFilter::try_new(text).map_err(|error| {
            Failure::usage(format!(
                "{VARIABLE} cannot be read: {error}\n  right: error, warn, info, debug or trace; or per part, like warn,tandem_engine=debug"
            ))
        })?,
        None => EnvFilter::new(default(cli)),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Above);
    if said.is_some() || matches!(cli.command, Command::Serve(_)) {
        let coloured =
            stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|said| said.is_empty());
        log.compact().with_ansi(coloured).with_target(false).init();
    } else {
        log.event_format(Sentence).init();
    }
    Ok(())
}

/// Stderr, above what is drawn there. An event is written at once.
struct Above;

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        output::above(|| stderr().write(bytes))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        output::above(|| stderr().write_all(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

/// An event as people in front of a command read it, who asked for no log: when it was and whose field is what they
/// do not care for.
struct Sentence;

impl<S, N> FormatEvent<S, N> for Sentence
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let word = match *event.metadata().level() {
            Level::ERROR => "error",
            _ => "warning",
        };
        writeln!(writer, "{word}: {}", output::plain(&said.0))
    }
}

/// An event's sentence.
#[derive(Default)]
struct Said(String);

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// A mere level is for Tandem's own lines. Libraries keep to warnings: what they tell below that may hold headers and
/// bodies, and so tokens and people's texts. Who names a library gets it.
fn ours(level: &str) -> String {
    format!("warn,tandem={level}")
}

fn default(cli: &Cli) -> &'static str {
    match &cli.command {
        Command::Serve(_) => "info",
        // What goes wrong there goes wrong on purpose, and lines between the pictures would spoil them.
        Command::Demo(_) if stdout().is_terminal() => "off",
        Command::Demo(_) => "error",
        // A site that rejects the credentials is paused in a table that forgets it: the command says what is so.
        command if command.looks_ahead() => "warn,tandem_engine::gate=off",
        _ => "warn",
    }
}
