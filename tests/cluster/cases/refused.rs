//! What no node could pull is refused with its code in what kubectl prints; without the webhooks it is all admitted.

use serde_json::Value;

use crate::Failure;
use crate::hands::Hands;
use crate::kubectl::until;
use crate::objects::{list, pod, pod_with};
use crate::report::{Report, ensure};
use crate::world::{OWN_NAMESPACE, TEAM, World};

struct Refused {
    name: &'static str,
    code: &'static str,
    pod: Value,
    /// More that kubectl must print, in the message or in a warning.
    also: Vec<String>,
}

fn refused(world: &World) -> Vec<Refused> {
    let case = |name, code, image: String, secrets: &[&str]| {
        let pod_name = format!("refused-{}", name_of(name));
        Refused { name, code, pod: pod_with(TEAM, &pod_name, &image, secrets), also: Vec::new() }
    };
    let private = || world.basic("alice/app:v1");
    let with = |mut refused: Refused, also: &[&str]| {
        refused.also = also.iter().map(|text| (*text).to_owned()).collect();
        refused
    };
    let absent = format!("sha256:{}", "0".repeat(64));
    vec![
        case("a wrong tag", "TagNotFound", world.open("alice/app:v1.4.3"), &[]),
        case("a wrong tag with a login", "TagNotFound", world.basic("alice/app:v1.4.3"), &["basic"]),
        case("a wrong tag behind a token server", "TagNotFound", world.bearer("alice/app:v1.4.3"), &["bearer"]),
        case("a wrong repository", "RepositoryNotFound", world.open("alice/typo:v1"), &[]),
        case("a wrong repository, where the registry says so", "RepositoryNotFound", world.fault(1, "unnamed"), &[]),
        case("a registry that hides what it has", "NotFoundOrNoAccess", world.fault(1, "denied"), &[]),
        case("a digest that is not there", "DigestNotFound", world.open(&format!("alice/app@{absent}")), &[]),
        with(
            case("no secret", "CredentialsMissing", private(), &[]),
            &["kubectl -n team create secret docker-registry"],
        ),
        case("no secret behind a token server", "CredentialsMissing", world.bearer("alice/app:v1"), &[]),
        with(case("a wrong password", "CredentialsRejected", private(), &["wrong"]), &["Secret \"wrong\""]),
        case(
            "a wrong password behind a token server",
            "CredentialsRejected",
            world.bearer("alice/app:v1"),
            &["wrong-bearer"],
        ),
        with(
            case("a secret of another namespace", "CredentialsMissing", private(), &["elsewhere"]),
            &["PullSecretMissing: pull secret \"elsewhere\" is not in namespace \"team\""],
        ),
        with(case("a secret of the wrong type", "CredentialsMissing", private(), &["opaque"]), &["Secret \"opaque\""]),
        with(
            case("a secret for the host without its port", "CredentialsMissing", private(), &["no-port"]),
            &["Secret \"no-port\" is for 127.0.0.1"],
        ),
        with(case("a malformed secret", "PullSecretMalformed", private(), &["malformed"]), &["Secret \"malformed\""]),
        case("a malformed secret beside the right one", "PullSecretMalformed", private(), &["basic", "malformed"]),
        case("a hidden repository", "NotFoundOrNoAccess", world.bearer("bob/app:v1"), &["bearer"]),
        case("no image reference", "InvalidImageName", world.open("Alice/App:v1"), &[]),
    ]
}

pub(super) fn cases(world: &mut World, report: &mut Report) {
    let world = &*world;
    for Refused { name, code, pod, also } in refused(world) {
        report.case(&format!("refused: {name}"), |shown| {
            let said = world.kubectl.apply(&pod)?.refused(code)?;
            let forbidden = said.stderr.lines().any(|line| line.starts_with("Error from server (Forbidden): "));
            ensure(forbidden, || said.to_string())?;
            for text in &also {
                ensure(said.stderr.contains(text.as_str()), || format!("it does not say {text:?}: {said}"))?;
            }
            let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let stored = world.kubectl.run(&format!("-n {TEAM} get pod {pod_name}"))?;
            ensure(stored.stderr.contains("NotFound"), || format!("it is there all the same: {stored}"))?;
            if ["a wrong tag", "no secret", "a secret for the host without its port"].contains(&name) {
                shown.show(&said);
            }
            Ok(code.to_owned())
        });
    }
    report.case("refused: all that is wrong with a pod at once", |_| {
        let mut several = pod(TEAM, "several", &world.open("alice/app:v1"));
        let bad = |name: &str, rest: &str| serde_json::json!({ "name": name, "image": world.open(rest) });
        several["spec"]["initContainers"] = serde_json::json!([bad("first", "alice/app:none")]);
        several["spec"]["containers"]
            .as_array_mut()
            .ok_or("a pod has containers")?
            .extend([bad("second", "alice/typo:v1"), bad("third", "solo:none")]);
        let said = world.kubectl.apply(&several)?;
        for container in ["first", "second", "third"] {
            let named = format!("(container \"{container}\")");
            ensure(said.stderr.contains(&named), || format!("it does not name {container}: {said}"))?;
        }
        ensure(said.stderr.contains("1 other image is fine"), || format!("what is fine is not said: {said}"))?;
        Ok("three containers named".to_owned())
    });
}

/// The release is uninstalled, and the same pods are applied again.
pub(super) fn without_webhooks(world: &mut World, report: &mut Report) {
    let world = &*world;
    let gone = || -> Result<(), Failure> {
        let _hands = Hands::start(world)?;
        world.kubectl.helm(&["uninstall", "pullgate", "-n", OWN_NAMESPACE])?.succeeded()?;
        let probe = pod(TEAM, "probe", &world.open("alice/app:none"));
        until("the API server to call nobody", || {
            Ok((world.kubectl.feed("apply --dry-run=server -f -", &probe)?.code == Some(0)).then_some(()))
        })
    };
    report.case("without the webhooks: helm uninstall leaves none behind", |_| {
        gone()?;
        let left = world.kubectl.get("get mutatingwebhookconfigurations,validatingwebhookconfigurations -o name")?;
        ensure(left.is_empty(), || left.clone())?;
        Ok(String::new())
    });
    let refused = refused(world);
    report.case("without the webhooks: every refused pod is admitted", |_| {
        let pods = refused.into_iter().map(|refused| refused.pod);
        let said = world.kubectl.apply(&list(pods))?.succeeded()?;
        let created = said.stdout.lines().filter(|line| line.ends_with(" created")).count();
        ensure(created == said.stdout.lines().count() && created > 10, || said.to_string())?;
        Ok(format!("{created} pods"))
    });
}

fn name_of(name: &str) -> String {
    name.replace(", ", "-").replace(' ', "-")
}
