//! A user name and a password → when the login ends, where its own text says so: ECR, ACR, Artifactory and any JWT.
//!
//! Nothing is verified: whoever wrote the Secret wrote these values too. So sizes are bounded, times outside of any sane
//! range are no times, and an audience that is no host name is none. A time that is past explains a refusal; it never
//! keeps a login from being tried, for clocks differ, and some registries do not ask whom they need not know.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::time::since;

/// How far clocks may be apart before a login counts as expired.
pub const SKEW: Duration = Duration::from_mins(2);

/// A login that ends within this is worth a word: what renews them (a `CronJob` every 6 to 12 hours for ECR) is late.
pub const SOON: Duration = Duration::from_hours(1);

/// Or within this share of its lifetime, where that is known and shorter: a token of an hour is not always ending.
const SOON_SHARE: u32 = 4;

/// A password beyond this many bytes is not looked into. ECR's have two KiB, tokens with many claims ten.
const MAX_PASSWORD: usize = 16 * 1024;

/// Seconds that may be a time: 2015, before which no token of these kinds was made, to 2100.
const SANE: std::ops::RangeInclusive<i64> = 1_420_070_400..=4_102_444_800;

/// What an audience may have in characters: a host name and a port.
const MAX_AUDIENCE: usize = 253;

/// The user of an ACR refresh token (Azure/acr `docs/AAD-OAuth.md`).
const ACR_USER: &str = "00000000-0000-0000-0000-000000000000";

/// When a login ends, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The end.
    pub at: Timestamp,
    /// The beginning, where that is said too.
    pub issued: Option<Timestamp>,
    /// What says so.
    pub kind: TokenKind,
    /// The registry that it is for, where the kind names one: a host name.
    pub audience: Option<String>,
}

/// The kinds of password that carry their own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenKind {
    /// Amazon ECR, private and public: base64 of JSON with `expiration`; twelve hours.
    Ecr,
    /// Azure Container Registry: a JWT for the user of zeros.
    Acr,
    /// A federated robot of Quay: a JWT for `namespace+robot`; an hour.
    QuayRobot,
    /// Artifactory's reference token: base64 of `reftkn:01:<seconds>:…`.
    Artifactory,
    /// Kubernetes: a JWT with a subject `system:serviceaccount:…`.
    ServiceAccount,
    /// Any other JWT with `exp`.
    Jwt,
}

#[derive(Deserialize)]
struct EcrBlob {
    expiration: f64,
}

#[derive(Deserialize)]
struct Claims {
    exp: f64,
    iat: Option<Value>,
    sub: Option<Value>,
    aud: Option<Value>,
}

/// Reads the end of a login off its parts, or `None` where they do not say.
pub(super) fn read(username: &str, password: &str) -> Option<Expiry> {
    let password = password.trim();
    if password.is_empty() || password.len() > MAX_PASSWORD {
        return None;
    }
    if let Some(claims) = claims(password) {
        return from_claims(username, &claims);
    }
    let decoded = engine(&alphabet::STANDARD).decode(password).ok()?;
    if let Some(blob) = object::<EcrBlob>(&decoded) {
        return Some(Expiry { at: time(blob.expiration)?, issued: None, kind: TokenKind::Ecr, audience: None });
    }
    let mut fields = std::str::from_utf8(&decoded).ok()?.strip_prefix("reftkn:")?.split(':');
    let seconds: u32 = fields.nth(1)?.parse().ok()?;
    Some(Expiry { at: time(seconds.into())?, issued: None, kind: TokenKind::Artifactory, audience: None })
}

fn from_claims(username: &str, claims: &Claims) -> Option<Expiry> {
    let subject = claims.sub.as_ref().and_then(Value::as_str).unwrap_or_default();
    let kind = if username == ACR_USER {
        TokenKind::Acr
    } else if subject.starts_with("system:serviceaccount:") {
        TokenKind::ServiceAccount
    } else if username.contains('+') {
        TokenKind::QuayRobot
    } else {
        TokenKind::Jwt
    };
    Some(Expiry {
        at: time(claims.exp)?,
        issued: claims.iat.as_ref().and_then(Value::as_f64).and_then(time),
        kind,
        // What others put there is no registry: a token of a cluster is for its API server.
        audience: claims.aud.as_ref().filter(|_| kind == TokenKind::Acr).and_then(audience),
    })
}

/// The claims of a JWT with a numeric `exp`; the signature is not looked at.
fn claims(password: &str) -> Option<Claims> {
    let mut segments = password.split('.');
    let (Some(_), Some(claims), Some(_), None) = (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return None;
    };
    object(&engine(&alphabet::URL_SAFE).decode(claims).ok()?)
}

/// A JSON object; a list would be taken for the members of one in their order.
fn object<T: serde::de::DeserializeOwned>(text: &[u8]) -> Option<T> {
    text.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(text).ok()).flatten()
}

/// A host name, from one or from the only one in a list.
fn audience(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text,
        Value::Array(several) => match several.as_slice() {
            [Value::String(only)] => only,
            _ => return None,
        },
        _ => return None,
    };
    let host = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
    let sane = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    let named = !host.is_empty() && host.len() <= MAX_AUDIENCE && host.chars().all(sane);
    named.then(|| host.to_ascii_lowercase())
}

/// Seconds since 1970, where they can be a time.
fn time(seconds: f64) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "out of range is cut to the range of i64, which is not sane")]
    let seconds = seconds as i64;
    SANE.contains(&seconds).then(|| Timestamp::from_second(seconds).ok()).flatten()
}

/// Any padding, any bits left over: what a registry takes is for it to say.
fn engine(alphabet: &base64::alphabet::Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config)
}

// === impl Expiry ===

impl Expiry {
    /// How long it has been over, if that is more than clocks may differ.
    pub fn over(&self, now: Timestamp) -> Option<Duration> {
        Some(since(self.at, now)).filter(|past| *past > SKEW)
    }

    /// How long it lasts yet, nothing left included; `None` once it is [`over`](Self::over). What is learnt with a login
    /// is not good for longer; with one that is over, the registry has shown that it does not look at its end.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        self.over(now).is_none().then(|| since(now, self.at))
    }

    /// How long it lasts yet, if that is little: an hour, or a quarter of its lifetime where that is less.
    pub fn ends_soon(&self, now: Timestamp) -> Option<Duration> {
        let lifetime = self.issued.map(|issued| since(issued, self.at)).filter(|lifetime| !lifetime.is_zero());
        let soon = lifetime.map_or(SOON, |lifetime| (lifetime / SOON_SHARE).min(SOON));
        self.left(now).filter(|left| *left < soon)
    }

    /// The registry that it is for, where that is not `host`.
    pub fn for_another(&self, host: &str) -> Option<&str> {
        self.audience.as_deref().filter(|audience| !audience.eq_ignore_ascii_case(host))
    }
}

// === impl TokenKind ===

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Ecr, Self::Acr, Self::QuayRobot, Self::Artifactory, Self::ServiceAccount, Self::Jwt];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ecr => "ecr",
            Self::Acr => "acr",
            Self::QuayRobot => "quay",
            Self::Artifactory => "artifactory",
            Self::ServiceAccount => "serviceaccount",
            Self::Jwt => "jwt",
        }
    }

    /// In a sentence, after "the".
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Ecr => "ECR token",
            Self::Acr => "ACR token",
            Self::QuayRobot => "Quay robot token",
            Self::Artifactory => "Artifactory token",
            Self::ServiceAccount => "ServiceAccount token",
            Self::Jwt => "token",
        }
    }
}

#[cfg(test)]
mod tests;
