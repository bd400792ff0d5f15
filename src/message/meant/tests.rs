//! The words for a name or a tag that was meant to be another one.

use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::facts::{Meant, Secrets};
use crate::finding::Probed;
use crate::reference::Reference;
use crate::workload::{ContainerImage, PullPolicy};

fn drafted<T>(image: &str, meant: &Meant, now: Timestamp, words: impl FnOnce(&Draft<'_>) -> T) -> T {
    let reference = Reference::parse(image).unwrap();
    let image = ContainerImage {
        path: String::new(),
        pointer: String::new(),
        container: "c".to_owned(),
        image: image.to_owned(),
        pull_policy: PullPolicy::Always,
        old_image: None,
    };
    words(&Draft {
        namespace: "team",
        secrets: &Secrets::default(),
        image: &image,
        reference: Some(&reference),
        attempts: &[],
        meant,
        now,
        by_runtime: false,
    })
}

#[test]
fn a_name_that_is_nowhere_is_completed_and_answered_with_those_that_are_somewhere() {
    let meant = |near: &[&str], elsewhere: &[&str]| Meant {
        near: near.iter().map(|name| (*name).to_owned()).collect(),
        elsewhere: elsewhere.iter().map(|name| (*name).to_owned()).collect(),
    };
    let nothing = || meant(&[], &[]);
    let there = Some(Probed { repository: Some(true), ..Probed::default() });
    let public = Some(Probed { public: Some(true), ..Probed::default() });
    let hub = "no registry is written, so docker.io/library/enc is meant";
    let table = [
        ("enc:v1", Code::RepositoryNotFound, None, nothing(), Some(hub.to_owned())),
        ("enc:v1", Code::NotFoundOrNoAccess, None, nothing(), Some(hub.to_owned())),
        ("enc:v1", Code::CredentialsMissing, None, nothing(), None),
        ("enc:v1", Code::CredentialsMissing, None, meant(&[], &["r.io/enc"]), Some(format!("{hub}; r.io/enc has it"))),
        ("enc:v1", Code::TagNotFound, None, nothing(), Some(hub.to_owned())),
        ("enc:v1", Code::TagNotFound, there, nothing(), None),
        ("enc:v1", Code::TagNotFound, there, meant(&[], &["r.io/enc"]), Some(format!("{hub}; r.io/enc has it"))),
        ("enc:v1", Code::NotFoundOrNoAccess, public, nothing(), None),
        ("enc:v1", Code::CredentialsRejected, None, nothing(), None),
        ("enc:v1", Code::RateLimited, None, nothing(), None),
        (
            "enc",
            Code::NotFoundOrNoAccess,
            None,
            nothing(),
            Some("no registry and no tag is written, so docker.io/library/enc:latest is meant".to_owned()),
        ),
        // Of a repository that is not there no tag is missing.
        ("enc", Code::RepositoryNotFound, None, nothing(), Some(hub.to_owned())),
        (
            "r.io/enc",
            Code::NotFoundOrNoAccess,
            None,
            nothing(),
            Some("no tag is written, so r.io/enc:latest is meant".to_owned()),
        ),
        ("r.io/enc:v1", Code::NotFoundOrNoAccess, None, nothing(), None),
        (
            "r.io/enc:v1",
            Code::RepositoryNotFound,
            None,
            meant(&["r.io/encoder", "s.io/enc"], &["s.io/enc", "t.io/enc"]),
            Some("s.io/enc and t.io/enc have it; did you mean r.io/encoder?".to_owned()),
        ),
        (
            "r.io/enc:v1",
            Code::NotFoundOrNoAccess,
            None,
            meant(&["r.io/encoder", "r.io/team/enc"], &[]),
            Some("did you mean r.io/encoder or r.io/team/enc?".to_owned()),
        ),
    ];
    for (image, code, probed, meant, expected) in table {
        let failure = Failure { code, probed, ..Failure::nonsense("", None) };
        let said = drafted(image, &meant, Timestamp::UNIX_EPOCH, |draft| name(draft, code, Some(&failure)));
        assert_eq!(said, expected, "{image} {code} {probed:?} {meant:?}");
    }
}

#[test]
fn a_tag_is_on_its_way_where_the_build_before_it_is_recent() {
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let unknown = "newer than every version there: perhaps not pushed yet";
    let late = "newer than every version there";
    for (before, built, ahead, expected) in [
        (Some("v1"), Some("2026-11-21T11:48:00Z"), true, Some("v1 was built 10 min ago: v2 perhaps not pushed yet")),
        (Some("v1"), Some("2026-11-20T12:00:01Z"), true, Some("v1 was built 23 h ago: v2 perhaps not pushed yet")),
        (
            Some("v1"),
            Some("2026-11-21T12:04:00Z"),
            true,
            Some("v1 was built less than 5 min ago: v2 perhaps not pushed yet"),
        ),
        (Some("v1"), Some("2026-11-20T12:00:00Z"), true, Some(late)),
        (Some("v1"), Some("1970-01-01T00:00:00Z"), true, Some(late)),
        (Some("v1"), Some("2026-11-21T12:06:00Z"), true, Some(late)),
        (Some("v1"), None, true, Some(unknown)),
        (None, None, true, Some(unknown)),
        // A commit comes after no other by its name.
        (Some("c1"), Some("2026-11-21T11:00:00Z"), false, Some("c1 was built 1 h ago: v2 perhaps not pushed yet")),
        (Some("c1"), Some("2026-11-01T11:00:00Z"), false, None),
        (Some("c1"), None, false, None),
    ] {
        let nearest = Nearest {
            tags: Vec::new(),
            ahead,
            before: before.map(str::to_owned),
            built: built.map(|built| built.parse().unwrap()),
        };
        let failure = Failure { nearest: Some(Arc::new(nearest)), ..Failure::nonsense("", None) };
        let said = drafted("r.io/a:v2", &Meant::default(), now, |draft| tag(draft, Some(&failure)));
        assert_eq!(said.as_deref(), expected, "{before:?} {built:?}");
    }
}

#[test]
fn an_age_changes_in_steps() {
    for (minutes, expected) in [(0, "less than 5 min ago"), (4, "less than 5 min ago"), (5, "5 min ago")] {
        assert_eq!(age(SignedDuration::from_mins(minutes)).as_deref(), Some(expected));
    }
    assert_eq!(age(SignedDuration::from_mins(12)), age(SignedDuration::from_mins(14)));
    assert_eq!(age(SignedDuration::from_mins(119)).as_deref(), Some("1 h ago"));
}
