//! Scenarios: the pull secrets of a pod and an image that it may not pull → the words about them.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::credentials::{self, Keyring, PullSecret};
use crate::facts::{Attempt, Meant, NamedBy, Secrets};
use crate::finding::Code;
use crate::reference::Reference;
use crate::registry::failure::Failure;
use crate::verdict::Draft;
use crate::workload::{ContainerImage, PullPolicy};

mod names;
mod renewed;

/// In every password; in no text.
const CANARY: &str = "canary-Xq3";
const CREATE: &str = "kubectl -n team create secret docker-registry ";

/// A Secret by its name, its type and its value.
fn secret(name: &str, kind: &str, config: &Value) -> PullSecret {
    let key = if kind == "kubernetes.io/dockercfg" { ".dockercfg" } else { ".dockerconfigjson" };
    PullSecret::new(name, kind, BTreeMap::from([(key.to_owned(), config.to_string().into_bytes())]))
}

/// A pull secret with one entry.
fn entry(name: &str, host: &str, entry: &Value) -> PullSecret {
    secret(name, "kubernetes.io/dockerconfigjson", &json!({ "auths": { host: entry } }))
}

/// A login under a name.
fn login(name: &str, host: &str) -> PullSecret {
    entry(name, host, &json!({ "username": "ann", "password": CANARY }))
}

fn held(found: &[PullSecret], named_by: NamedBy) -> Secrets {
    let mut secrets = Secrets { named_by, ..Secrets::default() };
    for secret in found {
        if let Err(why) = credentials::contributes(secret) {
            secrets.ignored.push(("opaque".to_owned(), why));
        } else if !secret.can_be_renewed() {
            secrets.unchangeable.push("fixed".to_owned());
        }
    }
    secrets.keyring = Keyring::from_pull_secrets(found);
    secrets
}

/// Message and fix for an image whose every attempt ends in `code`.
fn words(image: &str, secrets: &Secrets, code: Code) -> (String, String) {
    let words = with_draft(image, secrets, code, |draft, failure| {
        let description = super::super::description(draft, code, true, Some(failure));
        let message = [vec![description.what], description.details].concat().join("; ");
        (message, super::super::fix(draft, code, true, Some(failure)))
    });
    assert!(!words.0.contains(CANARY) && !words.1.contains(CANARY), "{words:?}");
    assert!(words.1.len() < 700, "{} bytes: {}", words.1.len(), words.1);
    words
}

