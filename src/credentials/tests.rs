//! Identities, redaction and which Secrets contribute.

use super::*;

fn secret(kind: &str, key: &str, value: &str) -> PullSecret {
    PullSecret::new("regcred", kind, BTreeMap::from([(key.to_owned(), value.as_bytes().to_vec())]))
}

#[test]
fn a_secret_contributes_when_type_and_key_belong_together() {
    let (json, cfg) = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg");
    assert_eq!(contributes(&secret(json, ".dockerconfigjson", "{}")), Ok(()));
    assert_eq!(contributes(&secret(cfg, ".dockercfg", "{}")), Ok(()));
    let table = [
        (
            secret("Opaque", ".dockerconfigjson", "{}"),
            NotContributing::WrongType { found: "Opaque".to_owned(), key: Some(".dockerconfigjson") },
            "its type is Opaque, not kubernetes.io/dockerconfigjson",
        ),
        (
            secret("", "password", "x"),
            NotContributing::WrongType { found: String::new(), key: None },
            "its type is Opaque, not kubernetes.io/dockerconfigjson",
        ),
        (
            secret(json, ".dockercfg", "{}"),
            NotContributing::MissingKey { kind: json, expected: ".dockerconfigjson", found: Some(".dockercfg") },
            "its type is kubernetes.io/dockerconfigjson, but it has no data key .dockerconfigjson",
        ),
        (
            secret(cfg, "config.json", "{}"),
            NotContributing::MissingKey { kind: cfg, expected: ".dockercfg", found: None },
            "its type is kubernetes.io/dockercfg, but it has no data key .dockercfg",
        ),
        (secret(json, ".dockerconfigjson", ""), NotContributing::Empty, "the value of its data key is empty"),
    ];
    for (secret, expected, text) in table {
        assert_eq!(contributes(&secret), Err(expected.clone()), "{secret:?}");
        assert_eq!(expected.to_string(), text);
    }
}

#[test]
fn only_a_complete_credential_is_a_login() {
    assert!(Credential::new("u", "p").login().is_some());
    for (username, password) in [("", ""), ("u", ""), ("", "p")] {
        assert!(Credential::new(username, password).login().is_none(), "{username}:{password}");
    }
}

#[test]
fn ids_are_equal_for_equal_logins_and_keys() {
    let key = IdentityKey::from([7; 32]);
    let id = |username: &str, password: &str| key.id(Some(&Credential::new(username, password)));
    assert_eq!(id("u", "p"), id("u", "p"));
    assert_eq!(id("u", "p"), IdentityKey::new(&[7; 32]).id(Some(&Credential::new("u", "p"))));
    assert_ne!(id("u", "p"), IdentityKey::new(&[8; 32]).id(Some(&Credential::new("u", "p"))));
    assert_ne!(id("ab", "c"), id("a", "bc"));
    assert_ne!(id("u", "p"), CredentialId::ANONYMOUS);
    assert_eq!(id("", "p"), CredentialId::ANONYMOUS);
    assert_eq!(id("u", ""), CredentialId::ANONYMOUS);
    assert_eq!(key.id(None), CredentialId::ANONYMOUS);
}

#[test]
fn nothing_secret_is_printed() {
    let credential = Credential::new("u", "hunter2");
    let candidate =
        Candidate { source: Source::Anonymous, key: Arc::default(), credential: Some(Arc::new(credential)) };
    let secret = secret("t", "k", "hunter2");
    let key = IdentityKey::from(*b"hunter2hunter2hunter2hunter2hunt");
    for shown in [format!("{candidate:?}"), format!("{secret:?}"), format!("{key:?}")] {
        assert!(!shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
    }
    assert!(format!("{candidate:?}").contains("username: \"u\", password: [redacted]"));
    assert_eq!(format!("{:?}", CredentialId::ANONYMOUS), format!("CredentialId({})", "0".repeat(32)));
    assert_eq!(Source::PullSecret("regcred".into()).to_string(), "Secret \"regcred\"");
    assert_eq!(Source::Anonymous.to_string(), "anonymous");
    assert_eq!(Source::NodeConfig.to_string(), "node config.json");
    assert_eq!(Source::Plugin("ecr".into()).to_string(), "credential provider \"ecr\"");
}
