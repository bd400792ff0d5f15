//! Single states, and what comes next.

use super::*;

const DAY: i64 = 86_400;
const SETTLE: Duration = Duration::from_secs(30);

/// Authority number `n`, valid from day `from` to day `until`.
fn authority(n: u8, from: i64, until: i64) -> Authority {
    Authority { id: Id([n; 32]), from: day(from), until: day(until) }
}

fn leaf(issuer: u8, from: i64, until: i64) -> Leaf {
    Leaf { issuer: Id([issuer; 32]), from: day(from), until: day(until), named: true }
}

fn day(day: i64) -> Timestamp {
    Timestamp::from_second(day * DAY).unwrap()
}

/// Authority 1 of ten years signs, its leaf of 90 days is served by two replicas; day 0 of both.
fn sound() -> Seen {
    let signer = authority(1, 0, 3650);
    Seen {
        signer: Some(signer),
        handed_out: vec![signer],
        leaf: Some(leaf(1, 0, 90)),
        bundles: Some(vec![vec![signer], vec![signer]]),
        replicas: Some(vec![Some(leaf(1, 0, 90)); 2]),
        ..Seen::default()
    }
}

/// The plan on a day, for a keeper that has seen the same for as long as `seen_for`.
fn planned(seen: &Seen, on: i64, seen_for: Duration) -> Plan {
    let mut memory = Memory::default();
    memory.note(seen, day(on) - seen_for);
    memory.note(seen, day(on));
    plan(seen, &memory, SETTLE, day(on))
}

/// `1` there, `+` to be made, `-` none: signer, next, previous, and whether a leaf is issued.
fn words(plan: &Plan) -> String {
    let source = |source: Option<Source>| match source {
        None => "-".to_owned(),
        Some(Source::New) => "+".to_owned(),
        Some(Source::Seen(authority)) => authority.id.0[0].to_string(),
    };
    let previous: String = plan.previous.iter().map(|authority| authority.id.0[0].to_string()).collect();
    let issue = if plan.issue { " issue" } else { "" };
    format!("{} {} [{previous}]{issue}", source(plan.signer), source(plan.next))
}

