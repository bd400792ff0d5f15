//! The docker configuration file of the nodes → its logins, read again every five minutes
//! (kubernetes/kubernetes `pkg/credentialprovider/provider.go`, `config.go`).
//!
//! Of several paths the first file that can be read and decoded counts, and nothing is merged. A kubelet is silent
//! about the others and about having none; a file that was declared here and is of no use is also said.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
use tracing::warn;

use super::unusable::Unusable;
use crate::credentials::{Entries, Source};
use crate::time::{Clock, since};

/// How long what was read is used.
const HELD: Duration = Duration::from_mins(5);

/// Bytes of a file at most.
const MAX_FILE: u64 = 4 << 20;

/// The declared paths and what was last read.
#[derive(Debug)]
pub(super) struct DockerConfig {
    paths: Vec<PathBuf>,
    clock: Clock,
    held: Mutex<Option<(Timestamp, Result<Entries, Unusable>)>>,
}

// === impl DockerConfig ===

impl DockerConfig {
    pub(super) fn new(paths: Vec<PathBuf>, clock: Clock) -> Self {
        Self { paths, clock, held: Mutex::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The logins; with `not_before`, as read at that time or later. No path: no logins.
    pub(super) async fn entries(&self, not_before: Option<Timestamp>) -> Result<Entries, Unusable> {
        if self.paths.is_empty() {
            return Ok(Entries::default());
        }
        let mut held = self.held.lock().await;
        let now = (self.clock)();
        if let Some((read, entries)) = held.as_ref()
            && since(*read, now) < HELD
            && not_before.is_none_or(|not_before| *read >= not_before)
        {
            return entries.clone();
        }
        let entries = self.read().await;
        *held = Some((now, entries.clone()));
        entries
    }

    async fn read(&self) -> Result<Entries, Unusable> {
        let mut first = None;
        for path in &self.paths {
            match read(path).await {
                Ok(entries) => return Ok(entries),
                Err(why) => {
                    let why = format!("{} {why}", path.display());
                    warn!(error = %why, "Passed over a docker configuration file");
                    first.get_or_insert(Unusable::ConfigFile(why));
                }
            }
        }
        first.map_or(Ok(Entries::default()), Err)
    }
}

async fn read(path: &Path) -> Result<Entries, String> {
    let text = bytes(path).await.map_err(|error| format!("cannot be read ({})", error.kind()))?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!("has more than {MAX_FILE} bytes"));
    }
    let decoded = if path.file_name() == Some(OsStr::new(".dockercfg")) {
        Entries::from_dockercfg(&Source::NodeConfig, &text)
    } else {
        Entries::from_config_json(&Source::NodeConfig, &text)
    };
    decoded.map_err(|error| format!("does not decode ({error})"))
}

async fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path).await?.take(MAX_FILE + 1).read_to_end(&mut text).await?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::credentials::Keyring;

    fn users(entries: &Result<Entries, Unusable>) -> Vec<String> {
        let keyring: Keyring = entries.iter().cloned().collect();
        let candidates = keyring.matching("a.io/x");
        candidates.iter().filter_map(|c| c.credential.as_ref()).map(|c| c.username.clone()).collect()
    }

    #[tokio::test]
    async fn the_first_good_file_counts_and_is_held_for_five_minutes() {
        let dir = tempfile::tempdir().unwrap();
        let [missing, bad, cfg, json] = ["none", "bad.json", ".dockercfg", "config.json"].map(|n| dir.path().join(n));
        fs::write(&bad, "{\"auths\":{\"a.io\":{\"auth\":\"aHVudGVyMg==\"}}}").unwrap();
        fs::write(&cfg, "{\"a.io\":{\"username\":\"cfg\"}}").unwrap();
        fs::write(&json, "{\"auths\":{\"a.io\":{\"username\":\"json\"}}}").unwrap();
        let now = Arc::new(AtomicI64::new(0));
        let clock = Clock::new({
            let now = Arc::clone(&now);
            move || Timestamp::from_second(now.load(Ordering::SeqCst)).unwrap()
        });

        let file = DockerConfig::new(vec![missing.clone(), bad.clone(), json.clone(), cfg.clone()], clock.clone());
        assert_eq!(users(&file.entries(None).await), ["json"]);
        fs::remove_file(&json).unwrap();
        now.store(299, Ordering::SeqCst);
        assert_eq!(users(&file.entries(None).await), ["json"], "still held");
        now.store(300, Ordering::SeqCst);
        assert_eq!(users(&file.entries(None).await), ["cfg"]);
        fs::write(&json, "{\"auths\":{\"a.io\":{\"username\":\"new\"}}}").unwrap();
        assert_eq!(users(&file.entries(None).await), ["cfg"], "still held");
        let later = Timestamp::from_second(301).unwrap();
        now.store(301, Ordering::SeqCst);
        assert_eq!(users(&file.entries(Some(later)).await), ["new"], "a fresh reading was wanted");

        let none = DockerConfig::new(vec![bad.clone(), missing], clock.clone());
        let why = none.entries(None).await.unwrap_err().to_string();
        let expected = "does not decode (unable to parse auth field, must be formatted as base64(username:password))";
        assert_eq!(why, format!("{} {expected}", bad.display()));
        assert!(DockerConfig::new(Vec::new(), clock).entries(None).await.is_ok());
    }
}
