//! The hosts of a `certs.d` directory, read by containerd's own configuration and by pullgate: which is asked first, for
//! what, with which login, and what is made of their answers.

use super::{ALICE, Case, Secret, WRONG};
use crate::faults::MANIFEST;
use crate::images::{Images, sha256};
use crate::judge::Class::{Authorization, Network, NotFound, RateLimited, RegistryFault};
use crate::scene::Places;

/// The texts of `hosts.toml` files.
struct Hosts<'a> {
    places: &'a Places,
    text: String,
}

// === impl Hosts ===

impl<'a> Hosts<'a> {
    /// The upstream answers as `kind`; `more` stands beside its settings.
    fn upstream(places: &'a Places, kind: &str, more: &str) -> Self {
        let Places { ca, noting: [.., upstream], .. } = places;
        let text =
            format!("server = \"https://{upstream}/v2/as/{kind}\"\noverride_path = true\nca = \"{ca}\"\n{more}\n");
        Self { places, text }
    }

    /// One more host; `A` and `B` in its URL stand for two that note what they are asked.
    fn table(mut self, url: &str, more: &str) -> Self {
        let Places { ca, noting: [a, b, _], .. } = self.places;
        let url = url.replace("//A", &format!("//{a}")).replace("//B", &format!("//{b}"));
        self.text += &format!("[host.\"{url}\"]\n{more}\n");
        if !more.contains("skip_verify") && !more.contains("no ca") && url.starts_with("https") {
            self.text += &format!("ca = \"{ca}\"\n");
        }
        self
    }

    /// Host `A` or `B`, which answers as `kind`.
    fn host(self, letter: char, kind: &str, more: &str) -> Self {
        self.table(&format!("https://{letter}/v2/as/{kind}"), &format!("override_path = true\n{more}"))
    }
}

pub(super) fn cases(places: &Places, images: &Images) -> Vec<Case> {
    let mut cases = [found(places, images), refused(places), reached(places, images)].concat();
    for (index, case) in cases.iter_mut().enumerate() {
        // The name of a registry nobody can resolve; every second one with a port.
        let port = if index % 2 == 1 && case.secrets.is_empty() { ":5000" } else { "" };
        case.image = format!("mirrored-{index}.test{port}{}", case.image);
    }
    cases
}

fn case(name: &str, object: &str, hosts: Hosts<'_>) -> Case {
    let object = if object.is_empty() { ":v1" } else { object };
    Case::new(&format!("mirrors: {name}"), format!("/alice/app{object}")).with_hosts(hosts.text)
}

/// Walks that end with a digest; `false-digest` is told apart from what the others have.
fn found(places: &Places, images: &Images) -> Vec<Case> {
    let (sound, other) = (sha256(MANIFEST), sha256(b"another manifest"));
    let by_digest = format!("@{sound}");
    let up = |kind: &str| Hosts::upstream(places, kind, "");
    let passed_by = |name: &str, kind: &str| {
        case(&format!("{name}, then the upstream"), "", up("false-digest").host('A', kind, "")).resolves_to(&other)
    };
    vec![
        case("the mirror has it", "", up("sound").host('A', "false-digest", "")).resolves_to(&other),
        passed_by("404", "gone"),
        passed_by("429", "rate"),
        passed_by("500", "internal"),
        passed_by("502", "gateway"),
        passed_by("403", "denied"),
        passed_by("401 without a challenge", "mute"),
        passed_by("a token that does not help", "deaf"),
        passed_by("a token server that refuses", "token-forbidden"),
        passed_by("a token server without a token", "token-empty"),
        case("three hosts", "", up("false-digest").host('A', "gateway", "").host('B', "gone", "")).resolves_to(&other),
        case("the order is that of the tables", "", up("gone").host('B', "sound", "").host('A', "false-digest", ""))
            .resolves_to(&sound),
        case("a dead mirror", "", up("sound").table(&format!("https://{}", places.refused), "")).resolves_to(&sound),
        case("a tag passes by a host that only pulls", "", {
            up("sound").host('A', "false-digest", "capabilities = [\"pull\"]")
        })
        .resolves_to(&sound),
        case("a digest goes to a host that only pulls", &by_digest, {
            up("gone").host('A', "sound", "capabilities = [\"pull\"]")
        })
        .resolves_to(&sound),
        case("a digest, 404, then the upstream", &by_digest, up("sound").host('A', "gone", "")).resolves_to(&sound),
        case("nothing goes to a host that only takes pushes", "", {
            up("sound").host('A', "false-digest", "capabilities = [\"push\"]")
        })
        .resolves_to(&sound),
        case("a mirror that redirects", "", up("gone").host('A', "redirect", "")).resolves_to(&images.single),
        case("a mirror that does not know HEAD", "", up("gone").host('A', "no-head", "")).resolves_to(&sound),
        case("a login goes to a mirror that asks", "", up("gone").host('A', "two-challenges", ""))
            .secret(Secret::login("*.test", ALICE))
            .asks_as(&[ALICE])
            .resolves_to(&sound),
    ]
}

