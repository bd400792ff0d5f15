//! The reference model: given everything that ever was so and everything that was asked, which verdicts are right.
//!
//! It knows no cache, no key and no breaker: only for how long an answer may be repeated, and to whom.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pullgate::check::Purpose;
use pullgate::finding::{Code, Finding};
use pullgate::verdict::{Judged, Verdict};
use pullgate::workload::PullPolicy;

use super::registries::Logged;
use super::state::{Answer, Image, Login, Mode, Object, State, digest_text};

/// A success by tag may be repeated for so long.
const TAG: Duration = Duration::from_mins(1);

/// A success by digest.
const DIGEST: Duration = Duration::from_mins(5);

/// A success that is called stale while its registry is well.
const REFRESHED: u32 = 3;

/// A success that is called stale while its registry is not.
const STALE: Duration = Duration::from_hours(24);

/// What a denial, or a pin under `Always`, may rest on.
const FRESH: Duration = Duration::from_secs(5);

/// A refused login is held.
const LOGIN_REFUSED: Duration = Duration::from_mins(2);

/// The longest pause of a registry that is not well, and a second.
const PAUSE: Duration = Duration::from_secs(31);

/// Failed logins of a registry are counted for so long.
const LOGINS: Duration = Duration::from_mins(3);

/// Requests that one candidate of one image may cost in one review: two passes, with a token and its two methods each.
const REQUESTS: usize = 12;

/// One pod and who asks.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    pub(crate) namespace: usize,
    pub(crate) images: Vec<Image>,
    pub(crate) purpose: Purpose,
    pub(crate) policy: PullPolicy,
    /// By registry, in order; `None` is anonymous.
    pub(crate) candidates: [Vec<Option<Login>>; 2],
}

/// Which promise is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// An image is let through that was not there, or not for that login, within the lifetime of the answer.
    Allow,
    /// A denial was not true when the pod was reviewed.
    Deny,
    /// A digest is written that the tag did not name within the time that a pin may rest on.
    Pin,
    /// A registry that is well is not asked, or what it says is not said.
    Decide,
    /// More requests than the answer needed.
    Cost,
}

#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    pub(crate) text: String,
}

/// Everything that ever was so.
pub(crate) struct History {
    states: Vec<(Timestamp, State)>,
    log: Vec<Logged>,
    /// Until when each registry need not be asked because of what it last did.
    troubled: [Timestamp; 2],
    /// Whom each registry has answered since.
    settled: BTreeSet<(usize, Option<Login>)>,
}

/// When a review began and ended.
type Span = (Timestamp, Timestamp);

// === impl History ===

impl History {
    pub(crate) fn new(now: Timestamp, state: State) -> Self {
        Self { states: vec![(now, state)], log: Vec::new(), troubled: [now; 2], settled: BTreeSet::new() }
    }

    pub(crate) fn changed(&mut self, now: Timestamp, state: State) {
        self.states.push((now, state));
    }

    pub(crate) fn asked(&mut self, log: &[Logged]) {
        for logged in log {
            let rest = match (logged.status, logged.retry_after) {
                (Some(429), Some(seconds)) => Duration::from_secs(seconds).max(PAUSE),
                (None | Some(429 | 500..), _) => PAUSE,
                _ => continue,
            };
            self.settled.retain(|(host, _)| *host != logged.host);
            let troubled = &mut self.troubled[logged.host];
            *troubled = after(logged.at, rest).max(*troubled);
        }
        self.log.extend_from_slice(log);
    }

