//! Files and directories that change → a call, by comparing what they hold.
//!
//! A mounted Secret or `ConfigMap` changes by swapping a symbolic link, which a watch on the file misses; so the files
//! are read every few seconds and compared.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::time::{MissedTickBehavior, interval_at};
use tracing::{info, warn};

use super::shutdown::Hangups;

/// A set of files and what they held when last looked at.
pub struct FileWatch {
    name: &'static str,
    files: Box<dyn Fn() -> Vec<PathBuf> + Send>,
    seen: Seen,
}

/// A hash per file, so that no key is kept in memory for comparing; none for a file that cannot be read.
type Seen = Vec<(Option<Vec<u8>>, PathBuf)>;

/// How far below a directory is looked: a directory per registry, and the files in it.
const DEEPEST: u8 = 2;

// === impl FileWatch ===

impl fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatch").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FileWatch {
    /// Looks at the files. Make this before the files are loaded for the first time, or a change in between goes unseen.
    /// `name` is what the log calls them.
    pub async fn new(name: &'static str, files: Vec<PathBuf>) -> Self {
        Self::of(name, move || files.clone()).await
    }

    /// The same for files that are known only by and by: `files` is asked before each look. A directory stands for
    /// everything in it.
    pub async fn of(name: &'static str, files: impl Fn() -> Vec<PathBuf> + Send + 'static) -> Self {
        let seen = look(files()).await;
        Self { name, files: Box::new(files), seen }
    }

    /// What the log calls the files.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Looks again `every` so often, and calls `load` when anything is different; at SIGHUP calls it in any case. `load`
    /// says whether it took something new; when it refuses, it must leave what it has in place, and is called again
    /// when the files change again. Never returns.
    pub async fn run<E: std::fmt::Display>(
        self,
        every: Duration,
        mut hangups: Hangups,
        mut load: impl FnMut() -> Result<bool, E> + Send,
    ) {
        let Self { name, files, mut seen } = self;
        let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listening = true;
        loop {
            let told = tokio::select! {
                _ = ticks.tick() => false,
                hangup = hangups.changed(), if listening => {
                    listening = hangup.is_ok();
                    listening
                }
            };
            let now = look(files()).await;
            if !told && now == seen {
                continue;
            }
            seen = now;
            match load() {
                Ok(true) => info!(what = name, "Reloaded"),
                Ok(false) if told => info!(what = name, "Nothing new to load"),
                Ok(false) => {}
                Err(error) => warn!(what = name, %error, "Not reloaded: what was loaded before stays in use"),
            }
        }
    }
}

async fn look(files: Vec<PathBuf>) -> Seen {
    let mut seen = Vec::with_capacity(files.len());
    let mut ahead: Vec<(PathBuf, u8)> = files.into_iter().map(|file| (file, 0)).collect();
    while let Some((path, depth)) = ahead.pop() {
        let Ok(mut entries) = tokio::fs::read_dir(&path).await else {
            seen.push((hash(&path).await, path));
            continue;
        };
        let mut below = Vec::new();
        while let Ok(Some(entry)) = entries.next_entry().await {
            below.push((entry.path(), depth + 1));
        }
        below.sort();
        // A link that leads back up would have no end.
        ahead.extend(below.into_iter().filter(|(_, depth)| *depth <= DEEPEST));
    }
    seen
}

async fn hash(file: &Path) -> Option<Vec<u8>> {
    let bytes = tokio::fs::read(file).await.ok()?;
    Some(digest::digest(&digest::SHA256, &bytes).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::sync::{mpsc, watch};
    use tokio::time::timeout;

    use super::*;

    const OFTEN: Duration = Duration::from_millis(10);
    const LONG: Duration = Duration::from_millis(500);
    const QUIET: Duration = Duration::from_millis(60);

    #[tokio::test]
    async fn a_swapped_link_a_vanished_file_and_a_signal_are_seen_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second, link) = (dir.path().join("1"), dir.path().join("2"), dir.path().join("tls.crt"));
        fs::write(&first, "one").unwrap();
        fs::write(&second, "two").unwrap();
        std::os::unix::fs::symlink(&first, &link).unwrap();

        let (hang_up, hangups) = watch::channel(0);
        let (calls, mut called) = mpsc::unbounded_channel();
        let watch = FileWatch::new("certificate", vec![link.clone()]).await;
        let path = link.clone();
        let running = tokio::spawn(watch.run(OFTEN, hangups, move || {
            let read = fs::read_to_string(&path).map_err(|error| error.to_string());
            calls.send(read.clone().ok()).unwrap();
            read.map(|_| true)
        }));
        assert!(timeout(QUIET, called.recv()).await.is_err(), "nothing has changed");

        std::os::unix::fs::symlink(&second, dir.path().join("new")).unwrap();
        fs::rename(dir.path().join("new"), &link).unwrap();
        assert_eq!(timeout(LONG, called.recv()).await.unwrap().unwrap().as_deref(), Some("two"));
        assert!(timeout(QUIET, called.recv()).await.is_err(), "nothing more has changed");

        hang_up.send_modify(|count| *count += 1);
        assert_eq!(timeout(LONG, called.recv()).await.unwrap().unwrap().as_deref(), Some("two"));

        fs::remove_file(&link).unwrap();
        assert_eq!(timeout(LONG, called.recv()).await.unwrap().unwrap(), None);
        drop(hang_up);
        std::os::unix::fs::symlink(&first, &link).unwrap();
        assert_eq!(timeout(LONG, called.recv()).await.unwrap().unwrap().as_deref(), Some("one"));
        running.abort();
    }
}
