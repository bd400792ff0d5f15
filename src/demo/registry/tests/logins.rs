//! Each kind of login, on the wire.

use super::*;

const MANIFEST: &str = "/v2/a/manifests/v1";
/// `ann:secret` and `ann:wrong`.
const ANN: &str = "Basic YW5uOnNlY3JldA==";
const WRONG: &str = "Basic YW5uOndyb25n";

/// A registry with the public repository `open` and the repository `a`, which only `ann` may pull.
async fn registry(login: Login, access: Access) -> Registry {
    let registry = https(|spec| spec.login(login).access(access)).await;
    registry.push("open", "v1");
    registry.push("a", "v1");
    registry.private("a", &["ann"]);
    registry.set_password("ann", "secret");
    registry.set_password("bob", "secret");
    registry
}

fn bearer(change: impl FnOnce(&mut Bearer)) -> Login {
    let mut bearer = Bearer::default();
    change(&mut bearer);
    Login::Bearer(bearer)
}

fn scope(repository: &str) -> String {
    format!("/token?service=pullgate-demo&scope=repository:{repository}:pull")
}

/// A token for `repository`, as `Authorization`.
async fn token(registry: &Registry, repository: &str, login: Option<&str>) -> String {
    let mut request = client(registry).get(url(registry, &scope(repository)));
    if let Some(login) = login {
        request = request.header("Authorization", login);
    }
    let answer = json(request.send().await.unwrap()).await;
    format!("Bearer {}", answer["token"].as_str().unwrap())
}

fn challenges(response: &Response) -> Vec<&str> {
    response.headers().get_all("www-authenticate").iter().map(|line| line.to_str().unwrap()).collect()
}

/// The realm of the challenge under `realm`, with the registry's port written `PORT`.
async fn realm(realm: Realm) -> String {
    let registry = registry(bearer(|bearer| bearer.realm = realm), Access::default()).await;
    let response = get(&registry, MANIFEST).await;
    let line = challenges(&response)[0].split('"').nth(1).unwrap().to_owned();
    line.replace(&registry.host().replace("127.0.0.1:", ""), "PORT")
}

#[tokio::test]
async fn basic_asks_and_takes_a_password() {
    let registry = registry(Login::Basic, Access::default()).await;
    let asked = get(&registry, MANIFEST).await;
    assert_eq!((asked.status().as_u16(), challenges(&asked)), (401, vec!["Basic realm=\"pullgate demo registry\""]));
    assert_eq!(get_with(&registry, MANIFEST, ANN).await.status(), 200);
    assert_eq!(get_with(&registry, MANIFEST, WRONG).await.status(), 401);
    assert_eq!(get(&registry, "/v2/").await.status(), 401);
    assert_eq!(get_with(&registry, "/v2/", ANN).await.status(), 200);
    registry.expire_login("ann");
    let expired = get_with(&registry, MANIFEST, ANN).await;
    assert!(expired.text().await.unwrap().contains("authorization token has expired"));
    registry.remove_user("ann");
    assert_eq!(get_with(&registry, MANIFEST, ANN).await.status(), 401);
}

#[tokio::test]
async fn basic_without_access_is_unauthorized_or_denied_and_open_needs_no_login() {
    let bob = "Basic Ym9iOnNlY3JldA==";
    let registry = registry(Login::Basic, Access { open: true, ..Access::default() }).await;
    assert_eq!(get_with(&registry, MANIFEST, bob).await.status(), 401);
    assert_eq!(get(&registry, "/v2/open/manifests/v1").await.status(), 200);
    assert_eq!(get(&registry, MANIFEST).await.status(), 401);
    registry.set_access(Access { no_access: NoAccess::Forbidden, ..Access::default() });
    assert_eq!(code(get_with(&registry, MANIFEST, bob).await).await, (403, "DENIED".into()));
}

