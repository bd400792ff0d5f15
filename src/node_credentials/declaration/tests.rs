//! What is accepted, and every refusal with its place.

use super::*;

const PROVIDER: &str = "  - name: ecr-credential-provider
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    matchImages: ['*.dkr.ecr.*.amazonaws.com']
    defaultCacheDuration: 12h
";

fn config(providers: &str) -> String {
    format!("apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n{providers}")
}

fn read(text: &str) -> Result<Vec<Provider>, String> {
    parse(&[("c.yaml".to_owned(), text.to_owned())]).map_err(|error| error.to_string())
}

fn tokens(attributes: &str) -> String {
    config(&format!("{PROVIDER}    tokenAttributes: {{{attributes}}}\n"))
}

#[test]
fn a_declaration_is_read_whole() {
    let text = config(
        "- name: acr-credential-provider
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  matchImages: ['*.azurecr.io', 'reg.io:5000/team']
  defaultCacheDuration: '0'
  args: [/etc/kubernetes/azure.json, '']
  env:
  - {name: A, value: 'true'}
  - name: B
  tokenAttributes:
    serviceAccountTokenAudience: api://AzureADTokenExchange
    cacheType: ServiceAccount
    requireServiceAccount: true
    requiredServiceAccountAnnotationKeys: [azure.io/Client-Id]
    optionalServiceAccountAnnotationKeys: [x]
",
    );
    let providers = read(&text).unwrap();
    let [provider] = providers.as_slice() else { panic!("{providers:?}") };
    assert_eq!(&*provider.name, "acr-credential-provider");
    assert_eq!((provider.version, provider.default_cache_duration), (Version::V1, SignedDuration::ZERO));
    assert_eq!(provider.args, ["/etc/kubernetes/azure.json", ""]);
    assert_eq!(provider.env, [("A".to_owned(), "true".to_owned()), ("B".to_owned(), String::new())]);
    let expected = TokenAttributes {
        audience: "api://AzureADTokenExchange".to_owned(),
        cache: TokenCache::ServiceAccount,
        require_account: true,
        required_annotations: vec!["azure.io/Client-Id".to_owned()],
        optional_annotations: vec!["x".to_owned()],
    };
    assert_eq!(provider.token_attributes, Some(expected));
    for (repository, expected) in [
        ("a.azurecr.io/x", true),
        ("a.b.azurecr.io/x", false),
        ("reg.io:5000/team/x", true),
        ("reg.io:5000/teams", true),
        ("reg.io:5000/x", false),
        ("reg.io/team/x", false),
    ] {
        assert_eq!(provider.matches(&Pattern::parse(repository.as_bytes()).unwrap()), expected, "{repository}");
    }
}

#[test]
fn every_version_and_both_syntaxes_are_read() {
    for (config_version, version) in
        [("v1", Version::V1), ("v1beta1", Version::V1beta1), ("v1alpha1", Version::V1alpha1)]
    {
        let json = format!(
            r#"{{"apiVersion": "kubelet.config.k8s.io/{config_version}", "kind": "CredentialProviderConfig", "providers": [
                {{"name": "gcp", "apiVersion": "{}", "matchImages": ["gcr.io"], "defaultCacheDuration": "1m", "args": null}}]}}"#,
            version.as_str()
        );
        assert_eq!(read(&json).unwrap()[0].version, version);
    }
}

#[test]
fn files_are_merged_in_their_order_and_names_are_unique_over_all() {
    let file = |name: &str, providers: &str| (name.to_owned(), config(providers));
    let second = PROVIDER.replace("ecr-", "acr-");
    let read = parse(&[file("1.yaml", PROVIDER), file("2.yaml", &second), file("3.yaml", "")]).unwrap();
    assert_eq!(
        read.iter().map(|p| &*p.name).collect::<Vec<_>>(),
        ["ecr-credential-provider", "acr-credential-provider"]
    );
    let error = parse(&[file("1.yaml", PROVIDER), file("2.yaml", PROVIDER)]).unwrap_err();
    assert_eq!(error.to_string(), "2.yaml:4:11: provider \"ecr-credential-provider\" is declared twice");
}

