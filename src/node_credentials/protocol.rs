//! The exec protocol of credential provider plugins: an image to the bytes of a request, the bytes of a response to
//! logins with a lifetime (kubernetes/kubernetes `staging/src/k8s.io/kubelet/pkg/apis/credentialprovider`,
//! `pkg/credentialprovider/plugin/plugin.go`).
//!
//! A response is decoded strictly: the version of the request, no unknown member, no member twice. What is wrong is
//! said without any of the response's text, which may be a password.

use std::collections::BTreeMap;
use std::fmt;

use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::declaration::Version;
use super::unusable::Unusable;
use crate::credentials::Credential;
use crate::go_duration;

/// What a response is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The repository that was asked for.
    Image,
    /// Every repository of its registry.
    Registry,
    /// Every repository that the plugin is for.
    Global,
}

/// A response that can be used.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) scope: Scope,
    /// `None`: as declared for the plugin. Zero: not to be held.
    pub(super) lifetime: Option<SignedDuration>,
    /// By name, in the order of the names.
    pub(super) logins: Vec<(String, Credential)>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestText<'a> {
    kind: &'static str,
    api_version: &'static str,
    image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account_token: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    service_account_annotations: &'a BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    api_version: Option<String>,
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResponseText {
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(rename = "apiVersion")]
    _api_version: String,
    cache_key_type: Option<String>,
    cache_duration: Option<DurationText>,
    auth: Option<AuthText>,
}

struct DurationText(SignedDuration);

struct AuthText(BTreeMap<String, Option<LoginText>>);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginText {
    username: Option<String>,
    password: Option<String>,
}

/// What a plugin reads: one line of JSON. `image` is the normalised name without tag and digest.
pub(super) fn request(
    version: Version,
    image: &str,
    token: Option<&SecretString>,
    annotations: &BTreeMap<String, String>,
) -> SecretSlice<u8> {
    let request = RequestText {
        kind: "CredentialProviderRequest",
        api_version: version.as_str(),
        image,
        service_account_token: token.map(ExposeSecret::expose_secret),
        service_account_annotations: annotations,
    };
    // Strings and a map of strings always serialize.
    let mut line = serde_json::to_vec(&request).unwrap_or_default();
    line.push(b'\n');
    SecretSlice::from(line)
}

/// Reads what a plugin wrote.
///
/// # Errors
/// The first thing that the kubelet would refuse.
pub(super) fn response(version: Version, text: &[u8]) -> Result<Response, Unusable> {
    let malformed = |error: serde_json::Error| Unusable::Malformed { line: error.line(), column: error.column() };
    let meta: Meta = serde_json::from_slice(text).map_err(malformed)?;
    if meta.api_version.as_deref() != Some(version.as_str()) {
        return Err(Unusable::OtherVersion(version.as_str()));
    }
    if meta.kind.as_deref() != Some("CredentialProviderResponse") {
        return Err(Unusable::OtherKind);
    }
    let ResponseText { cache_key_type, cache_duration, auth, .. } = serde_json::from_slice(text).map_err(malformed)?;
    let scope = match cache_key_type.as_deref() {
        Some("Image") => Scope::Image,
        Some("Registry") => Scope::Registry,
        Some("Global") => Scope::Global,
        _ => return Err(Unusable::CacheKeyType),
    };
    let logins = auth.map(|auth| auth.0).unwrap_or_default().into_iter().map(|(name, login)| {
        let LoginText { username, password } = login.unwrap_or_default();
        (name, Credential::new(username.unwrap_or_default(), password.unwrap_or_default()))
    });
    Ok(Response { scope, lifetime: cache_duration.map(|duration| duration.0), logins: logins.collect() })
}

// === impl Response ===

impl Response {
    /// Whether one of its passwords is this one.
    pub(super) fn has_password(&self, secret: &SecretString) -> bool {
        self.logins.iter().any(|(_, login)| login.has_password(secret))
    }
}

// === impl DurationText ===

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        go_duration::parse(&text).map(Self).ok_or_else(|| de::Error::custom("no duration"))
    }
}

// === impl AuthText ===