#[tokio::test]
async fn bearer_goes_from_challenge_to_token_to_manifest() {
    let registry = registry(Login::bearer(), Access::default()).await;
    let asked = get(&registry, MANIFEST).await;
    let expected = format!(
        "Bearer realm=\"https://{}/token\",service=\"pullgate-demo\",scope=\"repository:a:pull\"",
        registry.host()
    );
    assert_eq!(challenges(&asked), [expected]);
    let ann = token(&registry, "a", Some(ANN)).await;
    assert_eq!(get_with(&registry, MANIFEST, &ann).await.status(), 200);
    assert_eq!(get_with(&registry, "/v2/open/manifests/v1", &ann).await.status(), 401);
    let nobody = token(&registry, "open", None).await;
    assert_eq!(get_with(&registry, "/v2/open/manifests/v1", &nobody).await.status(), 200);
    let log = registry.requests();
    let seen: Vec<_> =
        log.iter().map(|r| (r.kind, r.status, r.sent_login, r.authorised, r.as_user.as_deref())).collect();
    assert_eq!(
        seen[..4],
        [
            (Kind::Manifest, Some(401), false, false, None),
            (Kind::Token, Some(200), true, true, Some("ann")),
            (Kind::Manifest, Some(200), true, true, Some("ann")),
            (Kind::Manifest, Some(401), true, true, Some("ann")),
        ]
    );
    assert_eq!((log[1].scopes[0].as_str(), log[1].path.as_str()), ("repository:a:pull", "/token"));
    assert!(!format!("{log:?}").contains("c2VjcmV0"));
    registry.clear_log();
    assert!(registry.requests().is_empty());
}

#[tokio::test]
async fn a_login_without_access_gets_an_empty_token_or_none() {
    let insufficient = |response: &Response| challenges(response)[0].ends_with("error=\"insufficient_scope\"");
    let registry = registry(Login::bearer(), Access::default()).await;
    let nobody = token(&registry, "a", None).await;
    assert!(insufficient(&get_with(&registry, MANIFEST, &nobody).await));
    let missing = token(&registry, "none", None).await;
    assert_eq!(code(get_with(&registry, "/v2/none/manifests/v1", &missing).await).await, (404, "NAME_UNKNOWN".into()));

    registry.set_access(Access { hide_existence: true, ..Access::default() });
    let missing = token(&registry, "none", None).await;
    assert!(insufficient(&get_with(&registry, "/v2/none/manifests/v1", &missing).await));

    registry.set_access(Access { no_access: NoAccess::Forbidden, ..Access::default() });
    assert_eq!(code(get_with(&registry, MANIFEST, &nobody).await).await, (403, "DENIED".into()));

    let refused = Access { no_access: NoAccess::TokenRefused(403), hide_existence: true, ..Access::default() };
    registry.set_access(refused);
    for repository in ["a", "none"] {
        assert_eq!(code(get(&registry, &scope(repository)).await).await, (403, "DENIED".into()));
    }
    assert_eq!(get(&registry, &scope("open")).await.status(), 200);
}

#[tokio::test]
async fn a_wrong_password_is_refused_or_forgotten() {
    let registry = registry(Login::bearer(), Access::default()).await;
    let refused = get_with(&registry, &scope("open"), WRONG).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(json(refused).await["details"], "incorrect username or password");
    assert!(!registry.requests()[0].authorised);
    registry.set_login(bearer(|bearer| bearer.wrong_password = WrongPassword::Anonymous));
    let nobody = token(&registry, "open", Some(WRONG)).await;
    assert_eq!(get_with(&registry, "/v2/open/manifests/v1", &nobody).await.status(), 200);
}

#[tokio::test]
async fn a_form_brings_a_password_or_an_identity_token() {
    let registry = registry(Login::bearer(), Access::default()).await;
    registry.set_identity_token("ann", "id+token");
    let post = async |body: &str| {
        let request = client(&registry).post(url(&registry, "/token")).body(body.to_owned());
        request.header("Content-Type", "application/x-www-form-urlencoded").send().await.unwrap()
    };
    let scope = "scope=repository%3Aa%3Apull+repository%3Aopen%3Apull";
    for login in
        ["grant_type=password&username=ann&password=secret", "grant_type=refresh_token&refresh_token=id%2Btoken"]
    {
        let answer = json(post(&format!("{login}&{scope}")).await).await;
        let token = format!("Bearer {}", answer["access_token"].as_str().unwrap());
        assert_eq!(get_with(&registry, MANIFEST, &token).await.status(), 200, "{login}");
    }
    assert_eq!(post("grant_type=password&username=ann&password=no").await.status(), 401);
    for status in [400, 401, 404, 405] {
        registry.set_login(bearer(|bearer| bearer.refuse_post = Some(status)));
        assert_eq!(post("grant_type=password&username=ann&password=secret").await.status(), status);
        assert!(token(&registry, "a", Some(ANN)).await.len() > 20);
    }
}

