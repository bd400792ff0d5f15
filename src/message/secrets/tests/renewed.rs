//! Secrets that an `apply` renews, and those that it cannot change.

use super::*;

#[test]
fn a_secret_that_no_apply_changes_is_made_anew() {
    let old = json!({ "registry.corp.io": { "username": "ann", "password": CANARY } });
    let apply = " --dry-run=client -o yaml | kubectl apply -f -";
    let create =
        format!("{CREATE}fixed --docker-server=registry.corp.io --docker-username=USER --docker-password=PASSWORD");
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
