//! Logins that are wrong, half or beside others → the words about them, and the line that renews.

use super::*;

#[test]
fn a_secret_that_no_apply_changes_is_made_anew() {
    let old = json!({ "registry.corp.io": { "username": "ann", "password": CANARY } });
    let apply = " --dry-run=client -o yaml | kubectl apply -f -";
    let create =
        format!("{CREATE}fixed --docker-server=registry.corp.io --docker-username='USER' --docker-password='PASSWORD'");
    let anew = format!("renew it:\n  kubectl -n team delete secret fixed && {create}");
    for (secret, expected) in [
        (login("fixed", "registry.corp.io"), format!("renew it:\n  {create}{apply}")),
        (secret("fixed", "kubernetes.io/dockercfg", &old), anew.clone()),
        (login("fixed", "registry.corp.io").kept_as_it_is(true), anew),
    ] {
        let secrets = held(&[secret], NamedBy::Object);
        let (_, fix) = words("registry.corp.io/team/app:v1", &secrets, Code::CredentialsRejected);
        assert_eq!(fix, expected);
    }
}

#[test]
fn a_secret_with_further_logins_says_that_they_have_to_be_put_in_again() {
    let login = json!({ "username": "ann", "password": CANARY });
    for (keys, image, server, others) in [
        (&["a.io"][..], "a.io/x:1", "a.io", ""),
        (&["a.io", "b.io"], "a.io/x:1", "a.io", "b.io"),
        (&["a.io", "b.io", "c.io", "d.io", "e.io", "f.io"], "a.io/x:1", "a.io", "b.io, c.io, d.io, e.io and 1 more"),
        // With the registry in its place the others would be lost.
        (&["*.corp.io"], "a.corp.io/x:1", "'*.corp.io'", ""),
    ] {
        let auths: serde_json::Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), login.clone())).collect();
        let config = json!({ "auths": auths });
        let secrets = held(&[secret("s", "kubernetes.io/dockerconfigjson", &config)], NamedBy::Object);
        let (_, fix) = words(image, &secrets, Code::CredentialsRejected);
        let others = match others {
            "" => String::new(),
            others => format!(" (it is for {others}, too, which has to be put in again)"),
        };
        let starts = format!("renew it{others}:\n  {CREATE}s --docker-server={server} ");
        assert!(fix.starts_with(&starts), "{fix}\n{starts}");
    }
}

#[test]
fn half_a_login_says_which_half() {
    for (given, expected) in [
        (json!({ "username": "ann" }), r#"the entry in Secret "s" has no password"#),
        (json!({ "password": CANARY }), r#"the entry in Secret "s" has no user"#),
        (
            json!({ "identitytoken": CANARY }),
            r#"the entry in Secret "s" has only an identitytoken, which kubelets ignore"#,
        ),
    ] {
        let secrets = held(&[entry("s", "a.io", &given)], NamedBy::Object);
        let (message, _) = words("a.io/x:1", &secrets, Code::CredentialsMissing);
        assert!(message.ends_with(expected), "{message}");
    }
}

#[test]
fn who_holds_half_a_login_asks_as_nobody_and_is_told() {
    for (given, has) in [
        (json!({}), "no user"),
        (json!({ "username": "ann" }), "no password"),
        (json!({ "identitytoken": CANARY }), "only an identitytoken, which kubelets ignore"),
    ] {
        let secrets = held(&[entry("hub", "https://index.docker.io/v1/", &given)], NamedBy::Object);
        let (message, fix) = words("docker.io/acme/api:v1", &secrets, Code::NotFoundOrNoAccess);
        assert!(message.ends_with("or an anonymous caller may not pull it; docker.io does not say which"), "{message}");
        let starts = format!(
            "the entry in Secret \"hub\" has {has}, so nodes ask anonymously; check the spelling, or renew it:\n"
        );
        assert!(fix.starts_with(&starts), "{fix}");
        let (message, fix) = words("docker.io/acme/api:v1", &secrets, Code::RateLimited);
        assert!(message.ends_with("docker.io limits an anonymous caller"), "{message}");
        assert!(
            fix.contains("so nodes ask anonymously; let nodes pull through a mirror") && fix.contains("or log in:"),
            "{fix}"
        );
    }
}
