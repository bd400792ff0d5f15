//! A registry with HTTP Basic logins: which secret is used, in which order, and what a login with a flaw is worth.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::json;

use super::{ALICE, CAROL, Case, Form, NOBODY, Secret, WRONG};
use crate::images::{Images, longest_tag};
use crate::judge::Class::{Authorization, NotFound};
use crate::scene::Places;

pub(super) fn cases(places: &Places, images: &Images) -> Vec<Case> {
    [which_secret(places, images), which_login(places, images), which_image(places, images)].concat()
}

/// Keys, order, kinds of Secret.
fn which_secret(places: &Places, images: &Images) -> Vec<Case> {
    let (host, one) = (places.basic.as_str(), images.single.as_str());
    let port = host.rsplit(':').next().unwrap_or_default();
    let case = |name: &str| Case::new(&format!("basic: {name}"), format!("{host}/alice/app:v1"));
    let login = Secret::login;
    let keyed = |name: &str, key: &str| case(name).secret(login(key, ALICE)).asks_as(&[ALICE]).resolves_to(one);
    let no_match = |name: &str, key: &str| case(name).secret(login(key, ALICE)).fails(&[Authorization]);
    vec![
        keyed("the right login", host),
        case("no secret at all").fails(&[Authorization]),
        case("wrong, then right")
            .secret(login(host, WRONG))
            .secret(login(host, ALICE))
            .asks_as(&[WRONG, ALICE])
            .resolves_to(one),
        case("right, then wrong")
            .secret(login(host, ALICE))
            .secret(login(host, WRONG))
            .asks_as(&[ALICE, WRONG])
            .resolves_to(one),
        case("the same wrong login twice is one text")
            .secret(login(host, WRONG))
            .secret(login(host, WRONG))
            .asks_as(&[WRONG, WRONG])
            .fails(&[Authorization, Authorization]),
        case("a path goes before its host, right first")
            .secret(login(host, WRONG))
            .secret(login(&format!("{host}/alice"), ALICE))
            .asks_as(&[ALICE, WRONG])
            .resolves_to(one),
        case("a path goes before its host, wrong first")
            .secret(login(host, ALICE))
            .secret(login(&format!("{host}/alice"), WRONG))
            .asks_as(&[WRONG, ALICE])
            .resolves_to(one),
        case("three keys in one secret, longest first")
            .secret(Secret::entries(&[
                (host, WRONG),
                (&format!("{host}/alice/app"), ALICE),
                (&format!("{host}/alice"), WRONG),
            ]))
            .asks_as(&[ALICE, WRONG, WRONG])
            .resolves_to(one),
        case("two registries, one matches")
            .secret(login(&places.bearer, WRONG))
            .secret(login(host, ALICE))
            .asks_as(&[ALICE])
            .resolves_to(one),
        keyed("a key that is a prefix in the middle of a word", &format!("{host}/ali")),
        keyed("a key with https:// and /v1/", &format!("https://{host}/v1/")),
        keyed("a key with http://", &format!("http://{host}")),
        keyed("a key with /v2/ and a path", &format!("https://{host}/v2/alice")),
        keyed("a key with a glob in a label", &format!("127.0.*.1:{port}")),
        no_match("a glob for one label does not span four", &format!("*:{port}")),
        no_match("a key without the port", "127.0.0.1"),
        no_match("a key with another port", "127.0.0.1:443"),
        no_match("a key with a slash after the repository", &format!("{host}/alice/app/")),
        no_match("a key with another name of the host", &format!("localhost:{port}")),
        no_match("a key with HTTPS:// in capitals", &format!("HTTPS://{host}")),
        no_match("a key for /v2 without its slash", &format!("{host}/v2")),
        no_match("a login for Docker Hub", "https://index.docker.io/v1/"),
        case("an Opaque secret is no pull secret")
            .secret(login(host, ALICE).in_form(Form::Opaque))
            .fails(&[Authorization]),
        case("a dockercfg secret")
            .secret(login(host, ALICE).in_form(Form::DockerCfg))
            .asks_as(&[ALICE])
            .resolves_to(one),
        case("a secret as stringData")
            .secret(login(host, ALICE).in_form(Form::StringData))
            .asks_as(&[ALICE])
            .resolves_to(one),
        case("a missing secret, then the right one")
            .secret(login(host, WRONG).in_form(Form::Missing))
            .secret(login(host, ALICE))
            .asks_as(&[ALICE])
            .resolves_to(one),
        case("only a missing secret").secret(login(host, ALICE).in_form(Form::Missing)).fails(&[Authorization]),
    ]
}