/// What is made of an image whose every attempt ends in `code`.
fn with_draft<T>(image: &str, secrets: &Secrets, code: Code, make: impl FnOnce(&Draft<'_>, &Failure) -> T) -> T {
    let reference = Reference::parse(image).unwrap();
    let failure = Failure { code, ..Failure::nonsense("", None) };
    let attempt = |candidate: credentials::Candidate| Attempt {
        source: candidate.source,
        id: credentials::CredentialId::ANONYMOUS,
        login: candidate.credential.is_some_and(|credential| credential.login().is_some()),
        expiry: None,
        outcome: Err(failure.clone()),
        age: Duration::ZERO,
        stale: false,
        nothing_left: None,
    };
    let candidates = secrets.keyring.as_ref().unwrap().candidates(reference.name());
    let attempts: Vec<Attempt> = candidates.into_iter().map(attempt).collect();
    let image = ContainerImage {
        path: String::new(),
        pointer: String::new(),
        container: "c".to_owned(),
        image: image.to_owned(),
        pull_policy: PullPolicy::Always,
        old_image: None,
    };
    let draft = Draft {
        namespace: "team",
        secrets,
        image: &image,
        reference: Some(&reference),
        attempts: &attempts,
        meant: &Meant::default(),
        now: Timestamp::UNIX_EPOCH,
        by_runtime: false,
    };
    let failure = Failure { detail: None, ..failure };
    make(&draft, &failure)
}

#[test]
fn a_pull_secret_that_matches_nothing_is_named_with_the_reason_and_the_lines_that_help() {
    let (hub, corp) = ("acme/api:v1", "registry.corp.io:5000/team/api:v1");
    let object = || NamedBy::Object;
    let corp_create = "--docker-server=registry.corp.io:5000 --docker-username='USER' --docker-password='PASSWORD'";
    let hub_create =
        "--docker-server=https://index.docker.io/v1/ --docker-username='USER' --docker-password='PASSWORD'";
    let table: Vec<Scenario<'_>> = vec![
        (
            corp,
            held(&[login("regcred", "registry.corp.io")], object()),
            r#"Secret "regcred" is for registry.corp.io, which does not match registry.corp.io:5000 (another port); add one for registry.corp.io:5000:"#,
            corp_create,
        ),
        (
            corp,
            held(&[login("a", "registry.corp.io:5000/other")], object()),
            r#"Secret "a" is for registry.corp.io:5000/other, which does not match registry.corp.io:5000/team/api (another path); "#,
            corp_create,
        ),
        (
            corp,
            held(&[login("a", "Registry.Corp.io:5000")], object()),
            r#"Secret "a" is for Registry.Corp.io:5000, which does not match registry.corp.io:5000 (in other letters); "#,
            corp_create,
        ),
        (
            corp,
            held(&[login("a", "HTTPS://registry.corp.io:5000")], object()),
            r#"Secret "a" is for HTTPS://registry.corp.io:5000, which does not match registry.corp.io:5000 (https:// in lower case); "#,
            corp_create,
        ),
        (
            corp,
            held(&[login("a", "registry.corp.io:5000\n")], object()),
            r#"Secret "a" has an entry "registry.corp.io:5000" that is no URL (a blank or line end in it?), so kubelets pass it over; "#,
            corp_create,
        ),
        (
            corp,
            held(&[login("a", "*.io:5000")], object()),
            r#"Secret "a" is for *.io:5000, which does not match registry.corp.io:5000 (* stands for one label); "#,
            corp_create,
        ),
        (
            hub,
            held(&[login("hub", "https://index.docker.io/v1")], object()),
            r#"Secret "hub" is for https://index.docker.io/v1, which never matches Docker Hub: the key is https://index.docker.io/v1/; "#,
            hub_create,
        ),
        (
            hub,
            held(&[login("hub", "registry-1.docker.io")], object()),
            r#"Secret "hub" is for registry-1.docker.io, which never matches Docker Hub: "#,
            hub_create,
        ),
        (
            corp,
            held(&[login("a", "ghcr.io"), login("b", "quay.io")], object()),
            "the pod's pull secrets are for ghcr.io, quay.io only; add one for registry.corp.io:5000:",
            corp_create,
        ),
        (
            corp,
            held(&[secret("opaque", "Opaque", &json!({ "auths": {} }))], object()),
            r#"Secret "opaque" is of no use to a kubelet: its type is Opaque, not kubernetes.io/dockerconfigjson; "#,
            corp_create,
        ),
        (
            corp,
            held(&[PullSecret::new("opaque", "kubernetes.io/dockercfg", BTreeMap::new())], object()),
            r#"Secret "opaque" is of no use to a kubelet: its type is kubernetes.io/dockercfg, but it has no data key .dockercfg; "#,
            corp_create,
        ),
        (
            corp,
            Secrets { missing: vec!["theirs".to_owned()], ..Secrets::default() },
            "Secret \"theirs\" is named, but it is not in namespace \"team\", and Secrets do not cross namespaces:\n  kubectl -n team create secret docker-registry theirs ",
            corp_create,
        ),
    ];
    hold(table);
}

