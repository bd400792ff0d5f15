//! What a reference names: tags, digests, spellings of Docker Hub, references that do not parse; in which field it
//! stands, and under which policy.

use serde_json::json;

use super::{ALICE, Field, Right, Row, Secret, WRONG};
use crate::images::longest_tag;
use crate::scene::Places;
use crate::stock::Digests;

const NOT_FOUND: &str = ": not found";

pub(super) fn rows(places: &Places, digests: &Digests) -> Vec<Row> {
    [found(places, digests), hub(), invalid(places), fields(places), policies(places), present(places)].concat()
}

fn found(places: &Places, digests: &Digests) -> Vec<Row> {
    let (host, one) = (places.open.as_str(), digests.single.as_str());
    let absent = format!("sha256:{}", "0".repeat(64));
    let row = |name: &str, rest: &str| Row::new(&format!("references: {name}"), format!("{host}/{rest}"));
    vec![
        row("a tag", "alice/app:v1").runs(),
        row("a missing tag", "alice/app:v2").fails(NOT_FOUND),
        row("a missing repository", "alice/none:v1").fails(NOT_FOUND),
        row("no tag", "alice/app").runs(),
        row("no tag and no latest", "bob/app").fails(NOT_FOUND),
        row("a tag with capitals", "alice/app:V1.0-RC_2").runs(),
        row("a tag in the wrong case", "alice/app:V1").fails(NOT_FOUND),
        row("a tag of 128 characters", &format!("alice/app:{}", longest_tag())).runs(),
        row("a nested repository", "alice/deep/nested/app:v1").runs(),
        row("a repository of one segment", "solo:v1").runs(),
        row("a digest", &format!("alice/app@{one}")).runs(),
        row("a digest that is not there", &format!("alice/app@{absent}")).fails(NOT_FOUND),
        row("a digest of another repository", &format!("alice/app@{}", digests.solo)).fails(NOT_FOUND),
        row("tag and digest", &format!("alice/app:v1@{one}")).runs(),
        row("a wrong tag with the right digest", &format!("alice/app:bogus@{one}")).runs(),
        row("the right tag with a digest that is not there", &format!("alice/app:v1@{absent}")).fails(NOT_FOUND),
        row("a Docker manifest", "alice/app:docker").runs(),
        row("an index", "alice/app:multi").runs(),
        row("an index by digest", &format!("alice/app@{}", digests.index)).runs(),
        row("a Docker manifest list", "alice/app:list").runs(),
        Row::new("references: the name localhost", format!("{}/alice/app:v1", places.open_by_name)).runs(),
        Row::new("references: the name localhost, a missing tag", format!("{}/alice/app:v2", places.open_by_name))
            .fails(NOT_FOUND),
        Row::new("references: plain HTTP", format!("{}/alice/app:v1", places.plain_http)).runs(),
        Row::new("references: plain HTTP, a missing tag", format!("{}/alice/app:v2", places.plain_http))
            .fails(NOT_FOUND),
        Row::new("references: a private repository and a missing tag", format!("{}/alice/app:v2", places.basic))
            .secret(Secret::login(&places.basic, ALICE))
            .fails(NOT_FOUND),
    ]
}

