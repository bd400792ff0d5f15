//! Which secret is used, and in which order: keys, kinds of Secret, the `ServiceAccount`.

use serde_json::json;

use super::{ALICE, BOB, CAROL, Right, Row, STALE, Secret, WRONG};
use crate::scene::Places;

const NO_LOGIN: &str = "no basic auth credentials";
const REFUSED: &str = "401 Unauthorized";

pub(super) fn rows(places: &Places) -> Vec<Row> {
    [orders(places), keys(places), kinds(places), accounts(places)].concat()
}

fn orders(places: &Places) -> Vec<Row> {
    let host = places.basic.as_str();
    let login = Secret::login;
    let row = |name: &str| Row::new(&format!("secrets: {name}"), format!("{host}/alice/app:v1"));
    let bearer = |name: &str| Row::new(&format!("secrets: bearer: {name}"), format!("{}/alice/app:v1", places.bearer));
    let token = |made| login(&places.bearer, made);
    vec![
        row("the right login").secret(login(host, ALICE)).runs(),
        row("none").fails(NO_LOGIN),
        row("one that does not exist").secret(Secret::Missing).fails(NO_LOGIN),
        row("one that does not exist, then the right one").secret(Secret::Missing).secret(login(host, ALICE)).runs(),
        row("a wrong password").secret(login(host, WRONG)).fails(REFUSED),
        row("stale, then good").secret(login(host, STALE)).secret(login(host, ALICE)).runs(),
        row("good, then stale").secret(login(host, ALICE)).secret(login(host, STALE)).runs(),
        row("two wrong ones").secret(login(host, WRONG)).secret(login(host, STALE)).fails(REFUSED),
        row("one for another registry").secret(login(&places.bearer, ALICE)).fails(NO_LOGIN),
        row("one for another registry, then the right one")
            .secret(login(&places.bearer, WRONG))
            .secret(login(host, ALICE))
            .runs(),
        Row::new("secrets: wrong, then right, and the tag is missing", format!("{host}/alice/app:v2"))
            .secret(login(host, WRONG))
            .secret(login(host, ALICE))
            .fails("not found]"),
        bearer("the right login").secret(token(ALICE)).runs(),
        bearer("none").fails("failed to fetch anonymous token"),
        bearer("a wrong password").secret(token(WRONG)).fails("failed to fetch oauth token"),
        bearer("another user's").secret(token(BOB)).fails("insufficient_scope"),
        bearer("another user's, then the owner's").secret(token(BOB)).secret(token(ALICE)).runs(),
        bearer("wrong, then another user's: two texts").secret(token(WRONG)).secret(token(BOB)).fails(", failed"),
        bearer("a password with a newline")
            .secret(token(("alice", "canary-wonderland\n")))
            .fails("failed to fetch oauth token"),
        bearer("a password without a user")
            .secret(token(("", "canary-wonderland")))
            .fails("failed to fetch anonymous token"),
        Row::new("secrets: bearer: a password with colons", format!("{}/carol/app:v1", places.bearer))
            .secret(token(CAROL))
            .runs(),
        Row::new("secrets: bearer: a missing tag", format!("{}/alice/app:v2", places.bearer))
            .secret(token(ALICE))
            .fails("not found"),
        Row::new("secrets: bearer: a missing repository", format!("{}/alice/none:v1", places.bearer))
            .secret(token(ALICE))
            .fails("not found"),
        Row::new("secrets: bearer: a missing repository of another user", format!("{}/bob/none:v1", places.bearer))
            .secret(token(ALICE))
            .fails("insufficient_scope"),
        Row::new("secrets: a wrong login that nobody asks for", format!("{}/alice/app:v1", places.open))
            .secret(login(&places.open, WRONG))
            .runs(),
    ]
}