impl<'de> Deserialize<'de> for AuthText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Logins;

        impl<'de> Visitor<'de> for Logins {
            type Value = AuthText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of logins")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AuthText, A::Error> {
                let mut logins = BTreeMap::new();
                while let Some((name, login)) = map.next_entry::<String, Option<LoginText>>()? {
                    if logins.insert(name, login).is_some() {
                        return Err(de::Error::custom("the same name twice"));
                    }
                }
                Ok(AuthText(logins))
            }
        }

        deserializer.deserialize_map(Logins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_kubelet() {
        let none = BTreeMap::new();
        for version in [Version::V1, Version::V1beta1, Version::V1alpha1] {
            let expected = format!(
                "{{\"kind\":\"CredentialProviderRequest\",\"apiVersion\":\"{}\",\"image\":\"reg.io/a\"}}\n",
                version.as_str()
            );
            assert_eq!(request(version, "reg.io/a", None, &none).expose_secret(), expected.as_bytes());
        }
        let annotations = BTreeMap::from([("a.io/x".to_owned(), "1".to_owned())]);
        let token = SecretString::from("t");
        let line = request(Version::V1, "reg.io/a", Some(&token), &annotations);
        let line: serde_json::Value = serde_json::from_slice(line.expose_secret()).unwrap();
        assert_eq!(line["serviceAccountToken"], "t");
        assert_eq!(line["serviceAccountAnnotations"], serde_json::json!({ "a.io/x": "1" }));
    }

    fn answer(rest: &str) -> String {
        let head = r#""kind":"CredentialProviderResponse","apiVersion":"credentialprovider.kubelet.k8s.io/v1""#;
        format!("{{{head}{rest}}}")
    }

    #[test]
    fn responses_are_read_as_by_the_kubelet() {
        let seconds = |seconds| Some(SignedDuration::from_secs(seconds));
        let table = [
            (r#","cacheKeyType":"Image""#, Scope::Image, None, vec![]),
            (r#","cacheKeyType":"Registry","cacheDuration":null,"auth":null"#, Scope::Registry, None, vec![]),
            (r#","cacheKeyType":"Global","cacheDuration":"0s","auth":{}"#, Scope::Global, seconds(0), vec![]),
            (r#","cacheKeyType":"Image","cacheDuration":"-5s""#, Scope::Image, seconds(-5), vec![]),
            (
                r#","cacheKeyType":"Image","cacheDuration":"12h0m0s","auth":{"b.io":{"username":"u","password":"p"},"*.io":{}}"#,
                Scope::Image,
                seconds(43_200),
                vec![("*.io", "", ""), ("b.io", "u", "p")],
            ),
            (r#","cacheKeyType":"Image","auth":{"a.io":null}"#, Scope::Image, None, vec![("a.io", "", "")]),
            (
                r#","cacheKeyType":"Image","auth":{"a.io":{"username":null,"password":"p"}}"#,
                Scope::Image,
                None,
                vec![("a.io", "", "p")],
            ),
        ];
        for (rest, scope, lifetime, logins) in table {
            let response = response(Version::V1, answer(rest).as_bytes()).unwrap_or_else(|why| panic!("{rest}: {why}"));
            assert_eq!((response.scope, response.lifetime), (scope, lifetime), "{rest}");
            let shown: Vec<_> = response
                .logins
                .iter()
                .map(|(name, login)| {
                    let password = login.login().map_or_else(String::new, |l| l.password.expose_secret().to_owned());
                    (name.as_str(), login.username.as_str(), password)
                })
                .collect();
            let expected: Vec<_> = logins
                .into_iter()
                .map(|(name, username, password): (&str, &str, &str)| {
                    (name, username, if username.is_empty() { String::new() } else { password.to_owned() })
                })
                .collect();
            assert_eq!(shown, expected, "{rest}");
        }
    }

    #[test]
    fn what_the_kubelet_refuses_is_refused_without_a_word_of_it() {
        let other = "its answer does not have the apiVersion of the request, credentialprovider.kubelet.k8s.io/v1";
        let malformed = "its answer is not a CredentialProviderResponse (line";
        let table: [(String, &str); 17] = [
            (String::new(), malformed),
            ("hunter2".to_owned(), malformed),
            ("[]".to_owned(), malformed),
            ("null".to_owned(), malformed),
            ("{}".to_owned(), other),
            (answer("").replace("/v1", "/v1beta1"), other),
            (answer("").replace("/v1", "/hunter2"), other),
            (answer("").replace("Response", "Request"), "its answer is not of kind CredentialProviderResponse"),
            (answer(""), "its answer has no valid cacheKeyType: Image, Registry or Global"),
            (answer(r#","cacheKeyType":"image""#), "its answer has no valid cacheKeyType: Image, Registry or Global"),
            (answer(r#","cacheKeyType":"Image","hunter2":1"#), malformed),
            (answer(r#","cacheKeyType":"Image","cacheDuration":5"#), malformed),
            (answer(r#","cacheKeyType":"Image","cacheDuration":"hunter2""#), malformed),
            (answer(r#","cacheKeyType":"Image","auth":{"a.io":{"password":"hunter2","token":""}}"#), malformed),
            (answer(r#","cacheKeyType":"Image","auth":{"a.io":"hunter2"}"#), malformed),
            (answer(r#","cacheKeyType":"Image","auth":{"a.io":{},"a.io":{}}"#), malformed),
            (answer(r#","cacheKeyType":"Image""#) + "hunter2", malformed),
        ];
        for (text, expected) in table {
            let why = response(Version::V1, text.as_bytes()).map(|_| ()).unwrap_err().to_string();
            assert!(why.starts_with(expected) && !why.contains("hunter2"), "{text}: {why}");
        }
    }
}