/// What stands inside an entry.
fn which_login(places: &Places, images: &Images) -> Vec<Case> {
    let (host, one) = (places.basic.as_str(), images.single.as_str());
    let case = |name: &str| Case::new(&format!("basic: {name}"), format!("{host}/alice/app:v1"));
    let login = Secret::login;
    let flawed = |name: &str, made: (&'static str, &'static str)| {
        case(name).secret(login(host, made)).asks_as(&[made]).fails(&[Authorization])
    };
    vec![
        flawed("a wrong password", WRONG),
        flawed("an unknown user", ("mallory", "canary-wonderland")),
        flawed("an empty password", ("alice", "")),
        flawed("a newline after the password", ("alice", "canary-wonderland\n")),
        flawed("a space before the password", ("alice", " canary-wonderland")),
        case("a password with colons").secret(login(host, CAROL)).asks_as(&[CAROL]).resolves_to(one),
        case("a password without a user is dropped")
            .secret(login(host, ("", "canary-wonderland")))
            .asks_as(&[NOBODY])
            .fails(&[Authorization]),
        case("username and password without auth")
            .secret(Secret::entry(host, json!({ "username": "alice", "password": "canary-wonderland" })))
            .asks_as(&[ALICE])
            .resolves_to(one),
        case("auth goes before username and password")
            .secret(Secret::entry(
                host,
                json!({ "username": "alice", "password": "x", "auth": STANDARD.encode("alice:canary-wonderland") }),
            ))
            .asks_as(&[ALICE])
            .resolves_to(one),
        case("auth without padding")
            .secret(Secret::entry(host, json!({ "auth": STANDARD_NO_PAD.encode("alice:canary-wonderland") })))
            .asks_as(&[ALICE])
            .resolves_to(one),
        case("member names in capitals")
            .secret(Secret::new(json!({ "AUTHS": { host: { "Auth": STANDARD.encode("alice:canary-wonderland") } } })))
            .asks_as(&[ALICE])
            .resolves_to(one),
        case("an identity token is nothing to a kubelet")
            .secret(Secret::entry(host, json!({ "identitytoken": "eyJhbGciOiJub25lIn0" })))
            .asks_as(&[NOBODY])
            .fails(&[Authorization]),
        case("an empty entry, then the right login")
            .secret(Secret::entry(host, json!({})))
            .secret(login(host, ALICE))
            .asks_as(&[NOBODY, ALICE])
            .resolves_to(one),
    ]
}

/// Tags, digests, media types, with the right login.
fn which_image(places: &Places, images: &Images) -> Vec<Case> {
    let host = places.basic.as_str();
    let (one, absent) = (images.single.as_str(), format!("sha256:{}", "0".repeat(64)));
    let case = |name: &str, rest: &str| {
        Case::new(&format!("basic: {name}"), format!("{host}/{rest}"))
            .secret(Secret::login(host, ALICE))
            .asks_as(&[ALICE])
    };
    vec![
        case("a missing tag", "alice/app:v2").fails(&[NotFound]),
        case("a missing repository", "alice/none:v1").fails(&[NotFound]),
        case("a missing tag, wrong login first", "alice/app:v2")
            .secret(Secret::login(&format!("{host}/alice"), WRONG))
            .asks_as(&[WRONG, ALICE])
            .fails(&[Authorization, NotFound]),
        Case::new("basic: a missing tag without a login", format!("{host}/alice/app:v2")).fails(&[Authorization]),
        case("no tag", "alice/app").resolves_to(&images.latest),
        case("no tag and no latest", "bob/app").fails(&[NotFound]),
        case("a tag with capitals", "alice/app:V1.0-RC_2").resolves_to(one),
        case("a tag in the wrong case", "alice/app:V1").fails(&[NotFound]),
        case("a tag of 128 characters", &format!("alice/app:{}", longest_tag())).resolves_to(one),
        case("a nested repository", "alice/deep/nested/app:v1").resolves_to(&images.nested),
        case("a repository of one segment", "solo:v1").resolves_to(&images.solo),
        case("a digest", &format!("alice/app@{one}")).resolves_to(one),
        case("a digest that is not there", &format!("alice/app@{absent}")).fails(&[NotFound]),
        case("a digest of another repository", &format!("solo@{one}")).fails(&[NotFound]),
        case("tag and digest", &format!("alice/app:v1@{one}")).resolves_to(one),
        case("a bogus tag with a digest", &format!("alice/app:bogus@{one}")).resolves_to(one),
        case("a tag with a digest that is not there", &format!("alice/app:v1@{absent}")).fails(&[NotFound]),
        case("a Docker manifest", "alice/app:docker").resolves_to(&images.docker),
        case("an OCI index", "alice/app:multi").resolves_to(&images.index),
        case("an OCI index by digest", &format!("alice/app@{}", images.index)).resolves_to(&images.index),
        case("a child of the index", &format!("alice/app@{}", images.arm64)).resolves_to(&images.arm64),
        case("a Docker manifest list", "alice/app:list").resolves_to(&images.list),
    ]
}
