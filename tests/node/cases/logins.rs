//! What one entry of a pull secret is worth, down to those that no kubelet can decode.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use serde_json::{Value, json};

use super::{ALICE, CAROL, Right, Row, Secret};
use crate::scene::Places;

const NO_LOGIN: &str = "no basic auth credentials";
const REFUSED: &str = "401 Unauthorized";

pub(super) fn rows(places: &Places) -> Vec<Row> {
    [entries(places), malformed(places)].concat()
}

fn entries(places: &Places) -> Vec<Row> {
    let host = places.basic.as_str();
    let row = |name: &str| Row::new(&format!("logins: {name}"), format!("{host}/alice/app:v1"));
    let entry = |name: &str, entry: Value| row(name).secret(Secret::entry(host, &entry));
    vec![
        entry("username and password", json!({ "username": "alice", "password": "canary-wonderland" })).runs(),
        entry(
            "auth goes before username and password",
            json!({ "username": "alice", "password": "x", "auth": STANDARD.encode("alice:canary-wonderland") }),
        )
        .runs(),
        entry("auth without padding", json!({ "auth": STANDARD_NO_PAD.encode("alice:canary-wonderland") })).runs(),
        entry("auth with a newline at its end", json!({ "auth": STANDARD.encode("alice:canary-wonderland") + "\n" }))
            .runs(),
        row("member names in capitals")
            .secret(Secret::document(
                &json!({ "AUTHS": { host: { "Auth": STANDARD.encode("alice:canary-wonderland") } } }),
            ))
            .runs(),
        entry("an unknown user", json!({ "username": "mallory", "password": "canary-wonderland" })).fails(REFUSED),
        row("a newline after the password")
            .secret(Secret::login(host, ("alice", "canary-wonderland\n")))
            .fails(REFUSED),
        row("an empty password").secret(Secret::login(host, ("alice", ""))).fails(NO_LOGIN),
        row("a password without a user").secret(Secret::login(host, ("", "canary-wonderland"))).fails(NO_LOGIN),
        entry("an empty entry", json!({})).fails(NO_LOGIN),
        entry("null", Value::Null).fails(NO_LOGIN),
        entry("an empty entry, then the right one", json!({})).secret(Secret::login(host, ALICE)).runs(),
        entry("an identity token", json!({ "identitytoken": "eyJhbGciOiJub25lIn0" })).fails(NO_LOGIN),
        entry("an identity token with a user", json!({ "auth": STANDARD.encode("alice:"), "identitytoken": "e30" }))
            .fails(NO_LOGIN),
        Row::new("logins: a password with colons", format!("{host}/carol/app:v1"))
            .secret(Secret::login(host, CAROL))
            .runs(),
    ]
}

/// The container waits with the decoder's text as the reason.
fn malformed(places: &Places) -> Vec<Row> {
    let host = places.basic.as_str();
    let row = |name: &str| Row::new(&format!("malformed: {name}"), format!("{host}/alice/app:v1"));
    let entry = |name: &str, entry: Value| row(name).secret(Secret::entry(host, &entry));
    let no_colon = || Secret::entry(host, &json!({ "auth": STANDARD.encode("no colon") }));
    let elsewhere = Secret::entry("registry.example", &json!({ "auth": "%%%%" }));
    vec![
        row("auth without a colon").secret(no_colon()).waits("base64(username:password)", ""),
        entry("auth is no base64", json!({ "auth": "%%%%" })).waits("illegal base64 data", ""),
        entry("auth in the URL's alphabet", json!({ "auth": URL_SAFE.encode("alice:\u{fb}\u{ff}\u{fe}~~") }))
            .waits("illegal base64 data", ""),
        entry("auth with a blank behind", json!({ "auth": STANDARD.encode("alice:canary-wonderland") + " " }))
            .waits("illegal base64 data", ""),
        entry("auth is a number", json!({ "auth": 5 })).waits("cannot unmarshal number", ""),
        row("auths is a list").secret(Secret::text(r#"{"auths":[]}"#)).waits("cannot unmarshal array", ""),
        entry("the entry is a text", json!("alice:canary-wonderland")).waits("cannot unmarshal string", ""),
        row("an entry of another registry").secret(elsewhere.clone()).waits("illegal base64 data", ""),
        row("good, then malformed")
            .secret(Secret::login(host, ALICE))
            .secret(no_colon())
            .waits("base64(username:password)", ""),
        row("malformed, then good")
            .secret(elsewhere.clone())
            .secret(Secret::login(host, ALICE))
            .waits("illegal base64 data", ""),
        Row::new("malformed: an image that anybody may pull", format!("{}/alice/app:v1", places.open))
            .secret(elsewhere.clone())
            .waits("illegal base64 data", ""),
        Row::new("malformed: a reference that does not parse", format!("{host}/Alice/app:v1"))
            .secret(elsewhere.clone())
            .waits("InvalidImageName", "must be lowercase"),
        Row::new("malformed: under Never", format!("{host}/alice/app:v9"))
            .policy("Never")
            .secret(elsewhere.clone())
            .waits("ErrImageNeverPull", "is not present")
            .right(Right::Uncertain),
        row("of type Opaque").secret(elsewhere.typed("Opaque")).fails(NO_LOGIN),
    ]
}