#[test]
fn one_more_pull_secret_is_attached_where_the_others_are_named_and_those_stay() {
    let corp = "registry.corp.io:5000/team/api:v1";
    hold(vec![
        (
            corp,
            held(&[], NamedBy::Nobody("builder".to_owned())),
            r#"no pull secret is named, neither in the pod nor in ServiceAccount "builder"; "#,
            r#"  kubectl -n team patch serviceaccount builder -p '{"imagePullSecrets":[{"name":"regcred-registry-corp-io-5000"}]}'"#,
        ),
        (
            corp,
            Secrets {
                named: vec!["regcred-registry-corp-io-5000".to_owned()],
                ..held(&[login("regcred", "ghcr.io")], NamedBy::Account("builder".to_owned()))
            },
            "the pod's pull secrets are for ghcr.io only; ",
            r#"patch serviceaccount builder --type=json -p '[{"op":"add","path":"/imagePullSecrets/-","value":{"name":"regcred-registry-corp-io-5000-2"}}]'"#,
        ),
        (
            corp,
            held(&[login("a", "ghcr.io")], NamedBy::ObjectNot { account: "builder".to_owned(), theirs: Vec::new() }),
            "the pod's pull secrets are for ghcr.io only; ",
            "\nthen add regcred-registry-corp-io-5000 to imagePullSecrets (those of ServiceAccount \"builder\" do not count, for the pod has its own)",
        ),
        (
            corp,
            held(
                &[login("a", "ghcr.io")],
                NamedBy::ObjectNot { account: "builder".to_owned(), theirs: vec!["x".to_owned(), "y".to_owned()] },
            ),
            "the pod's pull secrets are for ghcr.io only; ",
            "or what has it of x, y to imagePullSecrets (those of ServiceAccount \"builder\" do not count, for the pod has its own)",
        ),
        (
            corp,
            held(
                &[login("a", "ghcr.io")],
                NamedBy::ObjectNot {
                    account: "builder".to_owned(),
                    theirs: vec!["regcred-registry-corp-io-5000".to_owned()],
                },
            ),
            "the pod's pull secrets are for ghcr.io only; ",
            "\nthen add regcred-registry-corp-io-5000-2, or what has it of regcred-registry-corp-io-5000 to imagePullSecrets (those of ServiceAccount \"builder\" do not count",
        ),
        (
            corp,
            held(&[], NamedBy::Nameless("builder".to_owned())),
            r#"imagePullSecrets has an entry without a name, so that not even those of ServiceAccount "builder" count; "#,
            "\nthen put regcred-registry-corp-io-5000 in place of the entry without a name in imagePullSecrets",
        ),
        (
            corp,
            held(&[], NamedBy::NoAccount("builder".to_owned())),
            r#"ServiceAccount "builder" is not there; "#,
            "\nthen make ServiceAccount \"builder\" with regcred-registry-corp-io-5000 in its imagePullSecrets",
        ),
        (
            corp,
            Secrets { named: vec!["empty".to_owned()], ..held(&[], NamedBy::Existing("builder".to_owned())) },
            "no login is in empty; ",
            "and make the pod anew: it keeps the list that it was made with",
        ),
    ]);
}

/// Image, pull secrets, how the fix begins and what else it holds.
type Scenario<'s> = (&'s str, Secrets, &'s str, &'s str);

fn hold(table: Vec<Scenario<'_>>) {
    for (image, secrets, starts, holds) in table {
        let (message, fix) = words(image, &secrets, Code::CredentialsMissing);
        assert!(message.ends_with(", and no pull secret of the pod has one for it"), "{message}");
        assert!(fix.starts_with(starts) && fix.contains(holds) && fix.contains(CREATE), "{fix}\n{starts}\n{holds}");
        // A registry that hides what is private says less; the reason is the same.
        let (_, fix) = words(image, &secrets, Code::NotFoundOrNoAccess);
        let fix = fix.strip_prefix("no registry is written, so docker.io/acme/api is meant; ").unwrap_or(&fix);
        assert!(fix.starts_with(&format!("check the spelling; if it is private: {starts}")), "{fix}");
    }
}