/// Walks that end nowhere.
fn refused(places: &Places) -> Vec<Case> {
    let up = |kind: &str| Hosts::upstream(places, kind, "");
    let pair = |name: &str, mirror: &str, upstream: &str| case(name, "", up(upstream).host('A', mirror, ""));
    let dead = format!("https://{}", places.refused);
    vec![
        pair("404 and 404", "gone", "gone").fails(&[NotFound]),
        pair("404 and a page", "gone", "lost").fails(&[NotFound]).uncertain("RegistryError"),
        pair("a page and 404", "lost", "gone").fails(&[NotFound]).uncertain("RegistryError"),
        pair("500 before 404", "internal", "gone").fails(&[RegistryFault]),
        pair("404 before 503", "gone", "unavailable").fails(&[RegistryFault]),
        pair("403 before 404", "denied", "gone").fails(&[Authorization]),
        pair("404 before 403", "gone", "denied").fails(&[Authorization]),
        pair("404 before a token server that refuses", "gone", "token-forbidden").fails(&[NotFound]),
        pair("a token server that refuses before 404", "token-forbidden", "gone").fails(&[NotFound]),
        pair("401 without a challenge before 404", "mute", "gone").fails(&[Authorization]),
        pair("a token that does not help before 404", "deaf", "gone").fails(&[Authorization]),
        pair("a token that the mirror calls invalid in a second challenge, before 404", "stale-token", "gone")
            .fails(&[Authorization]),
        pair("429 before 404", "rate", "gone").fails(&[RateLimited]),
        pair("404 before an upstream that wants a login", "gone", "rate-after-login").fails(&[RateLimited]),
        case("a mirror that wants a login, and there is none", "", {
            up("gone").table(&format!("https://{}", places.basic), "")
        })
        .fails(&[NotFound]),
        case("a digest that no host has", &format!("@{}", sha256(MANIFEST)), up("gone").host('A', "gone", ""))
            .fails(&[NotFound]),
        case("three refusals", "", up("gone").host('A', "token-forbidden", "").host('B', "denied", ""))
            .fails(&[Authorization]),
        pair("403 before 500: the first status speaks", "denied", "internal")
            .fails(&[Authorization])
            .uncertain("RegistryError"),
        pair("a token server in trouble before 404", "token-internal", "gone")
            .fails(&[NotFound])
            .uncertain("RegistryError"),
        case("a dead mirror before 404", "", up("gone").table(&dead, ""))
            .fails(&[NotFound])
            .uncertain("RegistryUnreachable"),
        case("two dead hosts", "", Hosts { places, text: format!("server = \"{dead}\"\n") }.table(&dead, ""))
            .fails(&[Network]),
        pair("a digest that is none ends the walk", "bad-digest", "sound").fails(&[RegistryFault]),
        case("no host for tags", "", Hosts::upstream(places, "sound", "capabilities = [\"pull\"]"))
            .fails(&[NotFound])
            .uncertain("NotChecked"),
    ]
}

/// How hosts are reached.
fn reached(places: &Places, images: &Images) -> Vec<Case> {
    let sound = sha256(MANIFEST);
    let up = |kind: &str| Hosts::upstream(places, kind, "");
    let one = images.single.as_str();
    let over_tls = |place: &str| format!("https://{place}");
    let over_http = |place: &str| format!("http://{place}");
    let basic = || case("a registry with Basic logins as a mirror", "", up("gone").table(&over_tls(&places.basic), ""));
    vec![
        case("the path of the API is appended", "", up("gone").table("https://A", "")).resolves_to(&sound),
        case("plain HTTP", "", up("gone").table(&over_http(&places.plain_http), "")).resolves_to(one),
        case("HTTPS is tried where TLS is set, then HTTP", "", {
            up("gone").table(&over_http(&places.plain_http), "skip_verify = true")
        })
        .resolves_to(one),
        case("HTTPS is spoken where TLS is set, though the URL says HTTP", "", {
            up("gone").table(&over_http(&places.strange_ca), "skip_verify = true")
        })
        .resolves_to(&sound),
        case("a strange authority, not verified", "", {
            up("gone").table(&over_tls(&places.strange_ca), "skip_verify = true")
        })
        .resolves_to(&sound),
        case("a wrong name, not verified", "", up("gone").table(&over_tls(&places.wrong_name), "skip_verify = true"))
            .resolves_to(&sound),
        case("a strange authority is passed by", "", up("sound").table(&over_tls(&places.strange_ca), ""))
            .resolves_to(&sound),
        case("HTTP on an HTTPS port is passed by", "", up("sound").table(&over_tls(&places.plain_on_tls), ""))
            .resolves_to(&sound),
        case("an authority that is not named is not trusted", "", {
            up("sound").table(&over_tls(&places.open), "# no ca")
        })
        .resolves_to(&sound),
        basic().secret(Secret::login("*.test", ALICE)).asks_as(&[ALICE]).resolves_to(one),
        basic().secret(Secret::login("*.test", WRONG)).asks_as(&[WRONG]).fails(&[Authorization]),
    ]
}
