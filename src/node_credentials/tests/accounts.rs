//! Plugins that want `ServiceAccount` tokens: off, on, and what they are given.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::*;
use crate::cluster::{ReadFuture, Reading};

const DEPLOYER: Account<'_> = Account { namespace: "shop", name: "deployer" };
const KEEP: &str = "printf %s \"$(cat)\" >$HERE/request; echo x >>$HERE/calls";

/// Knows one account; the token carries the number of the account's uid.
#[derive(Debug)]
struct Tokens {
    uid: Mutex<u32>,
    token: Reading<&'static str>,
}

impl AccountTokens for Tokens {
    fn account<'a>(&'a self, _: &'a str, name: &'a str, _: Option<Timestamp>) -> ReadFuture<'a, AccountFacts> {
        let uid = self.uid.lock().unwrap().to_string();
        let annotations =
            BTreeMap::from([("role".to_owned(), "puller".to_owned()), ("other".to_owned(), "1".to_owned())]);
        let reading = match name {
            "deployer" => Reading::Found(AccountFacts { uid, annotations }),
            "hidden" => Reading::Forbidden,
            _ => Reading::Absent,
        };
        Box::pin(async { reading })
    }

    fn token<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        uid: &'a str,
        audience: &'a str,
    ) -> ReadFuture<'a, SecretString> {
        Box::pin(async move {
            match &self.token {
                Reading::Found(token) => Reading::Found(format!("{token}/{namespace}/{name}/{uid}/{audience}").into()),
                Reading::Absent => Reading::Absent,
                Reading::Forbidden => Reading::Forbidden,
                Reading::Unauthenticated => Reading::Unauthenticated,
                Reading::NoCluster => Reading::NoCluster,
                Reading::Unavailable(why) => Reading::Unavailable(why.clone()),
            }
        })
    }
}

fn staged(attributes: &str, script: &str, token: Reading<&'static str>) -> (Stage, Arc<Tokens>) {
    let mut stage = Stage::new();
    let more = format!(", tokenAttributes: {{serviceAccountTokenAudience: aud, {attributes}}}");
    stage.declared("plugin", "v1", &more, script);
    let tokens = Arc::new(Tokens { uid: Mutex::new(1), token });
    stage.tokens = Some(Arc::clone(&tokens) as Arc<dyn AccountTokens>);
    (stage, tokens)
}

async fn look_as(credentials: &NodeCredentials, account: Account<'_>) -> NodeLookup {
    credentials.candidates("reg.io/app", account, None, soon()).await
}

#[tokio::test]
async fn without_somebody_who_makes_tokens_the_plugin_is_not_called() {
    let script = format!("{KEEP}\n{}", logins(&[("reg.io", "u")]));
    let (mut stage, _) = staged("cacheType: ServiceAccount, requireServiceAccount: false", &script, Reading::Forbidden);
    stage.tokens = None;
    let credentials = stage.credentials();
    let lookup = look_as(&credentials, DEPLOYER).await;
    assert_eq!(lookup.broken, [Broken { part: Source::Plugin("plugin".into()), why: Unusable::TokensOff }]);
    assert_eq!(
        broken(&lookup),
        ["credential provider \"plugin\": it wants a ServiceAccount token, and pullgate is not allowed to make one"]
    );
    assert!(lookup.candidates.is_empty() && stage.calls() == 0 && stage.counted("plugin", "tokens_off", 1));
    assert_eq!(users(&look_as(&credentials, NOBODY).await), ["u"], "no account, no token");
    assert!(!fs::read_to_string(stage.dir.path().join("request")).unwrap().contains("serviceAccount"));
}

#[tokio::test]
async fn token_and_annotations_are_sent_and_answers_are_held_by_the_account() {
    let script = format!("{KEEP}\n{}", logins(&[("reg.io", "u")]));
    let attributes = "cacheType: ServiceAccount, requireServiceAccount: true, requiredServiceAccountAnnotationKeys: [role], optionalServiceAccountAnnotationKeys: [absent]";
    let (stage, tokens) = staged(attributes, &script, Reading::Found("t"));
    let credentials = stage.credentials();
    assert_eq!(users(&look_as(&credentials, DEPLOYER).await), ["u"]);
    let request: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(stage.dir.path().join("request")).unwrap()).unwrap();
    assert_eq!(request["serviceAccountToken"], "t/shop/deployer/1/aud");
    assert_eq!(request["serviceAccountAnnotations"], serde_json::json!({ "role": "puller" }));
    look_as(&credentials, DEPLOYER).await;
    assert_eq!(stage.calls(), 1);
    look_as(&credentials, Account { namespace: "other", ..DEPLOYER }).await;
    assert_eq!(stage.calls(), 2);
    *tokens.uid.lock().unwrap() = 2;
    look_as(&credentials, DEPLOYER).await;
    assert_eq!(stage.calls(), 3);
}

#[tokio::test]
async fn a_plugin_that_is_not_for_the_account_is_passed_over_and_nothing_is_broken() {
    for (attributes, account) in [
        ("cacheType: Token, requireServiceAccount: true", NOBODY),
        ("cacheType: Token, requireServiceAccount: true, requiredServiceAccountAnnotationKeys: [absent]", DEPLOYER),
    ] {
        let (stage, _) = staged(attributes, KEEP, Reading::Forbidden);
        let lookup = look_as(&stage.credentials(), account).await;
        assert!(lookup.candidates.is_empty() && lookup.broken.is_empty() && stage.calls() == 0, "{attributes}");
    }
}

#[tokio::test]
async fn an_account_or_token_that_cannot_be_had_is_broken() {
    let name = |name| Account { namespace: "shop", name };
    let table = [
        (name("none"), Reading::Found("t"), "ServiceAccount \"none\" is not there"),
        (name("hidden"), Reading::Found("t"), "pullgate may not have ServiceAccount \"hidden\""),
        (DEPLOYER, Reading::Forbidden, "pullgate may not have the token of ServiceAccount \"deployer\""),
        (
            DEPLOYER,
            Reading::Unavailable("no answer".to_owned()),
            "the token of ServiceAccount \"deployer\" could not be had: no answer",
        ),
    ];
    for cache in ["Token", "ServiceAccount"] {
        for (account, token, expected) in &table {
            let attributes = format!("cacheType: {cache}, requireServiceAccount: false");
            let (stage, _) = staged(&attributes, KEEP, token.clone());
            let lookup = look_as(&stage.credentials(), *account).await;
            assert_eq!(broken(&lookup), [format!("credential provider \"plugin\": {expected}")]);
            assert!(stage.calls() == 0 && stage.counted("plugin", "account", 1));
        }
    }
}

#[tokio::test]
async fn the_token_itself_is_an_answer_only_where_answers_are_held_by_token() {
    let script = logins(&[("reg.io", "u")]).replace("\"p\"", "\"t/shop/deployer/1/aud\"");
    for (cache, expected) in [("Token", true), ("ServiceAccount", false)] {
        let attributes = format!("cacheType: {cache}, requireServiceAccount: true");
        let (stage, _) = staged(&attributes, &script, Reading::Found("t"));
        let lookup = look_as(&stage.credentials(), DEPLOYER).await;
        assert_eq!(lookup.candidates.len(), usize::from(expected), "{cache}");
        let why: Vec<_> = lookup.broken.into_iter().map(|broken| broken.why).collect();
        assert_eq!(why, if expected { vec![] } else { vec![Unusable::TokenEchoed] });
        assert!(!format!("{why:?}").contains("deployer"));
    }
}
