//! The workloads of one object → one verdict: a kind that is configured may have several pod templates, each with pull
//! secrets, a `ServiceAccount` and a placement of its own.

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::check::{Engine, Purpose};
use crate::policy::Policy;
use crate::verdict::Verdict;
use crate::workload::Workload;

/// Templates judged at once; an object may have thousands.
const AT_ONCE: usize = 16;

/// Judges every workload by `deadline`; `None` where there is none.
pub(super) async fn judge(
    engine: &Engine,
    policy: &Policy,
    workloads: &[Workload],
    deadline: Instant,
) -> Option<Verdict> {
    if let [workload] = workloads {
        return Some(engine.check(policy, workload, Purpose::Judge, deadline).await);
    }
    let mut whole: Option<Verdict> = None;
    for some in workloads.chunks(AT_ONCE) {
        let judging = some.iter().map(|workload| engine.check(policy, workload, Purpose::Judge, deadline));
        whole = whole.into_iter().chain(join_all(judging).await).reduce(Verdict::with);
    }
    whole
}