/// Docker Hub's own name, with Basic logins behind it.
fn hub() -> Vec<Row> {
    const NO_LOGIN: &str = "no basic auth credentials";
    let row = |image: &str, key: &str| {
        Row::new(&format!("docker.io: {image} with the key {key}"), image).secret(Secret::login(key, ALICE))
    };
    vec![
        row("nginx", "https://index.docker.io/v1/").runs(),
        row("nginx:v1", "docker.io").runs(),
        row("library/nginx:v1", "index.docker.io").runs(),
        row("docker.io/nginx:v1", "https://index.docker.io/v1/").runs(),
        row("docker.io/library/nginx:v1", "docker.io/library").runs(),
        row("index.docker.io/library/nginx:v1", "https://index.docker.io/v1/").runs(),
        row("alice/app:v1", "https://index.docker.io/v1/").runs(),
        row("nginx:v1", "https://index.docker.io/v1").fails(NO_LOGIN),
        row("nginx:v1", "registry-1.docker.io").fails(NO_LOGIN),
        row("nginx:v1", "*.docker.io").fails(NO_LOGIN),
        row("registry-1.docker.io/library/nginx:v1", "registry-1.docker.io").runs(),
        row("registry-1.docker.io/library/nginx:v1", "https://index.docker.io/v1/").fails(NO_LOGIN),
        row("nginx:v2", "https://index.docker.io/v1/").fails(NOT_FOUND),
        Row::new("docker.io: nginx:v1 without a login", "nginx:v1").fails(NO_LOGIN),
        Row::new("docker.io: nginx:v1 with a wrong password", "nginx:v1")
            .secret(Secret::login("https://index.docker.io/v1/", WRONG))
            .fails("401 Unauthorized"),
    ]
}

fn invalid(places: &Places) -> Vec<Row> {
    let host = places.open.as_str();
    let hex = |digits: usize| "a".repeat(digits);
    let row = |name: &str, image: String| Row::new(&format!("invalid: {name}"), image);
    let invalid = |name: &str, image: String| row(name, image).waits("InvalidImageName", "invalid reference format");
    let other = |name: &str, image: String, part: &'static str| row(name, image).waits("InvalidImageName", part);
    vec![
        other("capitals in the repository", format!("{host}/Alice/app:v1"), "must be lowercase"),
        other("a short name in capitals", "Alice:v1".into(), "must be lowercase"),
        invalid("a tag of 129 characters", format!("{host}/alice/app:{}", "t".repeat(129))),
        invalid("a tag that starts with a dash", format!("{host}/alice/app:-v1")),
        invalid("an empty tag", format!("{host}/alice/app:")),
        invalid("an empty segment", format!("{host}/alice//app:v1")),
        invalid("a scheme", format!("https://{host}/alice/app:v1")),
        invalid("a blank inside", format!("{host}/alice/app :v1")),
        invalid("a template that nobody filled in", format!("{host}/alice/app:${{TAG}}")),
        invalid("quotes around the tag", format!("{host}/alice/app:\"v1\"")),
        invalid("a backslash and letters of other alphabets", format!("{host}/alice\\app:größe")),
        invalid("a tabulator inside", format!("{host}/alice/app\t:v1")),
        invalid("an @ without a digest", format!("{host}/alice/app@v1")),
        other("a digest that is too short", format!("{host}/alice/app@sha256:{}", hex(63)), "checksum digest length"),
        other(
            "a digest in capitals",
            format!("{host}/alice/app@sha256:{}", hex(64).to_uppercase()),
            "checksum digest format",
        ),
        other("a digest of an unknown algorithm", format!("{host}/alice/app@md5:{}", hex(32)), "digest algorithm"),
        other("64 hexadecimal digits", hex(64), "cannot specify 64-byte hexadecimal strings"),
        other("a path of 256 characters", format!("{host}/{}", hex(256)), "more than 255 characters"),
        row("under Never", format!("{host}/Alice/app:v1"))
            .policy("Never")
            .waits("InvalidImageName", "must be lowercase"),
    ]
}

fn fields(places: &Places) -> Vec<Row> {
    let on = |host: &str, rest: &str| format!("{host}/{rest}");
    let init = |name: &str, image: String| Row::new(&format!("init container: {name}"), image).field(Field::Init);
    let volume = |name: &str, image: String| Row::new(&format!("image volume: {name}"), image).field(Field::Volume);
    let (open, basic) = (places.open.as_str(), places.basic.as_str());
    vec![
        init("a tag", on(open, "alice/app:v1")).runs(),
        init("a missing tag", on(open, "alice/app:v2")).fails(NOT_FOUND),
        init("without a login", on(basic, "alice/app:v1")).fails("no basic auth credentials"),
        init("a reference that does not parse", on(open, "Alice/app:v1"))
            .waits("InvalidImageName", "must be lowercase"),
        volume("a tag", on(open, "alice/app:v1")).runs(),
        volume("a missing tag", on(open, "alice/app:v2")).fails(NOT_FOUND),
        volume("the right login", on(basic, "alice/app:v1")).secret(Secret::login(basic, ALICE)).runs(),
        volume("without a login", on(basic, "alice/app:v1")).fails("no basic auth credentials"),
        volume("a wrong password", on(basic, "alice/app:v1")).secret(Secret::login(basic, WRONG)).fails("401"),
        volume("a reference that does not parse", on(open, "Alice/app:v1"))
            .waits("InvalidImageName", "must be lowercase"),
    ]
}

