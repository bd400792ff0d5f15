//! What is read off logins of every kind, what is not, and when an end is near or past.

use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;
use crate::credentials::Credential;

/// The sample of a published ECR password: twelve hours after it was issued.
const END: i64 = 1_757_147_299;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn jwt(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(&json!({ "alg": "RS256" })), part(claims), URL_SAFE_NO_PAD.encode("signature"))
}

fn ecr(expiration: &Value) -> String {
    let blob = json!({ "payload": "x", "datakey": "y", "version": "2", "type": "DATA_KEY", "expiration": expiration });
    STANDARD.encode(blob.to_string())
}

fn kind_and_end(user: &str, password: &str) -> Option<(TokenKind, i64)> {
    read(user, password).map(|expiry| (expiry.kind, expiry.at.as_second()))
}

#[test]
fn every_kind_of_login_that_names_its_end_is_read() {
    let exp = json!({ "exp": END });
    let account = json!({ "exp": END, "sub": "system:serviceaccount:team-a:default" });
    let unpadded = STANDARD_NO_PAD.encode(json!({ "expiration": END }).to_string());
    for (user, password, expected) in [
        ("AWS", ecr(&json!(END)), TokenKind::Ecr),
        ("AWS", ecr(&json!(END)) + "\n", TokenKind::Ecr),
        ("AWS", unpadded, TokenKind::Ecr),
        (ACR_USER, jwt(&exp), TokenKind::Acr),
        ("team+puller", jwt(&exp), TokenKind::QuayRobot),
        ("puller", STANDARD.encode(format!("reftkn:01:{END}:s0m3th1ng")), TokenKind::Artifactory),
        ("x", jwt(&account), TokenKind::ServiceAccount),
        ("team+puller", jwt(&account), TokenKind::ServiceAccount),
        ("iambearer", jwt(&exp), TokenKind::Jwt),
        ("x", jwt(&json!({ "exp": 1_757_147_299.75 })), TokenKind::Jwt),
    ] {
        assert_eq!(kind_and_end(user, &password), Some((expected, END)), "{user} {expected:?}");
    }
}

#[test]
fn what_does_not_name_a_sane_end_is_not_read() {
    let reference = |end: &str| STANDARD.encode(format!("reftkn:01:{end}:x"));
    for password in [
        String::new(),
        "hunter2".to_owned(),
        "dckr_pat_x".to_owned(),
        "a.b.c".to_owned(),
        ecr(&json!("1757147299")),
        ecr(&json!(null)),
        ecr(&json!(0)),
        ecr(&json!(-1)),
        ecr(&json!(1e300)),
        ecr(&json!(END * 1000)),
        STANDARD.encode("[1757147299]"),
        jwt(&json!({})),
        jwt(&json!({ "exp": "1757147299" })),
        jwt(&json!({ "exp": i64::MAX })),
        jwt(&json!([END])),
        format!("{}.x", jwt(&json!({ "exp": END }))),
        reference("0000000000"),
        reference("99999999999999999999"),
        reference("-1757147299"),
        STANDARD.encode("reftkn:01"),
        STANDARD.encode([0xff; 64]),
        // Deep, and long.
        URL_SAFE_NO_PAD.encode("a") + "." + &URL_SAFE_NO_PAD.encode("[".repeat(5000)) + ".c",
        ecr(&json!(END)) + &"=".repeat(MAX_PASSWORD),
    ] {
        assert_eq!(read("AWS", &password), None, "{password:.80}");
    }
    let long = jwt(&json!({ "exp": END, "pad": "x".repeat(MAX_PASSWORD) }));
    assert_eq!(read("x", &long), None);
}

#[test]
fn only_an_acr_token_names_its_registry_and_only_as_a_host() {
    let read = |user: &str, aud: Value| read(user, &jwt(&json!({ "exp": END, "aud": aud }))).unwrap();
    let named = |aud: Value| read(ACR_USER, aud).audience;
    assert_eq!(named(json!("Corp.azurecr.io")).as_deref(), Some("corp.azurecr.io"));
    assert_eq!(named(json!(["corp.azurecr.io"])).as_deref(), Some("corp.azurecr.io"));
    assert_eq!(named(json!("https://corp.azurecr.io/")).as_deref(), Some("corp.azurecr.io"));
    for strange in [json!(null), json!(7), json!(["a", "b"]), json!(""), json!("a b"), json!("a\u{202e}b")] {
        assert_eq!(named(strange.clone()), None, "{strange}");
    }
    assert_eq!(named(json!("a".repeat(300))), None);
    assert_eq!(read("x", json!("https://kubernetes.default.svc")).audience, None);
    let token = read(ACR_USER, json!("corp.azurecr.io"));
    assert_eq!(token.for_another("corp.azurecr.io"), None);
    assert_eq!(token.for_another("CORP.azurecr.io"), None);
    assert_eq!(token.for_another("other.azurecr.io"), Some("corp.azurecr.io"));
}

#[test]
fn an_end_is_past_only_beyond_the_difference_of_clocks_and_near_within_the_hour_or_a_quarter() {
    let hours = |count: i64| count * 3600;
    let token = |lifetime: Option<i64>| Expiry {
        at: at(END),
        issued: lifetime.map(|lifetime| at(END - lifetime)),
        kind: TokenKind::Jwt,
        audience: None,
    };
    // Seconds after the end → seconds that it has been over, and that it lasts yet while that is little.
    for (lifetime, after, over, soon) in [
        (None, -hours(2), None, None),
        (None, -hours(1), None, None),
        (None, -hours(1) + 1, None, Some(3599)),
        (Some(hours(12)), -hours(1) + 1, None, Some(3599)),
        (Some(hours(12)), -hours(2), None, None),
        (Some(hours(1)), -900, None, None),
        (Some(hours(1)), -899, None, Some(899)),
        (Some(-5), -hours(1) + 1, None, Some(3599)),
        (None, 0, None, Some(0)),
        (None, 120, None, Some(0)),
        (None, 121, Some(121), None),
        (Some(hours(1)), hours(3), Some(hours(3)), None),
    ] {
        let (token, now) = (token(lifetime), at(END + after));
        let seconds = |span: Option<Duration>| span.map(|span| i64::try_from(span.as_secs()).unwrap());
        assert_eq!((seconds(token.over(now)), seconds(token.ends_soon(now))), (over, soon), "{lifetime:?} {after}");
        assert_eq!(token.left(now).is_none(), over.is_some(), "{lifetime:?} {after}");
    }
}

#[test]
fn a_credential_that_no_node_would_send_has_no_end_and_none_is_printed() {
    let password = ecr(&json!(END));
    assert!(Credential::new("", &*password).expiry().is_none());
    let credential = Credential::new("AWS", &*password);
    assert_eq!(credential.expiry().map(|expiry| expiry.at), Some(at(END)));
    let shown = format!("{credential:?} {:?}", credential.expiry());
    assert!(!shown.contains(&password) && !shown.contains("datakey"), "{shown}");
}