#[test]
fn a_refused_login_with_a_mistake_in_it_is_told_which() {
    let ecr = STANDARD.encode(format!("AWS:{CANARY}"));
    let password = |password: &str| json!({ "username": "ann", "password": password });
    for (image, host, given, code, starts) in [
        (
            "a.io/x:1",
            "a.io",
            password(&format!("{CANARY}\n")),
            Code::CredentialsRejected,
            r#"the password in Secret "s" ends with a line end, as a file or echo leaves one; renew it:"#,
        ),
        (
            "a.io/x:1",
            "a.io",
            password(&format!(" {CANARY}")),
            Code::CredentialsRejected,
            r#"the password in Secret "s" begins or ends with a blank; renew it:"#,
        ),
        (
            "a.io/x:1",
            "a.io",
            json!({ "username": "ann ", "password": CANARY }),
            Code::CredentialsRejected,
            r#"the user name in Secret "s" begins or ends with a blank or line end; renew it:"#,
        ),
        (
            "1.dkr.ecr.eu-west-1.amazonaws.com/x:1",
            "1.dkr.ecr.eu-west-1.amazonaws.com",
            json!({ "username": "AWS", "password": ecr }),
            Code::CredentialsRejected,
            r#"the password in Secret "s" is ECR's whole authorizationToken: only what follows AWS: in it is the password (aws ecr get-login-password); renew it:"#,
        ),
        (
            "acme/x:1",
            "https://index.docker.io/v1/",
            json!({ "username": "ann@acme.io", "password": CANARY }),
            Code::CredentialsRejected,
            r#"the user in Secret "s" is an e-mail address; Docker Hub wants the Docker ID; renew it:"#,
        ),
        (
            "a.io/x:1",
            "a.io",
            json!({ "auth": STANDARD.encode("ann:"), "identitytoken": CANARY }),
            Code::CredentialsMissing,
            r#"Secret "s" has only an identitytoken, which kubelets ignore: they need user and password; renew it:"#,
        ),
        ("a.io/x:1", "a.io", json!({ "username": "ann" }), Code::CredentialsMissing, "renew it:"),
        ("a.io/x:1", "a.io", password(CANARY), Code::CredentialsRejected, "renew it:"),
        (
            "a.io/x:1",
            "a.io",
            password(&format!("{CANARY}\n")),
            Code::NotFoundOrNoAccess,
            r#"the password in Secret "s" ends with a line end, as a file or echo leaves one; check the spelling, "#,
        ),
    ] {
        let secrets = held(&[entry("s", host, &given)], NamedBy::Object);
        let (_, fix) = words(image, &secrets, code);
        assert!(fix.starts_with(starts), "{fix}\n{starts}");
    }
}

#[test]
fn a_secret_that_does_not_decode_says_where_and_is_made_anew_in_one_line() {
    let line = |server: &str| {
        format!(
            ":\n  kubectl -n team delete secret s && {CREATE}s --docker-server={server} --docker-username='USER' --docker-password='PASSWORD'"
        )
    };
    let json = |text: &str| BTreeMap::from([(".dockerconfigjson".to_owned(), text.as_bytes().to_vec())]);
    for (value, expected) in [
        (
            r#"{"auths":{"b.io":{"auth":"dTp!"}}}"#,
            format!(
                r#"make Secret "s" anew, with every other login that it has (illegal base64 data at input byte 3, entry "b.io"){}"#,
                line("b.io")
            ),
        ),
        (
            r#"{"auths":{},}"#,
            format!(
                r#"make Secret "s" anew, with every other login that it has (invalid character '}}' looking for beginning of object key string, no JSON from byte 12 of its value on){}"#,
                line("a.io:5000")
            ),
        ),
    ] {
        let secret = PullSecret::new("s", "kubernetes.io/dockerconfigjson", json(value));
        let malformed = Keyring::from_pull_secrets([&secret]).unwrap_err();
        let secrets = held(&[], NamedBy::Object);
        let code = Code::PullSecretMalformed;
        let fix =
            with_draft("a.io:5000/x:1", &secrets, code, |draft, _| super::super::fix_malformed(draft, &malformed));
        assert_eq!(fix, expected);
    }
}

#[test]
fn a_limit_has_two_ways_out_and_docker_hub_has_its_figures() {
    let nobody = || held(&[], NamedBy::Nobody("default".to_owned()));
    let figures = "100 times in 6 hours, a free account 200 times";
    let (message, fix) = words("nginx:1.27", &nobody(), Code::RateLimited);
    assert!(message.ends_with("was not checked: docker.io limits an anonymous caller"), "{message}");
    assert!(fix.contains(figures) && fix.contains("; or log in:\n  kubectl -n team create secret"), "{fix}");
    assert!(fix.contains("--docker-server=https://index.docker.io/v1/ "), "{fix}");
    assert!(fix.ends_with("-p '{\"imagePullSecrets\":[{\"name\":\"regcred-docker-io\"}]}'"), "{fix}");
    let (_, fix) = words("a.io/nginx:1.27", &nobody(), Code::RateLimited);
    assert!(fix.starts_with("let nodes pull through a mirror") && !fix.contains("Docker Hub"), "{fix}");
    let secrets = held(&[login("hub", "https://index.docker.io/v1/")], NamedBy::Object);
    let (message, fix) = words("nginx:1.27", &secrets, Code::RateLimited);
    assert!(message.ends_with("docker.io limits the login in Secret \"hub\""), "{message}");
    assert!(fix.starts_with("wait, pay for the account or let nodes") && fix.contains(figures), "{fix}");
    assert!(!fix.contains("kubectl"), "{fix}");
}
