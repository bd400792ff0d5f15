//! Registries without logins, with and without TLS, and references that no registry is asked about.

use super::{ALICE, Case, Secret, WRONG};
use crate::images::Images;
use crate::judge::Class::{InvalidReference, NotFound};
use crate::scene::Places;

pub(super) fn cases(places: &Places, images: &Images) -> Vec<Case> {
    let (host, one) = (places.open.as_str(), images.single.as_str());
    let absent = format!("sha256:{}", "f".repeat(64));
    let case = |name: &str, rest: &str| Case::new(&format!("open: {name}"), format!("{host}/{rest}"));
    let invalid = |name: &str, image: String| Case::new(&format!("invalid: {name}"), image).fails(&[InvalidReference]);
    let by_name = |rest: &str| format!("{}/{rest}", places.open_by_name);
    let plain = |rest: &str| format!("{}/{rest}", places.plain_http);
    let hex = |digits: usize| "a".repeat(digits);
    vec![
        case("a tag", "alice/app:v1").resolves_to(one),
        case("an OCI index", "alice/app:multi").resolves_to(&images.index),
        case("a digest", &format!("alice/app@{one}")).resolves_to(one),
        case("a missing tag", "alice/app:v2").fails(&[NotFound]),
        case("a missing repository", "alice/none:v1").fails(&[NotFound]),
        case("a digest that is not there", &format!("alice/app@{absent}")).fails(&[NotFound]),
        case("a wrong login that nobody asks for", "alice/app:v1")
            .secret(Secret::login(host, WRONG))
            .asks_as(&[WRONG])
            .resolves_to(one),
        case("two logins, and the tag is missing: one text", "alice/app:v2")
            .secret(Secret::login(host, WRONG))
            .secret(Secret::login(host, ALICE))
            .asks_as(&[WRONG, ALICE])
            .fails(&[NotFound, NotFound]),
        Case::new("open: by the name localhost", by_name("alice/app:v1")).resolves_to(one),
        Case::new("open: by the name localhost, a missing tag", by_name("alice/app:v2")).fails(&[NotFound]),
        Case::new("plain HTTP: a tag", plain("alice/app:v1")).resolves_to(one),
        Case::new("plain HTTP: a bogus tag with a digest", plain(&format!("alice/app:x@{one}"))).resolves_to(one),
        Case::new("plain HTTP: a missing tag", plain("alice/app:v2")).fails(&[NotFound]),
        invalid("capitals in the repository", format!("{host}/Alice/app:v1")),
        invalid("a short name in capitals", "Alice:v1".into()),
        invalid("a tag of 129 characters", format!("{host}/alice/app:{}", "t".repeat(129))),
        invalid("a tag that starts with a dash", format!("{host}/alice/app:-v1")),
        invalid("an empty tag", format!("{host}/alice/app:")),
        invalid("an empty segment", format!("{host}/alice//app:v1")),
        invalid("a scheme", format!("https://{host}/alice/app:v1")),
        invalid("a digest that is too short", format!("{host}/alice/app@sha256:{}", hex(63))),
        invalid("a digest in capitals", format!("{host}/alice/app@sha256:{}", hex(64).to_uppercase())),
        invalid("a digest of an unknown algorithm", format!("{host}/alice/app@md5:{}", hex(32))),
        invalid("an @ without a digest", format!("{host}/alice/app@v1")),
        invalid("64 hexadecimal digits", hex(64)),
        invalid("a path of 256 characters", format!("{host}/{}", hex(256))),
        invalid("a newline inside", format!("{host}/alice/app\nv1")),
        invalid("a template that nobody filled in", format!("{host}/alice/app:${{TAG}}")),
    ]
}
