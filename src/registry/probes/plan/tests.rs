//! Which question is asked about which refusal, and what each answer makes of it.

use super::*;
use crate::finding::Cause;

const UNKNOWN: Option<&str> = Some("MANIFEST_UNKNOWN: manifest unknown");

const BASE: Scene<'_> = Scene {
    code: Code::NotFoundOrNoAccess,
    words: None,
    host: "registry.corp.io",
    login: true,
    granted: Some(("https://registry.corp.io/token", Duration::ZERO)),
};

#[test]
fn a_question_is_asked_where_its_answer_is_not_known_yet() {
    let all = Plan { login: Question::Open, public: true, repository: false };
    let public = Plan { login: Question::Idle, ..all };
    let known = Plan { login: Question::Yes, ..all };
    let tags = Plan { repository: true, ..Plan::default() };
    let nothing = Plan::default();
    let missing = Scene { code: Code::TagNotFound, words: UNKNOWN, ..BASE };
    let of = |host: &'static str| Scene { host, ..BASE };
    for (title, scene, expected) in [
        ("harbor, or nobody known", BASE, all),
        ("403", Scene { code: Code::AccessDenied, ..BASE }, all),
        ("refused by the token server", Scene { granted: None, ..BASE }, public),
        ("a wrong login", Scene { code: Code::CredentialsRejected, ..BASE }, public),
        ("a login was presented, and is wanted", Scene { code: Code::CredentialsMissing, ..BASE }, public),
        ("nobody asked", Scene { login: false, granted: None, ..BASE }, nothing),
        (
            "nobody asked, and a login is wanted",
            Scene { login: false, code: Code::CredentialsMissing, ..BASE },
            nothing,
        ),
        ("docker hub", of("docker.io"), known),
        ("quay.io", of("quay.io"), known),
        ("quay elsewhere", Scene { granted: Some(("https://quay.corp.io/v2/auth", LOGIN_GOOD / 2)), ..BASE }, known),
        (
            "docker hub, a while ago",
            Scene { granted: Some(("https://auth.docker.io/token", LOGIN_GOOD)), ..of("docker.io") },
            public,
        ),
        (
            "harbor, a while ago",
            Scene { granted: Some(("https://registry.corp.io/token", LOGIN_GOOD * 9)), ..BASE },
            all,
        ),
        ("ecr", Scene { granted: None, ..of("1.dkr.ecr.eu-west-1.amazonaws.com") }, nothing),
        ("missing", missing, tags),
        ("missing, nobody asked", Scene { login: false, ..missing }, tags),
        ("missing digest", Scene { code: Code::DigestNotFound, ..missing }, tags),
        ("missing, in no words", Scene { words: Some("UNKNOWN: Not Found"), ..missing }, tags),
        ("missing on docker hub", Scene { host: "docker.io", ..missing }, tags),
        (
            "missing tag of acr elsewhere",
            Scene { words: Some("MANIFEST_UNKNOWN: manifest tagged by \"x\" is not found"), ..missing },
            nothing,
        ),
        ("missing tag of harbor", Scene { words: Some("NOT_FOUND: artifact a/b:1 not found"), ..missing }, nothing),
        ("deleted tag of quay", Scene { words: Some("TAG_EXPIRED: gone"), ..missing }, nothing),
        ("ghcr", Scene { host: "GHCR.io", ..missing }, nothing),
        ("acr", Scene { host: "corp.azurecr.io", ..missing }, nothing),
        ("artifact registry", Scene { host: "eu-docker.pkg.dev", ..missing }, nothing),
        ("no words", Scene { words: None, ..missing }, nothing),
        ("said already", Scene { code: Code::RepositoryNotFound, ..missing }, nothing),
        ("throttled", Scene { code: Code::RateLimited, ..BASE }, nothing),
        ("ill", Scene { code: Code::RegistryError, ..BASE }, nothing),
        ("blocked", Scene { code: Code::BlockedByRegistry, ..BASE }, nothing),
    ] {
        assert_eq!(plan(&scene), expected, "{title}");
        assert!(expected == nothing || conceivable(scene.code), "{title}");
    }
}

#[test]
fn two_answers_change_the_name_of_a_refusal_and_no_other_does() {
    let no = |login, public, repository| Probed { login, public, repository };
    for (code, probed, expected) in [
        (Code::NotFoundOrNoAccess, no(Some(false), None, None), Code::CredentialsRejected),
        (Code::AccessDenied, no(Some(false), None, None), Code::CredentialsRejected),
        (Code::NotFoundOrNoAccess, no(Some(true), None, None), Code::NotFoundOrNoAccess),
        (Code::NotFoundOrNoAccess, no(None, Some(true), None), Code::NotFoundOrNoAccess),
        (Code::CredentialsRejected, no(None, Some(true), None), Code::CredentialsRejected),
        (Code::AccessDenied, no(Some(true), Some(true), None), Code::AccessDenied),
        (Code::TagNotFound, no(None, None, Some(false)), Code::RepositoryNotFound),
        (Code::DigestNotFound, no(None, None, Some(false)), Code::RepositoryNotFound),
        (Code::TagNotFound, no(None, None, Some(true)), Code::TagNotFound),
        (Code::DigestNotFound, no(None, None, None), Code::DigestNotFound),
        (Code::RateLimited, no(Some(false), Some(true), Some(false)), Code::RateLimited),
    ] {
        let failure = Failure::own(code, Cause::Limit, "");
        let concluded = conclude(failure, probed);
        assert_eq!((concluded.code, concluded.probed), (expected, Some(probed)), "{code} {probed:?}");
    }
}

#[test]
fn an_answer_is_held_as_long_as_the_fact_that_it_resembles() {
    for (probe, said, expected) in [
        (Probe::Login, Some(true), 300),
        (Probe::Login, Some(false), 120),
        (Probe::Login, None, 120),
        (Probe::Public, Some(true), 60),
        (Probe::Public, Some(false), 60),
        (Probe::Repository, Some(true), 60),
        (Probe::Repository, Some(false), 5),
        (Probe::Repository, None, 60),
    ] {
        assert_eq!(lifetime(probe, said).as_secs(), expected, "{probe:?} {said:?}");
    }
}
