//! Log flags → a subscriber on standard error: text for people, JSON for machines.

use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

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
    /// Something else has set up a log in this process.
    #[error("the log is already set up")]
    Again(#[source] TryInitError),
}

/// Sets up the log of the process. `filter` is a level, or levels by module: `info,pullgate=debug`.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let log = fmt().with_env_filter(parse_filter(filter)?).with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => log.json().flatten_event(true).finish().try_init(),
    }
    .map_err(TelemetryError::Again)
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
