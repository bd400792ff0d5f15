//! Registries that refuse, fail, lie, hang or are not there.

use super::{ALICE, Case, Secret, WRONG};
use crate::faults::MANIFEST;
use crate::images::{Images, sha256};
use crate::judge::Class::{self, Authorization, Network, NotFound, RateLimited, RegistryFault};
use crate::scene::Places;

pub(super) fn cases(places: &Places, images: &Images) -> Vec<Case> {
    let host = places.fault.as_str();
    let case = |name: &str, kind: &str| Case::new(&format!("fault: {name}"), format!("{host}/fault/{kind}:v1"));
    let with_login = |name: &str, kind: &str| case(name, kind).secret(Secret::login(host, ALICE)).asks_as(&[ALICE]);
    let unreachable = |name: &str, place: &str| {
        Case::new(&format!("network: {name}"), format!("{place}/fault/sound:v1")).fails(&[Network])
    };
    let fails = |name: &str, kind: &str, class: Class| case(name, kind).fails(&[class]);
    let manifest = sha256(MANIFEST);
    vec![
        case("a registry without a fault", "sound").resolves_to(&manifest),
        fails("429 with Retry-After", "rate", RateLimited),
        with_login("429 after the login", "rate-after-login").fails(&[RateLimited]),
        fails("500", "internal", RegistryFault),
        fails("502 with HTML", "gateway", RegistryFault),
        fails("503 with HTML", "unavailable", RegistryFault),
        fails("400", "bad", RegistryFault),
        fails("403 with a reason", "denied", Authorization),
        fails("404 with HTML", "lost", NotFound).uncertain("RegistryError"),
        fails("401 without a challenge", "mute", Authorization),
        case("HEAD answers 405", "no-head").resolves_to(&manifest),
        case("HEAD without a digest", "no-digest").resolves_to(&manifest),
        case("HEAD with the digest of other bytes", "false-digest").resolves_to(&sha256(b"another manifest")),
        fails("a digest header that is none", "bad-digest", RegistryFault),
        case("a redirect to another registry", "redirect").resolves_to(&images.single),
        fails("the token server answers 500", "token-internal", RegistryFault),
        with_login("the token server answers 500 to a login", "token-internal").fails(&[RegistryFault]),
        fails("the token server answers 403", "token-forbidden", Authorization),
        with_login("the token server answers 403 to a login", "token-forbidden").fails(&[Authorization]),
        fails("the token server answers 429", "token-rate", RateLimited),
        with_login("the token server answers 429 to a login", "token-rate").fails(&[RateLimited]),
        fails("the token server sends no token", "token-empty", RegistryFault),
        case("a token for anybody", "token-good").resolves_to(&manifest),
        with_login("a token server that knows POST", "token-good").resolves_to(&manifest),
        with_login("a token server that knows GET only", "token-get-only").resolves_to(&manifest),
        fails("a token that does not help", "deaf", Authorization),
        fails("a token that the registry calls invalid", "stale-token", Authorization),
        with_login("Basic and Bearer challenges together", "two-challenges").resolves_to(&manifest),
        case("two logins, 503 for both", "unavailable")
            .secret(Secret::login(host, WRONG))
            .secret(Secret::login(host, ALICE))
            .asks_as(&[WRONG, ALICE])
            .fails(&[RegistryFault, RegistryFault]),
        unreachable("nobody listens", &places.refused),
        unreachable("HTTP on an HTTPS port", &places.plain_on_tls),
        unreachable("a certificate of a strange authority", &places.strange_ca),
        unreachable("a certificate for another name", &places.wrong_name),
        unreachable("closed without an answer", &places.closing),
        unreachable("accepted and never answered", &places.silent).slow().or_code("NotChecked"),
        unreachable("an endless header, byte by byte", &places.dripping).slow().or_code("NotChecked"),
    ]
}
