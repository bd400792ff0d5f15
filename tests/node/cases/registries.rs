//! Registries that refuse, fail, lie or are not there, and nodes with mirrors.

use super::{ALICE, Right, Row, Secret};
use crate::scene::Places;

pub(super) fn rows(places: &Places) -> Vec<Row> {
    [faults(places), networks(places), mirrors(places)].concat()
}

fn faults(places: &Places) -> Vec<Row> {
    let host = places.fault.as_str();
    let row = |name: &str, kind: &str| Row::new(&format!("registries: {name}"), format!("{host}/fault/{kind}:v1"));
    let may_pass = |name: &str, kind: &str, part: &'static str| row(name, kind).fails(part).right(Right::Uncertain);
    let login = || Secret::login(host, ALICE);
    vec![
        may_pass("429 with Retry-After", "rate", "429 Too Many Requests"),
        may_pass("429 after the login", "rate-after-login", "429 Too Many Requests").secret(login()),
        may_pass("500", "internal", "500 Internal Server Error"),
        may_pass("502 with HTML", "gateway", "502 Bad Gateway"),
        may_pass("503 with HTML", "unavailable", "503 Service Unavailable"),
        may_pass("400", "bad", "400 Bad Request"),
        row("403 with a reason", "denied").fails("403 Forbidden"),
        row("403 with a reason, with a login", "denied").secret(login()).fails("403 Forbidden"),
        may_pass("404 with HTML", "lost", ": not found"),
        row("404 of a registry", "gone").fails(": not found"),
        row("HEAD says a length of zero", "served-zero").fails("reports content size of zero"),
        row("HEAD says a byte too many", "served-long").fails("short read").words_of_go(),
        row("HEAD says a byte too few", "served-short").fails("failed size validation").words_of_go(),
        row("a media type in capitals", "served-capitals").fails("not found").words_of_go(),
        row("the same, served as a blob, too", "served-capitals-as-blob").fails("unexpected media type").words_of_go(),
        row("404, the name is unknown", "unnamed").fails(": not found"),
        row("401 without a challenge", "mute").fails("401 Unauthorized"),
        may_pass("a digest header that is none", "bad-digest", "in header not a valid digest"),
        may_pass("the token server answers 500", "token-internal", "500 Internal Server Error"),
        row("the token server answers 403", "token-forbidden").fails("403 Forbidden"),
        row("the token server answers 403 to a login", "token-forbidden").secret(login()).fails("403 Forbidden"),
        may_pass("the token server answers 429", "token-rate", "429 Too Many Requests"),
        may_pass("the token server sends no token", "token-empty", "did not include a token"),
        row("a token that does not help", "deaf").fails("401 Unauthorized"),
        row("schema 1", "schema1").fails("schema 1"),
        row("a tag whose digest is not served", "unserved").fails("failed open: content at"),
        row("an index without the entry that it lists for the node", "sparse").fails("failed open: content at"),
    ]
}

fn networks(places: &Places) -> Vec<Row> {
    let row = |name: &str, host: &str, part: &'static str| {
        Row::new(&format!("registries: {name}"), format!("{host}/alice/app:v1")).fails(part).right(Right::Uncertain)
    };
    vec![
        row("nobody listens", &places.refused, "connection refused"),
        row("HTTP on an HTTPS port", &places.plain_on_tls, "HTTP response to HTTPS client"),
        row("a certificate of a strange authority", &places.strange_ca, "unknown authority"),
        row("a certificate for another name", &places.wrong_name, "x509"),
        row("closed without an answer", &places.closing, "EOF"),
        row("a name that nobody knows", "nowhere.corp.test", "failed to do request").words_of_go(),
    ]
}

/// What only the node knows: hosts.toml with a mirror before the registry.
fn mirrors(places: &Places) -> Vec<Row> {
    let row = |name: &str, image: String| Row::new(&format!("mirrors: {name}"), image);
    let (eu, us, ap) = ("eu.registry.corp.test", "us.registry.corp.test", "ap.registry.corp.test");
    vec![
        row("the registry is down, the mirror has the image", format!("{}/alice/app:v1", places.refused_mirrored))
            .runs()
            .right(Right::Uncertain),
        row("the registry wants a login, the mirror does not", format!("{eu}/alice/app:v1"))
            .runs()
            .right(Right::Uncertain),
        row("the mirror is down", format!("{us}/alice/app:v1")).secret(Secret::login(us, ALICE)).runs(),
        row("the mirror is down, and the tag is missing", format!("{us}/alice/app:v2"))
            .secret(Secret::login(us, ALICE))
            .fails(": not found"),
        row("the mirror takes the same login", format!("{ap}/alice/app:v1")).secret(Secret::login(ap, ALICE)).runs(),
        row("neither has the tag", format!("{ap}/alice/app:v2")).secret(Secret::login(ap, ALICE)).fails(": not found"),
    ]
}
