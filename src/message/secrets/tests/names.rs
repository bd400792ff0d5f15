//! Names that no Secret and no `ServiceAccount` can have: no line to type contains one.

use super::*;

#[test]
fn a_name_that_cannot_be_is_told_and_another_one_is_created() {
    let corp = "registry.corp.io:5000/team/api:v1";
    let corp_create = "--docker-server=registry.corp.io:5000 --docker-username='USER' --docker-password='PASSWORD'";
    let missing = |names: &[&str], named_by| {
        let missing: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Secrets { named_by, missing, ..Secrets::default() }
    };
    let too_long = "a".repeat(254);
    hold(vec![
        (
            corp,
            missing(&["$REGCRED"], NamedBy::Object),
            "Secret \"$REGCRED\" is named, and no Secret can have that name: a variable or placeholder in it was not replaced; add one for registry.corp.io:5000:\n  kubectl -n team create secret docker-registry pull-secret-registry-corp-io-5000 ",
            "\nthen put pull-secret-registry-corp-io-5000 in place of \"$REGCRED\" in imagePullSecrets",
        ),
        (
            corp,
            missing(&["RegCred"], NamedBy::Account("builder".to_owned())),
            "Secret \"RegCred\" is named, and no Secret can have that name: it is made of at most 253 lower-case letters, digits, \"-\" and \".\" (RFC 1123); add one for ",
            "in place of \"RegCred\" in imagePullSecrets of ServiceAccount \"builder\"",
        ),
        (
            corp,
            missing(&["reg_cred", "later"], NamedBy::Object),
            "Secret \"later\" is named, but it is not in namespace \"team\", and Secrets do not cross namespaces:\n  kubectl -n team create secret docker-registry later ",
            corp_create,
        ),
        (
            corp,
            held(&[], NamedBy::NoAccount("${SA}".to_owned())),
            "ServiceAccount \"${SA}\" is not there; add one for ",
            "\nthen name regcred-registry-corp-io-5000 in imagePullSecrets of the pod (ServiceAccount \"${SA}\" is named, and no ServiceAccount can have that name: a variable or placeholder in it was not replaced)",
        ),
        (
            corp,
            missing(&[&too_long], NamedBy::Object),
            &format!("Secret \"{}…", "a".repeat(32)),
            "docker-registry pull-secret-registry-corp-io-5000 ",
        ),
    ]);
}
