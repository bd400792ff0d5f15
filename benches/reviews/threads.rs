//! What the threads of this process did: time on a core, and time ready to run without one.

use std::fs;
use std::time::Duration;

use crate::Failure;

/// Sums over the threads of one name, since they began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// On a core, in user mode and in the kernel.
    pub(crate) running: Duration,
    /// Ready, while others had the cores.
    pub(crate) waiting: Duration,
}

// === impl Spent ===

impl Spent {
    /// Of the threads called `name`, from `/proc/self/task/*/schedstat` (Linux, `Documentation/scheduler/sched-stats.rst`).
    pub(crate) fn by(name: &str) -> Result<Self, Failure> {
        let mut sum = Self::default();
        for task in fs::read_dir("/proc/self/task")? {
            let task = task?.path();
            // A thread may end between the two readings.
            let Ok(comm) = fs::read_to_string(task.join("comm")) else { continue };
            if comm.trim_end() != name {
                continue;
            }
            let stat = fs::read_to_string(task.join("schedstat"))?;
            let mut fields = stat.split_ascii_whitespace().map(str::parse::<u64>);
            let (Some(running), Some(waiting)) = (fields.next(), fields.next()) else {
                return Err("this kernel keeps no schedstat".into());
            };
            sum.running += Duration::from_nanos(running?);
            sum.waiting += Duration::from_nanos(waiting?);
        }
        Ok(sum)
    }

    /// What was spent between two readings.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            running: self.running.saturating_sub(earlier.running),
            waiting: self.waiting.saturating_sub(earlier.waiting),
        }
    }
}