    /// Whether a verdict is one that may be given.
    ///
    /// # Errors
    /// The promise that it breaks.
    pub(crate) fn judge(
        &self,
        review: &Review,
        verdict: &Verdict,
        span: Span,
        log: &[Logged],
        alone: bool,
    ) -> Result<(), Violation> {
        // After trouble one question goes first, and others wait for its answer.
        let first = alone && review.images.len() == 1;
        let well = [0, 1].map(|host| {
            let mut candidates = review.candidates[host].iter();
            self.well(host, span) && (first || candidates.all(|login| self.settled.contains(&(host, *login))))
        });
        for (image, judged) in review.images.iter().zip(&verdict.images) {
            let finding = verdict.findings.iter().find(|finding| finding.path == judged.image.path);
            let checked = match (finding, judged.digest.as_ref()) {
                (None, Some(digest)) => self.allowed(review, *image, judged, digest.as_str(), span, well[image.host]),
                (Some(finding), None) if finding.certain => self.denied(review, *image, finding, span),
                (Some(_), None) if !well[image.host] => Ok(()),
                (Some(finding), None) => {
                    Err((Promise::Decide, format!("uncertain while the registry is well: {}", finding.message())))
                }
                (None, None) | (Some(_), Some(_)) => Err((Promise::Decide, "neither found nor not found".to_owned())),
            };
            checked.and_then(|()| self.costs(review, *image, span, log, alone)).map_err(|(promise, text)| {
                let text = format!("{promise:?}: {} for {review:?}: {text}", image.written());
                Violation { promise, text }
            })?;
        }
        Ok(())
    }

    /// Whoever was answered just now need not wait for others any more.
    pub(crate) fn settle(&mut self, review: &Review, verdict: &Verdict, log: &[Logged]) {
        for (image, judged) in review.images.iter().zip(&verdict.images) {
            let finding = verdict.findings.iter().find(|finding| finding.path == judged.image.path);
            let answered = |logged: &Logged| logged.image == Some(*image) && matches!(logged.status, Some(200..429));
            if finding.is_none_or(|finding| finding.certain) && log.iter().any(answered) {
                let tried = &review.candidates[image.host];
                let tried = if finding.is_none() { &tried[..1] } else { tried.as_slice() };
                self.settled.extend(tried.iter().map(|login| (image.host, *login)));
            }
        }
    }

    fn allowed(
        &self,
        review: &Review,
        image: Image,
        judged: &Judged,
        digest: &str,
        (began, ended): Span,
        well: bool,
    ) -> Result<(), (Promise, String)> {
        let candidates = &review.candidates[image.host];
        let held = if matches!(image.object, Object::Tag(_)) { TAG } else { DIGEST };
        let bound = match judged.stale {
            None => held,
            // It says itself how old it is.
            Some(age) => {
                let longest = if well { held * REFRESHED } else { STALE };
                if age >= longest {
                    return Err((Promise::Allow, format!("rests on something {age:?} old (well: {well})")));
                }
                age + between(began, ended)
            }
        };
        let said = |from: Timestamp| {
            self.within(from, ended).any(|state| {
                let mut answers = candidates.iter().flat_map(|login| state.answers(image, *login));
                answers.any(|answer| matches!(answer, Answer::Manifest(number) if digest_text(number) == digest))
            })
        };
        if !said(before(began, bound)) {
            return Err((Promise::Allow, format!("{digest} was not so in the last {bound:?}")));
        }
        if judged.pinnable && review.purpose == Purpose::Pin {
            let bound = if review.policy == PullPolicy::Always { FRESH } else { TAG };
            if judged.stale.is_some() || !said(before(began, bound)) {
                return Err((Promise::Pin, format!("{digest} was not so in the last {bound:?}")));
            }
        }
        let lasting = before(began, held * REFRESHED);
        let refused = |state: &State| {
            let mut all = candidates.iter().flat_map(|login| state.answers(image, *login)).peekable();
            all.peek().is_some() && all.all(|answer| matches!(answer, Answer::Refused(_)))
        };
        if well && self.within(lasting, ended).all(refused) {
            return Err((Promise::Decide, format!("{digest} is let through and was refused for long")));
        }
        let pins = review.purpose == Purpose::Pin && matches!(image.object, Object::Tag(_));
        if pins && well && !judged.pinnable {
            return Err((Promise::Decide, format!("{digest} could be pinned and is not")));
        }
        Ok(())
    }

