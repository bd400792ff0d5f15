//! Log flags → a subscriber on standard error: text for people, JSON for machines.

#[cfg(feature = "otlp")]
pub mod traces;

use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

/// The target of every span. They are made at level TRACE: where nobody takes them they cost a comparison.
pub const SPANS: &str = "pullgate::spans";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `--log-format` has another word.
    #[error("--log-format {0:?} is not known: use text or json")]
    Format(String),
    /// `--log` does not parse.
    #[error("--log {filter:?} is not a level or a filter: {reason}; write it like info, or like info,pullgate=debug")]
    Filter {
        /// The value.
        filter: String,
        /// What is wrong with it.
        reason: tracing_subscriber::filter::ParseError,
    },
    /// `--otlp-endpoint` cannot be used.
    #[cfg(feature = "otlp")]
    #[error("--otlp-endpoint {endpoint:?} cannot be used: {reason}; write it like http://collector:4318")]
    Endpoint {
        /// The value.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else has set up a log in this process.
    #[error("the log is already set up")]
    Again(#[source] TryInitError),
}

/// Sets up the log of the process. `filter` is a level, or levels by module: `info,pullgate=debug`.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let log = log(format).with_filter(parse_filter(filter)?);
    registry().with(log).try_init().map_err(TelemetryError::Again)
}

fn log<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let log = fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    }
}

fn parse_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder().parse(filter).map_err(|reason| TelemetryError::Filter { filter: filter.to_owned(), reason })
}

// === impl LogFormat ===

impl FromStr for LogFormat {
    type Err = TelemetryError;

    fn from_str(word: &str) -> Result<Self, TelemetryError> {
        match word {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(TelemetryError::Format(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_format_or_filter_names_its_flag() {
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
        let error = "xml".parse::<LogFormat>().unwrap_err().to_string();
        assert_eq!(error, r#"--log-format "xml" is not known: use text or json"#);
        let error = parse_filter("pullgate=loud").unwrap_err().to_string();
        assert!(error.starts_with(r#"--log "pullgate=loud" is not a level or a filter: "#), "{error}");
        assert!(parse_filter("info,pullgate=debug").is_ok());
    }
}