#[tokio::test]
async fn the_token_answer_has_the_fields_that_were_asked_for() {
    let registry = registry(Login::bearer(), Access::default()).await;
    for (fields, token, access_token) in [
        (TokenFields::Both, true, true),
        (TokenFields::Token, true, false),
        (TokenFields::AccessToken, false, true),
        (TokenFields::Neither, false, false),
    ] {
        registry.set_login(bearer(|bearer| (bearer.fields, bearer.expires_in) = (fields, None)));
        let answer = json(get(&registry, &scope("open")).await).await;
        let has = |field: &str| answer.get(field).is_some();
        assert_eq!((has("token"), has("access_token"), has("expires_in")), (token, access_token, false), "{fields:?}");
    }
    registry.set_login(bearer(|bearer| bearer.expires_in = Some(7)));
    assert_eq!(json(get(&registry, &scope("open")).await).await["expires_in"], 7);
}

#[tokio::test]
async fn a_token_that_ended_is_an_invalid_token() {
    let registry =
        registry(bearer(|bearer| bearer.lifetime = Some(Duration::from_millis(50))), Access::default()).await;
    let invalid = |response: &Response| challenges(response)[0].ends_with("error=\"invalid_token\"");
    let short = token(&registry, "open", None).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(invalid(&get_with(&registry, "/v2/open/manifests/v1", &short).await));
    let brought = format!("Bearer {}", registry.issue_token("ann", "a").expose_secret());
    assert_eq!(get_with(&registry, MANIFEST, &brought).await.status(), 200);
    registry.revoke_tokens();
    assert!(invalid(&get_with(&registry, MANIFEST, &brought).await));
}

#[tokio::test]
async fn realms_point_where_they_are_told() {
    assert_eq!(realm(Realm::SamePort).await, "https://127.0.0.1:PORT/token");
    assert_eq!(realm(Realm::Relative).await, "/token");
    assert_eq!(realm(Realm::Http).await, "http://127.0.0.1:PORT/token");
    assert_eq!(realm(Realm::DoubledPort).await, "https://127.0.0.1:PORT:PORT/token");
    assert_eq!(realm(Realm::Url("https://elsewhere.invalid/t".into())).await, "https://elsewhere.invalid/t");
}

#[tokio::test]
async fn a_token_service_can_have_its_own_port() {
    let registry = registry(bearer(|bearer| bearer.realm = Realm::OwnPort), Access::default()).await;
    let service = registry.token_host().unwrap();
    assert_ne!(service, registry.host());
    let asked = get(&registry, MANIFEST).await;
    assert!(challenges(&asked)[0].contains(&format!("realm=\"https://{service}/token\"")));
    let answer = client(&registry).get(format!("https://{service}{}", scope("open"))).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn challenges_take_every_form() {
    let registry = registry(Login::bearer(), Access::default()).await;
    for (form, manifest, ping) in [
        (ChallengeForm::One, vec!["Bearer"], 1),
        (ChallengeForm::Capitals, vec!["BEARER"], 1),
        (ChallengeForm::Joined, vec!["Bearer Basic"], 1),
        (ChallengeForm::TwoLines, vec!["Bearer", "Basic"], 2),
        (ChallengeForm::Absent, vec![], 0),
        (ChallengeForm::PingOnly, vec![], 1),
    ] {
        registry.set_access(Access { challenge: form, ..Access::default() });
        let asked = get(&registry, MANIFEST).await;
        let words = |line: &str| {
            let schemes = line.split([' ', ',']).filter(|word| !word.contains('=') && !word.is_empty());
            schemes.collect::<Vec<_>>().join(" ")
        };
        let seen: Vec<_> = challenges(&asked).into_iter().map(words).collect();
        assert_eq!(
            (asked.status().as_u16(), seen),
            (401, manifest.into_iter().map(str::to_owned).collect()),
            "{form:?}"
        );
        assert_eq!(challenges(&get(&registry, "/v2/").await).len(), ping, "{form:?}");
    }
    registry.set_access(Access { challenge: ChallengeForm::Joined, ..Access::default() });
    assert_eq!(get_with(&registry, MANIFEST, ANN).await.status(), 200);
    registry.set_login(Login::Basic);
    assert_eq!(challenges(&get(&registry, MANIFEST).await), ["Negotiate, Basic realm=\"pullgate demo registry\""]);
}

#[tokio::test]
async fn one_registrys_token_is_no_good_at_another() {
    let (here, there) =
        (registry(Login::bearer(), Access::default()).await, registry(Login::bearer(), Access::default()).await);
    let token = token(&here, "open", None).await;
    assert_eq!(get_with(&there, "/v2/open/manifests/v1", &token).await.status(), 401);
}