    fn denied(
        &self,
        review: &Review,
        image: Image,
        finding: &Finding,
        (began, ended): Span,
    ) -> Result<(), (Promise, String)> {
        let candidates = &review.candidates[image.host];
        let said = |login: Option<Login>, wanted: &dyn Fn(Code) -> bool| {
            let refuses = |state: &State, rejected: bool| {
                state.answers(image, login).into_iter().any(|answer| match answer {
                    Answer::Refused(code) => wanted(code) && (!rejected || code == Code::CredentialsRejected),
                    Answer::Manifest(_) => false,
                })
            };
            self.within(before(began, FRESH), ended).any(|state| refuses(state, false))
                || self.within(before(began, LOGIN_REFUSED), ended).any(|state| refuses(state, true))
        };
        if let Some(login) = candidates.iter().find(|login| !said(**login, &|_| true)) {
            return Err((Promise::Deny, format!("{} while {login:?} could pull", finding.code)));
        }
        if !candidates.iter().any(|login| said(*login, &|code| code == finding.code)) {
            return Err((Promise::Deny, format!("{} was said to nobody", finding.code)));
        }
        Ok(())
    }

    /// What was asked a moment ago costs nothing, and nothing costs much.
    fn costs(
        &self,
        review: &Review,
        image: Image,
        (began, _): Span,
        log: &[Logged],
        alone: bool,
    ) -> Result<(), (Promise, String)> {
        let of_image = |logged: &&Logged| logged.image == Some(image);
        let candidates = &review.candidates[image.host];
        let spent = log.iter().filter(of_image).count();
        if alone && spent > REQUESTS * candidates.len() {
            return Err((Promise::Cost, format!("{spent} requests")));
        }
        // Who asked without a login is not known: one that is never asked for is not shown.
        let [Some(login)] = candidates.as_slice() else { return Ok(()) };
        if !alone || review.images.len() > 1 || review.purpose == Purpose::Pin {
            return Ok(());
        }
        let earlier = self.log.iter().rev().skip(log.len()).filter(of_image);
        let mut last = earlier.filter(|logged| logged.login == Some(*login) || logged.status != Some(200));
        // A dialogue may have begun some time before.
        let held = if matches!(image.object, Object::Tag(_)) { TAG } else { DIGEST };
        let held = held.saturating_sub(Duration::from_secs(25));
        match last.next() {
            Some(Logged { status: Some(200), at, login: Some(who), .. })
                if who == login && between(*at, began) < held && spent > 0 =>
            {
                Err((Promise::Cost, format!("{spent} requests for what was known for {:?}", between(*at, began))))
            }
            _ => Ok(()),
        }
    }

    /// Whether a registry answers, and has for long enough that nobody keeps away from it.
    fn well(&self, host: usize, (began, ended): Span) -> bool {
        let up = |state: &State| matches!(state.modes[host], Mode::Up | Mode::Slow(_));
        let troubled = self.troubled[host];
        // One that saw enough failed logins is not shown another.
        let failed = |logged: &&Logged| {
            let refused = logged.login.is_some() && logged.status == Some(401);
            logged.host == host && refused && logged.at >= before(began, LOGINS)
        };
        let shown = self.log.iter().rev().filter(failed).count() < 4;
        shown && troubled < began && self.within(before(began, PAUSE), ended).all(up)
    }

    /// Every state of that time, the one before it included.
    fn within(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = &State> {
        let first = self.states.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        self.states[first..].iter().take_while(move |(at, _)| *at <= to).map(|(_, state)| state)
    }
}

fn before(at: Timestamp, by: Duration) -> Timestamp {
    at - SignedDuration::try_from(by).unwrap()
}

fn after(at: Timestamp, by: Duration) -> Timestamp {
    at + SignedDuration::try_from(by).unwrap()
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