/// One change of what is seen.
type Change = fn(&mut Seen);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_seen_says_what_comes_next() {
    let settled = SETTLE;
    let fresh = SETTLE.saturating_sub(Duration::from_secs(1));
    let cases: [(&str, i64, Duration, Change, &str); 25] = [
        ("nothing is due", 59, settled, |_| {}, "1 - []"),
        ("two thirds of a leaf", 60, fresh, |_| {}, "1 - [] issue"),
        ("a leaf that is over", 91, fresh, |_| {}, "1 - [] issue"),
        ("a name is missing in the leaf", 1, fresh, |seen| seen.leaf.as_mut().unwrap().named = false, "1 - [] issue"),
        (
            "the first start",
            0,
            fresh,
            |seen| *seen = Seen { bundles: Some(vec![vec![]]), ..Seen::default() },
            "+ - [] issue",
        ),
        (
            "there are no webhooks yet",
            0,
            fresh,
            |seen| *seen = Seen { bundles: Some(vec![]), ..Seen::default() },
            "+ - [] issue",
        ),
        ("the webhooks are not known", 0, settled, |seen| *seen = Seen::default(), "- + []"),
        ("two thirds of an authority", 2434, settled, |seen| refresh(seen, 1, 2430), "1 + []"),
        ("its successor is new in the bundle", 2434, fresh, |seen| succeed(seen, 2), "1 2 []"),
        (
            "its successor is in one of two bundles",
            2434,
            settled,
            |seen| {
                succeed(seen, 2);
                seen.bundles.as_mut().unwrap()[1].pop();
            },
            "1 2 []",
        ),
        ("its successor is known to all", 2434, settled, |seen| succeed(seen, 2), "2 - [1] issue"),
        (
            "not every replica has moved",
            2440,
            settled,
            |seen| {
                moved(seen);
                seen.replicas.as_mut().unwrap()[1] = Some(leaf(1, 2430, 2520));
            },
            "2 - [1]",
        ),
        (
            "a replica does not answer",
            2440,
            settled,
            |seen| {
                moved(seen);
                seen.replicas.as_mut().unwrap()[1] = None;
            },
            "2 - [1]",
        ),
        (
            "it is not known which replicas there are",
            2440,
            settled,
            |seen| {
                moved(seen);
                seen.replicas = None;
            },
            "2 - [1]",
        ),
        ("every replica has moved just now", 2440, fresh, moved, "2 - [1]"),
        ("every replica has moved", 2440, settled, moved, "2 - []"),
        (
            "the old authority is over",
            3650,
            settled,
            |seen| {
                moved(seen);
                refresh(seen, 2, 3640);
                seen.replicas = None;
            },
            "2 - []",
        ),
        ("the authority is over, the leaf is not", 3651, fresh, |seen| refresh(seen, 1, 3640), "+ - [] issue"),
        ("the authority's Secret is deleted", 1, settled, |seen| seen.signer = None, "- + [1]"),
        (
            "both Secrets are deleted, replicas serve on",
            1,
            settled,
            |seen| {
                (seen.signer, seen.leaf) = (None, None);
                seen.handed_out.clear();
            },
            "- + [1]",
        ),
        (
            "both Secrets are deleted, and no replica shows a leaf that counts",
            91,
            settled,
            |seen| {
                (seen.signer, seen.leaf) = (None, None);
            },
            "+ - [1] issue",
        ),
        ("the leaf's Secret is deleted", 1, fresh, |seen| seen.leaf = None, "1 - [] issue"),
        (
            "it is deleted, and nobody shows that the authority is trusted",
            1,
            fresh,
            |seen| {
                (seen.leaf, seen.replicas) = (None, None);
            },
            "1 - []",
        ),
        (
            "the authority's Secret came back from a backup",
            2440,
            fresh,
            |seen| {
                moved(seen);
                seen.signer = Some(authority(1, 0, 3650));
                seen.previous.clear();
                seen.bundles = Some(vec![vec![authority(2, 2434, 6084)]; 2]);
            },
            "1 + [2]",
        ),
        (
            "somebody wrote another bundle",
            1,
            settled,
            |seen| {
                seen.bundles = Some(vec![vec![authority(9, 0, 3650)]; 2]);
            },
            "1 - []",
        ),
    ];
    for (name, on, seen_for, change, expected) in cases {
        let mut seen = sound();
        change(&mut seen);
        assert_eq!(words(&planned(&seen, on, seen_for)), expected, "{name}");
    }
}

/// A leaf of `issuer` from day `from`, everywhere.
fn refresh(seen: &mut Seen, issuer: u8, from: i64) {
    let leaf = leaf(issuer, from, from + 90);
    seen.leaf = Some(leaf);
    seen.replicas = Some(vec![Some(leaf); 2]);
}

/// Authority `n` of day 2434 is next, and in the bundles.
fn succeed(seen: &mut Seen, n: u8) {
    refresh(seen, 1, 2430);
    let next = authority(n, 2434, 6084);
    seen.next = Some(next);
    seen.bundles.as_mut().unwrap().iter_mut().for_each(|bundle| bundle.push(next));
}

/// Authority 2 signs, and its leaf is served everywhere.
fn moved(seen: &mut Seen) {
    succeed(seen, 2);
    seen.previous = seen.signer.into_iter().collect();
    seen.signer = seen.next.take();
    refresh(seen, 2, 2435);
}

#[test]
fn a_clock_that_stepped_back_has_seen_nothing_yet() {
    let mut seen = sound();
    succeed(&mut seen, 2);
    let mut memory = Memory::default();
    memory.note(&seen, day(3000));
    memory.note(&seen, day(2434));
    assert_eq!(words(&plan(&seen, &memory, SETTLE, day(2434))), "1 2 []");
    assert_eq!(words(&plan(&seen, &memory, SETTLE, day(2434) + SETTLE)), "2 - [1] issue");
}
