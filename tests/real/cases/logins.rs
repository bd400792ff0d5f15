//! How a login gets through or does not: challenges, stray refusals, token servers' methods, redirects and answers.

use super::{ALICE, Case, Secret};
use crate::faults::{MANIFEST, READABLE_TOKENS, TOKEN_BODIES};
use crate::images::sha256;
use crate::judge::Class::{Authorization, RegistryFault};
use crate::scene::Places;

pub(super) fn cases(places: &Places) -> Vec<Case> {
    [challenges(places), methods(places), bodies(places)].concat()
}

fn case(places: &Places, name: &str, kind: &str) -> Case {
    Case::new(&format!("logins: {name}"), format!("{}/fault/{kind}:v1", places.fault))
}

fn challenges(places: &Places) -> Vec<Case> {
    let manifest = sha256(MANIFEST);
    let nobody = |name: &str, kind: &str| case(places, name, kind);
    let login =
        |name: &str, kind: &str| case(places, name, kind).secret(Secret::login(&places.fault, ALICE)).asks_as(&[ALICE]);
    vec![
        login("Basic behind another scheme, Digest", "digest-basic").resolves_to(&manifest),
        login("Basic behind another scheme, Negotiate", "negotiate-basic").resolves_to(&manifest),
        nobody("Digest and Basic without a login", "digest-basic").fails(&[Authorization]),
        login("Digest and Basic on one line", "digest-line").fails(&[Authorization]),
        login("Digest only", "digest-only").fails(&[Authorization]),
        login("a Basic login that is refused now and then", "flaky-basic").resolves_to(&manifest),
        login("the token of a login that is refused now and then", "flaky-token").resolves_to(&manifest),
        nobody("nobody's token that is refused now and then", "flaky-token").resolves_to(&manifest),
        nobody("a token by a realm without TLS", "plain-realm").resolves_to(&manifest),
    ]
}

fn methods(places: &Places) -> Vec<Case> {
    let manifest = sha256(MANIFEST);
    let login =
        |name: &str, kind: &str| case(places, name, kind).secret(Secret::login(&places.fault, ALICE)).asks_as(&[ALICE]);
    let mut cases = vec![
        login("a token by POST where GET is refused", "token-post-only").resolves_to(&manifest),
        login("a POST that is answered with 403", "token-post-403").fails(&[Authorization]),
        case(places, "a token behind a 300", "token-moved-300").fails(&[RegistryFault]),
    ];
    for status in [400, 401, 404] {
        let name = format!("a token by GET after a POST that is answered with {status}");
        cases.push(login(&name, &format!("token-post-{status}")).resolves_to(&manifest));
    }
    for status in [301, 303, 307, 308] {
        let kind = format!("token-moved-{status}");
        cases.push(case(places, &format!("a token behind a {status}"), &kind).resolves_to(&manifest));
        cases.push(login(&format!("a token behind a {status} for a login"), &kind).resolves_to(&manifest));
    }
    cases
}

fn bodies(places: &Places) -> Vec<Case> {
    let rows = TOKEN_BODIES.iter().enumerate().flat_map(|(index, (name, _))| {
        let nobody = case(places, &format!("a token answer, {name}"), &format!("token-json-{name}"));
        let login = nobody.clone().secret(Secret::login(&places.fault, ALICE)).asks_as(&[ALICE]);
        let login = Case { name: format!("{} to a login", login.name), ..login };
        [nobody, login].map(|case| {
            if index < READABLE_TOKENS { case.resolves_to(&sha256(MANIFEST)) } else { case.fails(&[RegistryFault]) }
        })
    });
    rows.collect()
}