#[test]
fn mistakes_are_named_with_their_place() {
    let without =
        |line: &str| config(&PROVIDER.lines().filter(|l| !l.contains(line)).fold(String::new(), |a, l| a + l + "\n"));
    let with = |old: &str, new: &str| config(&PROVIDER.replace(old, new));
    let table = [
        (String::new(), "c.yaml:1:1: the file is empty: it needs apiVersion and kind"),
        ("kind: A\n".to_owned(), "c.yaml:1:1: key \"apiVersion\" is missing"),
        ("a: 1\n".to_owned(), "c.yaml:1:1: unknown key \"a\"; known here: apiVersion, kind, providers"),
        (config(""), "c.yaml:1:1: no provider is declared: providers needs one"),
        (
            config(PROVIDER).replace("Config\n", "Request\n"),
            "c.yaml:2:7: kind \"CredentialProviderRequest\" is not CredentialProviderConfig",
        ),
        (
            config(PROVIDER).replace("kubelet.config.k8s.io/v1", "kubelet.config.k8s.io/v2"),
            "c.yaml:1:13: apiVersion \"kubelet.config.k8s.io/v2\" is not known here: use kubelet.config.k8s.io/v1, kubelet.config.k8s.io/v1beta1, kubelet.config.k8s.io/v1alpha1",
        ),
        (
            with("name: ecr-credential-provider", "name: ''"),
            "c.yaml:4:11: \"\" is not the name of a binary: no blanks, no slashes, no directory",
        ),
        (
            with("ecr-credential-provider", ".."),
            "c.yaml:4:11: \"..\" is not the name of a binary: no blanks, no slashes, no directory",
        ),
        (
            with("ecr-credential-provider", "a b"),
            "c.yaml:4:11: \"a b\" is not the name of a binary: no blanks, no slashes, no directory",
        ),
        (
            with("ecr-credential-provider", "../sh"),
            "c.yaml:4:11: \"../sh\" is not the name of a binary: no blanks, no slashes, no directory",
        ),
        (with("ecr-credential-provider", "17"), "c.yaml:4:11: "),
        (
            config(&format!("{PROVIDER}{PROVIDER}")),
            "c.yaml:8:11: provider \"ecr-credential-provider\" is declared twice",
        ),
        (without("apiVersion"), "c.yaml:4:5: key \"apiVersion\" is missing"),
        (
            with("kubelet.k8s.io/v1", "kubelet.k8s.io/v3"),
            "c.yaml:5:17: apiVersion \"credentialprovider.kubelet.k8s.io/v3\" is not known here: use credentialprovider.kubelet.k8s.io/v1, credentialprovider.kubelet.k8s.io/v1beta1, credentialprovider.kubelet.k8s.io/v1alpha1",
        ),
        (without("matchImages"), "c.yaml:4:5: matchImages is empty: name at least one image"),
        (with("['*.dkr.ecr.*.amazonaws.com']", "[]"), "c.yaml:4:5: matchImages is empty: name at least one image"),
        (with("*.dkr.ecr.*.amazonaws.com", "%zz"), "c.yaml:6:19: \"%zz\" matches no image: write it like *.azurecr.io"),
        (without("defaultCacheDuration"), "c.yaml:4:5: key \"defaultCacheDuration\" is missing"),
        (with("12h", "12"), "c.yaml:7:27: "),
        (with("12h", "1d"), "c.yaml:7:27: \"1d\" is not a duration: write it like 12h or 1h30m, not below 0"),
        (with("12h", "-1s"), "c.yaml:7:27: \"-1s\" is not a duration: write it like 12h or 1h30m, not below 0"),
        (
            config(&format!("{PROVIDER}    matchimages: [a]\n")),
            "c.yaml:8:5: unknown key \"matchimages\"; known here: name, matchImages, defaultCacheDuration, apiVersion, args, env, tokenAttributes",
        ),
        (
            config(&format!("{PROVIDER}    env: [{{name: A, value: true}}]\n")),
            "c.yaml:8:28: providers[0].env[0].value: expected a string, found true or false: put the value in quotes",
        ),
        (config(&format!("{PROVIDER}    args: a\n")), "c.yaml:8:11: "),
        (config(&format!("{PROVIDER}    args: []\n    args: []\n")), "c.yaml:9:5: key \"args\" is given twice"),
        (config(PROVIDER) + "---\na: 1\n", "c.yaml:9:1: the file holds a second document: keep one"),
    ];
    for (text, expected) in table {
        let error = read(&text).map(|_| ()).unwrap_err();
        let exact = !expected.ends_with(": ");
        assert!(if exact { error == expected } else { error.starts_with(expected) }, "{text}\n{error}\n{expected}");
    }
}

