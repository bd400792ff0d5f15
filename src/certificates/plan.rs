//! What was read from the cluster, what has been so for how long, and the time → which authority signs, which is still to
//! be learnt, which must stay trusted, and whether a new leaf is due.
//!
//! A rotation takes four looks at least: an authority is made and put into the bundle; when every webhook object has had
//! it for the settling time, it signs; when every replica has shown its leaf for the settling time, the old one goes.
//! Nothing is ever served that an API server may not have learnt to trust.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::time::since;

/// What a certificate is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 32]);

/// A certificate authority. Ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Authority {
    /// Valid from.
    pub from: Timestamp,
    /// Valid until.
    pub until: Timestamp,
    /// Which.
    pub id: Id,
}

/// A serving certificate that chains to an authority, valid or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The authority.
    pub issuer: Id,
    /// Valid from.
    pub from: Timestamp,
    /// Valid until.
    pub until: Timestamp,
    /// Whether it is for every name by which API servers call.
    pub named: bool,
}

/// What was read from the cluster. What is not good is not here.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Signs leaves; with its key.
    pub signer: Option<Authority>,
    /// Will sign; with its key.
    pub next: Option<Authority>,
    /// Signed once.
    pub previous: Vec<Authority>,
    /// What the leaf's Secret gives as the bundle.
    pub handed_out: Vec<Authority>,
    /// The leaf in its Secret, with its key.
    pub leaf: Option<Leaf>,
    /// What each webhook trusts. None: not known.
    pub bundles: Option<Vec<Vec<Authority>>>,
    /// What each replica shows, if it is known. None: it is not known which there are.
    pub replicas: Option<Vec<Option<Leaf>>>,
}

/// What has been so since when, as far as this process saw it; a new process begins anew.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Authorities that every webhook trusts.
    trusted: BTreeMap<Id, Timestamp>,
    /// The authority of the Secret's leaf and of every replica's.
    moved: Option<(Id, Timestamp)>,
}

/// An authority that is there, or one to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is there.
    Seen(Authority),
    /// It is to be made.
    New,
}

/// What should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Who signs. None while there is nobody whom API servers are sure to trust.
    pub signer: Option<Source>,
    /// Who will sign.
    pub next: Option<Source>,
    /// Who stays trusted besides, the oldest first.
    pub previous: Vec<Authority>,
    /// A new leaf is to be issued by the signer.
    pub issue: bool,
}

/// The next state of everything that is kept; `memory` has noted `seen` already. `settle` is how long after a change of the
/// webhook objects every API server is taken to know it.
pub fn plan(seen: &Seen, memory: &Memory, settle: Duration, now: Timestamp) -> Plan {
    let lives = |authority: &Authority| now < authority.until;
    let settled = |id: Id| {
        seen.bundles.as_ref().is_some_and(Vec::is_empty)
            || memory.trusted.get(&id).is_some_and(|at| since(*at, now) >= settle)
    };
    let nothing_to_lose = nothing_to_lose(seen, now);
    let (mut signer, mut next) = (seen.signer.filter(lives), seen.next.filter(lives));
    let (mut new_signer, mut new_next) = (false, false);

    let mut previous: BTreeSet<Authority> = seen.previous.iter().copied().collect();
    let others = || seen.handed_out.iter().chain(seen.bundles.iter().flatten().flatten());
    let in_use: BTreeSet<Id> = leaves(seen).filter(|leaf| now < leaf.until).map(|leaf| leaf.issuer).collect();
    previous.extend(others().filter(|other| in_use.contains(&other.id)));
    if signer.is_none() {
        previous.extend(others());
    }

    match (signer, next) {
        (Some(old), None) => new_next = due(old.from, old.until, now),
        (None, None) if nothing_to_lose => new_signer = true,
        (None, None) => new_next = true,
        (old, Some(new)) if settled(new.id) || (old.is_none() && nothing_to_lose) => {
            previous.extend(old);
            (signer, next) = (Some(new), None);
        }
        (_, Some(_)) => {}
    }

    let issue = new_signer
        || signer.is_some_and(|signer| match seen.leaf {
            Some(leaf) if leaf.issuer == signer.id => !leaf.named || due(leaf.from, leaf.until, now),
            _ => {
                let shown = leaves(seen).any(|leaf| leaf.issuer == signer.id && now < leaf.until);
                nothing_to_lose || shown || settled(signer.id)
            }
        });

    if let (Some(signer), Some((id, at))) = (signer, memory.moved)
        && id == signer.id
        && since(at, now) >= settle
    {
        previous.clear();
    }
    let previous = previous
        .into_iter()
        .filter(|authority| lives(authority) && Some(*authority) != signer && Some(*authority) != next)
        .collect();
    let source = |seen: Option<Authority>, new: bool| seen.map(Source::Seen).or(new.then_some(Source::New));
    Plan { signer: source(signer, new_signer), next: source(next, new_next), previous, issue }
}

/// Two thirds of a life are over.
fn due(from: Timestamp, until: Timestamp, now: Timestamp) -> bool {
    let life = until.duration_since(from).as_secs();
    now.duration_since(from).as_secs() * 3 >= life * 2
}

/// Every leaf that is known of.
fn leaves(seen: &Seen) -> impl Iterator<Item = Leaf> {
    seen.leaf.into_iter().chain(seen.replicas.iter().flatten().flatten().copied())
}

/// No API server trusts anything that a replica could show: the first start, or everything has expired. Nothing gets worse
/// by not waiting.
fn nothing_to_lose(seen: &Seen, now: Timestamp) -> bool {
    let Some(bundles) = &seen.bundles else { return false };
    let trusted: BTreeSet<Id> =
        bundles.iter().flatten().filter(|authority| now < authority.until).map(|authority| authority.id).collect();
    let unknown = seen.replicas.as_ref().is_none_or(|replicas| replicas.iter().any(Option::is_none));
    let believed = |leaf: Leaf| now < leaf.until && trusted.contains(&leaf.issuer);
    trusted.is_empty() || !(unknown || leaves(seen).any(believed))
}

// === impl Memory ===

impl Memory {
    /// Notes what is so now. What is not known leaves a bundle as it was; replicas must all be known.
    pub fn note(&mut self, seen: &Seen, now: Timestamp) {
        // A clock that stepped back has seen nothing yet.
        let known_since = |at: Option<Timestamp>| at.map_or(now, |at| at.min(now));
        if let Some(bundles) = &seen.bundles {
            let in_all = |id: &Id| bundles.iter().all(|bundle| bundle.iter().any(|authority| authority.id == *id));
            let ids: BTreeSet<Id> = bundles.iter().flatten().map(|authority| authority.id).filter(in_all).collect();
            self.trusted = ids.into_iter().map(|id| (id, known_since(self.trusted.get(&id).copied()))).collect();
        }
        self.moved = moved(seen, now).map(|id| {
            let before = self.moved.filter(|(before, _)| *before == id).map(|(_, at)| at);
            (id, known_since(before))
        });
    }
}

/// The signer, if all that is shown is signed by it.
fn moved(seen: &Seen, now: Timestamp) -> Option<Id> {
    let signer = seen.signer?.id;
    let by_it = |leaf: Option<Leaf>| leaf.is_some_and(|leaf| leaf.issuer == signer && now < leaf.until);
    (by_it(seen.leaf) && seen.replicas.as_ref()?.iter().all(|leaf| by_it(*leaf))).then_some(signer)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod time_travel;
