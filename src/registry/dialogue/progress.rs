//! How far a dialogue has come → what a node does about the next 401. Pure.

use crate::registry::auth::Order;
use crate::registry::challenge::Challenge;
use crate::registry::session::Authorization;
use crate::registry::transport::Intent;

/// Requests of one dialogue, as containerd counts them (`core/remotes/docker/resolver.go`, `maxAttempts`).
const MAX_REQUESTS: usize = 5;

/// What was asked so far.
#[derive(Debug)]
pub(super) struct Progress {
    /// Requests that may still be sent.
    left: usize,
    /// What is presented comes from memory: to a node the answer would be that to its first request.
    remembered: bool,
    /// A 401 with an `error` was answered: the next one ends it.
    warned: bool,
    /// The token was fetched in the order in which a node tries the methods.
    ordered: bool,
}

/// What follows from a 401.
pub(super) enum Next {
    /// The challenge is answered; `renew` if not with the token that was just presented.
    Answer { challenge: Challenge, order: Option<Order>, renew: bool },
    /// The same request is sent again.
    Repeat,
    /// The refusal is the answer, or what a Basic login is shown again for.
    Refused,
    /// No node gets further: it stays with the login when it is asked for a token.
    Stuck,
}

// === impl Progress ===

impl Progress {
    /// Nothing is sent yet; what is presented first may be `remembered`.
    pub(super) fn new(remembered: bool) -> Self {
        Self { left: MAX_REQUESTS, remembered, warned: false, ordered: false }
    }

    /// One more request was sent.
    pub(super) fn sent(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Whether a node would send another request.
    pub(super) fn may_go_on(&self) -> bool {
        self.left > 0
    }

    /// What a node does about a 401 (`core/remotes/docker/authorizer.go`, `AddResponses`), and once more where it gives up
    /// after one: a refusal is an answer only when it was repeated. What only explains is not repeated.
    pub(super) fn next(&mut self, intent: Intent, presented: &Authorization<'_>, challenge: Option<Challenge>) -> Next {
        let remembered = std::mem::replace(&mut self.remembered, false);
        let Some(challenge) = challenge.filter(|_| self.may_go_on()) else { return Next::Refused };
        let repeats = intent == Intent::Pull;
        match (presented, &challenge) {
            (Authorization::Basic { .. }, Challenge::Basic) => Next::Refused,
            (Authorization::Basic { .. }, Challenge::Bearer { .. }) if !remembered => Next::Stuck,
            (Authorization::Bearer { cached: false, out_of_order, .. }, Challenge::Bearer { error, .. }) => {
                let renewed = error.as_deref() == Some("invalid_token");
                let warned = self.warned;
                self.warned |= error.is_some();
                let ordered = std::mem::replace(&mut self.ordered, true);
                match (error.is_some() && warned, *out_of_order && !ordered) {
                    // Another method may bring another token.
                    (_, true) if repeats => Next::Answer { challenge, order: Some(Order::PostFirst), renew: true },
                    (false, _) if renewed || (remembered && repeats) => {
                        Next::Answer { challenge, order: None, renew: renewed }
                    }
                    (false, _) if repeats => Next::Repeat,
                    _ => Next::Refused,
                }
            }
            _ => Next::Answer { challenge, order: None, renew: true },
        }
    }
}
