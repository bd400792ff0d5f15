//! A registry in the process: it has every tag, counts manifest requests in windows of six hours, and refuses what is over
//! its limit with 429 until the next one. Requests take time that is accounted for, not slept.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use pullgate::registry::transport::{Request, Response, Sending, Transport};
use pullgate::time::Clock;

use crate::traffic::{HOUR, Random};

/// As Docker Hub's.
pub(crate) const WINDOW: u64 = 6 * HOUR;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The registry; the midnight before the day is the clock's zero.
#[derive(Debug)]
pub(crate) struct Hub {
    clock: Clock,
    limit: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: Random,
    window: u64,
    used: u64,
    log: Vec<Asked>,
    /// When the last answer for a path is there.
    ready: HashMap<String, u64>,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Milliseconds since midnight.
    pub(crate) at: u64,
    /// Answered with 429.
    pub(crate) refused: bool,
}

// === impl Hub ===

impl Hub {
    pub(crate) fn new(clock: Clock, limit: u64, seed: u64) -> Self {
        let state = State { random: Random::new(seed), window: 0, used: 0, log: Vec::new(), ready: HashMap::new() };
        Self { clock, limit, state: Mutex::new(state) }
    }

    /// Everything that was asked.
    pub(crate) fn log(&self) -> Vec<Asked> {
        self.state().log.clone()
    }

    /// How long a review that began at `began` waits for the manifest of a reference: for its own request, or for one
    /// that another review has under way.
    pub(crate) fn wait(&self, path: &str, began: u64) -> u64 {
        self.state().ready.get(path).map_or(0, |ready| ready.saturating_sub(began))
    }

    fn now(&self) -> u64 {
        u64::try_from((self.clock)().as_millisecond()).unwrap_or_default()
    }

    fn answer(&self, path: &str) -> Response {
        let now = self.now();
        let mut state = self.state();
        if state.window != now / WINDOW {
            (state.window, state.used) = (now / WINDOW, 0);
        }
        let refused = state.used >= self.limit;
        state.used += u64::from(!refused);
        let remaining = self.limit - state.used;
        let took = latency(&mut state.random);
        state.log.push(Asked { at: now, refused });
        state.ready.insert(path.to_owned(), now + took);
        let header = |name: &str, value: String| (name.to_owned(), value);
        let mut headers = vec![
            header("ratelimit-limit", format!("{};w={}", self.limit, WINDOW / 1000)),
            header("ratelimit-remaining", format!("{remaining};w={}", WINDOW / 1000)),
        ];
        if refused {
            let seconds = ((now / WINDOW + 1) * WINDOW - now).div_ceil(1000);
            headers.push(header("retry-after", seconds.to_string()));
            return Response { status: 429, headers, ..Response::default() };
        }
        headers.extend([
            header("content-type", INDEX.to_owned()),
            header("content-length", "1024".to_owned()),
            header("docker-content-digest", digest_of(path)),
        ]);
        Response { status: 200, headers, ..Response::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Hub {
    fn send<'a>(&'a self, request: Request<'a>) -> Sending<'a> {
        let answer = self.answer(request.url.path());
        Box::pin(async move { Ok(answer) })
    }
}

/// Milliseconds: 40 at least, 65 on average, now and then a few hundred.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 40 and 440")]
fn latency(random: &mut Random) -> u64 {
    40 + (-25.0 * (1.0 - random.unit()).ln()).min(400.0) as u64
}

/// What a path names: itself by digest, something of its own by tag.
fn digest_of(path: &str) -> String {
    if let Some((_, hex)) = path.rsplit_once("sha256:") {
        return format!("sha256:{hex}");
    }
    let bytes = digest(&SHA256, path.as_bytes());
    bytes.as_ref().iter().fold("sha256:".to_owned(), |digest, byte| digest + &format!("{byte:02x}"))
}