fn keys(places: &Places) -> Vec<Row> {
    let host = places.basic.as_str();
    let port = host.rsplit(':').next().unwrap_or_default();
    let login = |key: &str| Secret::login(key, ALICE);
    let row = |name: &str| Row::new(&format!("secrets: a key {name}"), format!("{host}/alice/app:v1"));
    let matches = |name: &str, key: &str| row(name).secret(login(key)).runs();
    let misses = |name: &str, key: &str| row(name).secret(login(key)).fails(NO_LOGIN);
    let named = |name: &str, key: &str| {
        Row::new(&format!("secrets: a key {name}"), "registry.corp.test/alice/app:v1").secret(login(key))
    };
    vec![
        matches("with https:// and /v1/", &format!("https://{host}/v1/")),
        matches("with http://", &format!("http://{host}")),
        matches("with /v2/ and a path", &format!("https://{host}/v2/alice")),
        matches("with a path", &format!("{host}/alice")),
        matches("that is a prefix in the middle of a word", &format!("{host}/ali")),
        matches("with a glob inside an address", &format!("127.0.*.1:{port}")),
        misses("with a glob for one label of four", &format!("*:{port}")),
        misses("without the port", "127.0.0.1"),
        misses("with another port", "127.0.0.1:443"),
        misses("with a slash after the repository", &format!("{host}/alice/app/")),
        misses("with another path", &format!("{host}/bob")),
        misses("with another name of the host", &format!("localhost:{port}")),
        misses("with HTTPS:// in capitals", &format!("HTTPS://{host}")),
        misses("for /v2 without its slash", &format!("{host}/v2")),
        misses("for Docker Hub", "https://index.docker.io/v1/"),
        named("by name", "registry.corp.test").runs(),
        named("with a glob for the first label", "*.corp.test").runs(),
        named("with a glob for a part of a label", "reg*.corp.test").runs(),
        named("with a glob for too few labels", "*.test").fails(NO_LOGIN),
        named("in capitals", "Registry.corp.test").fails(NO_LOGIN),
        named("with the default port", "registry.corp.test:443").fails(NO_LOGIN),
        row("with a path goes first: right")
            .secret(Secret::entries(&[(host, WRONG), (&format!("{host}/alice"), ALICE)]))
            .runs(),
        row("with a path goes first: both wrong")
            .secret(Secret::entries(&[(host, STALE), (&format!("{host}/alice"), WRONG)]))
            .fails(REFUSED),
    ]
}

fn kinds(places: &Places) -> Vec<Row> {
    let host = places.basic.as_str();
    let login = Secret::login(host, ALICE);
    let row = |name: &str| Row::new(&format!("secrets: {name}"), format!("{host}/alice/app:v1"));
    let in_the_other_shape = json!({ host: { "username": ALICE.0, "password": ALICE.1 } });
    vec![
        row("of type Opaque").secret(login.clone().typed("Opaque")).fails(NO_LOGIN),
        row("of a type of somebody's own").secret(login.typed("example.com/login")).fails(NO_LOGIN),
        row("of the older type").secret(Secret::dockercfg(host, ALICE)).runs(),
        row("of the newer type in the older shape").secret(Secret::document(&in_the_other_shape)).fails(NO_LOGIN),
        row("with an empty document").secret(Secret::text("{}")).fails(NO_LOGIN),
        row("with no entries").secret(Secret::text(r#"{"auths":null}"#)).fails(NO_LOGIN),
    ]
}

fn accounts(places: &Places) -> Vec<Row> {
    let host = places.basic.as_str();
    let row = |name: &str| Row::new(&format!("secrets: {name}"), format!("{host}/alice/app:v1"));
    vec![
        row("of the service account").account_secret(Secret::login(host, ALICE)).runs(),
        row("of the service account, wrong").account_secret(Secret::login(host, WRONG)).fails(REFUSED),
        row("of its own go before the service account's")
            .secret(Secret::login(host, WRONG))
            .account_secret(Secret::login(host, ALICE))
            .fails(REFUSED)
            .right(Right::Certain),
    ]
}