/// Each image under its own tag: what one pod pulls would be there for the next.
fn policies(places: &Places) -> Vec<Row> {
    let (open, basic) = (places.open.as_str(), places.basic.as_str());
    let absent = |name: &str, image: String| Row::new(&format!("IfNotPresent: {name}"), image).policy("IfNotPresent");
    let never = |name: &str, image: String| Row::new(&format!("Never: {name}"), image).policy("Never");
    vec![
        absent("a tag", format!("{open}/alice/app:once-1")).runs(),
        absent("a missing tag", format!("{open}/alice/app:v3")).fails(NOT_FOUND),
        absent("the right login", format!("{basic}/alice/app:once-2")).secret(Secret::login(basic, ALICE)).runs(),
        absent("a wrong password", format!("{basic}/alice/app:once-3"))
            .secret(Secret::login(basic, WRONG))
            .fails("401 Unauthorized"),
        absent("without a login", format!("{basic}/alice/app:once-4")).fails("no basic auth credentials"),
        never("an image that the node does not have", format!("{open}/alice/app:once-5"))
            .waits("ErrImageNeverPull", "is not present")
            .right(Right::Uncertain),
        never("a missing tag", format!("{open}/alice/app:v4"))
            .waits("ErrImageNeverPull", "is not present")
            .right(Right::Uncertain),
    ]
}

/// Images that the node has pulled for the rows above. A kubelet since 1.35 does not give to a pod what another pod's
/// login brought (kubernetes/kubernetes `pkg/kubelet/images/pullmanager`); an older one does, and gives everybody what was
/// loaded by hand, so that no finding about them is certain.
fn present(places: &Places) -> Vec<Row> {
    let (open, basic) = (places.open.as_str(), places.basic.as_str());
    let open = |name: &str| Row::new(&format!("present: {name}"), format!("{open}/alice/app:once-1")).later();
    let closed = |name: &str| Row::new(&format!("present: {name}"), format!("{basic}/alice/app:once-2")).later();
    let malformed = Secret::entry("registry.example", &json!({ "auth": "%%%%" }));
    vec![
        open("IfNotPresent, for anybody").policy("IfNotPresent").runs(),
        open("Never, for anybody").policy("Never").runs(),
        closed("IfNotPresent, the login that brought it")
            .policy("IfNotPresent")
            .secret(Secret::login(basic, ALICE))
            .runs(),
        closed("IfNotPresent, without a login")
            .policy("IfNotPresent")
            .fails("no basic auth credentials")
            .right(Right::Uncertain),
        closed("IfNotPresent, a wrong password")
            .policy("IfNotPresent")
            .secret(Secret::login(basic, WRONG))
            .fails("401 Unauthorized")
            .right(Right::Uncertain),
        closed("IfNotPresent, a malformed secret")
            .policy("IfNotPresent")
            .secret(malformed.clone())
            .waits("illegal base64 data", "")
            .right(Right::Uncertain),
        closed("Always, without a login").fails("no basic auth credentials"),
        closed("Never, the login that brought it").policy("Never").secret(Secret::login(basic, ALICE)).runs(),
        closed("Never, without a login")
            .policy("Never")
            .waits("ErrImageNeverPull", "is not present")
            .right(Right::Unseen),
        closed("Never, a malformed secret")
            .policy("Never")
            .secret(malformed)
            .waits("illegal base64 data", "")
            .right(Right::Unseen),
    ]
}