#[test]
fn token_attributes_are_held_to_the_kubelets_rules() {
    let good = "serviceAccountTokenAudience: a, cacheType: Token, requireServiceAccount: false";
    assert!(read(&tokens(good)).unwrap()[0].wants_token());
    let keys = "serviceAccountTokenAudience: a, cacheType: Token, requireServiceAccount: true, requiredServiceAccountAnnotationKeys";
    let table = [
        (tokens("cacheType: Token, requireServiceAccount: true"), "serviceAccountTokenAudience is missing"),
        (
            tokens("serviceAccountTokenAudience: '', cacheType: Token, requireServiceAccount: true"),
            "serviceAccountTokenAudience is missing",
        ),
        (tokens("serviceAccountTokenAudience: a, cacheType: Token"), "requireServiceAccount is missing"),
        (
            tokens("serviceAccountTokenAudience: a, requireServiceAccount: true"),
            "cacheType is missing: use ServiceAccount or Token",
        ),
        (
            tokens("serviceAccountTokenAudience: a, requireServiceAccount: true, cacheType: Pod"),
            "\"Pod\" is not known here: use ServiceAccount or Token",
        ),
        (
            tokens("serviceAccountTokenAudience: a, cacheType: Token, requireServiceAccount: 'true'"),
            "expected true or false",
        ),
        (
            tokens("serviceAccountTokenAudience: a, cacheType: Token, requireServiceAccount: 1"),
            "expected true or false",
        ),
        (
            tokens(&format!("{good}, requiredServiceAccountAnnotationKeys: [a]")),
            "requiredServiceAccountAnnotationKeys needs requireServiceAccount: true",
        ),
        (tokens(&format!("{keys}: [a, a]")), "annotation key \"a\" is listed twice"),
        (
            tokens(&format!("{keys}: [a], optionalServiceAccountAnnotationKeys: [a]")),
            "annotation key \"a\" is listed twice",
        ),
        (tokens(&format!("{keys}: ['-a']")), "\"-a\" is not the key of an annotation"),
        (tokens(&format!("{keys}: ['a/b/c']")), "\"a/b/c\" is not the key of an annotation"),
        (tokens(&format!("{keys}: ['/b']")), "\"/b\" is not the key of an annotation"),
        (tokens(&format!("{keys}: ['a..b/c']")), "\"a..b/c\" is not the key of an annotation"),
        (tokens(&format!("{keys}: ['']")), "\"\" is not the key of an annotation"),
        (tokens(&format!("{keys}: ['{}']", "a".repeat(64))), "is not the key of an annotation"),
        (
            tokens(good).replace("kubelet.k8s.io/v1\n", "kubelet.k8s.io/v1beta1\n"),
            "tokenAttributes needs apiVersion credentialprovider.kubelet.k8s.io/v1",
        ),
        (
            tokens(good).replace("config.k8s.io/v1\n", "config.k8s.io/v1beta1\n"),
            "tokenAttributes exists in kubelet.config.k8s.io/v1 only",
        ),
    ];
    for (text, expected) in table {
        let error = read(&text).map(|_| text.clone()).unwrap_err();
        assert!(error.contains(expected), "{text}\n{error}");
    }
}

#[test]
fn arguments_and_environment_are_not_shown() {
    let text = config(&format!("{PROVIDER}    args: [hunter2]\n    env: [{{name: A, value: hunter2}}]\n"));
    assert!(!format!("{:?}", read(&text).unwrap()).contains("hunter2"));
}
