//! A content digest, `algorithm:hex`, in the only form that the kubelet accepts (opencontainers/go-digest v1.0.0).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A valid digest: a supported algorithm and lower-case hexadecimal digits of exactly its length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    text: Arc<str>,
    algorithm: Algorithm,
}

/// The algorithms that a kubelet links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `sha256`, 64 hexadecimal digits.
    Sha256,
    /// `sha384`, 96 hexadecimal digits.
    Sha384,
    /// `sha512`, 128 hexadecimal digits.
    Sha512,
}

/// Why a digest is not valid, in the words of go-digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Neither `sha256` nor `sha384` nor `sha512`.
    #[error("unsupported digest algorithm")]
    Unsupported,
    /// Too short or too long for its algorithm.
    #[error("invalid checksum digest length")]
    Length,
    /// Not `algorithm:hex`, or upper case.
    #[error("invalid checksum digest format")]
    Format,
}

// === impl Digest ===

impl Digest {
    /// `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The part after the colon.
    pub fn hex(&self) -> &str {
        self.text.get(self.algorithm.as_str().len() + 1..).unwrap_or_default()
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, encoded) = text.split_once(':').ok_or(DigestError::Format)?;
        if algorithm.is_empty() || encoded.is_empty() {
            return Err(DigestError::Format);
        }
        let Some(algorithm) = Algorithm::from_name(algorithm) else {
            return Err(if is_well_formed(algorithm, encoded) {
                DigestError::Unsupported
            } else {
                DigestError::Format
            });
        };
        if encoded.len() != algorithm.hex_len() {
            return Err(DigestError::Length);
        }
        if !encoded.bytes().all(|b| matches!(b, b'a'..=b'f' | b'0'..=b'9')) {
            return Err(DigestError::Format);
        }
        Ok(Self { text: text.into(), algorithm })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

// === impl Algorithm ===

impl Algorithm {
    /// The word before the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hexadecimal digits follow the colon.
    pub fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha384, Self::Sha512].into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// The wider form that go-digest knows: it only decides which of two errors is shown.
fn is_well_formed(algorithm: &str, encoded: &str) -> bool {
    let component = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    algorithm.split(['.', '+', '_', '-']).all(component)
        && encoded.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_checked_as_go_digest_checks_them() {
        let hex = |digit: &str, count: usize| digit.repeat(count);
        let table = [
            (format!("sha256:{}", hex("a", 64)), Ok(Algorithm::Sha256)),
            (format!("sha384:{}", hex("0", 96)), Ok(Algorithm::Sha384)),
            (format!("sha512:{}", hex("f", 128)), Ok(Algorithm::Sha512)),
            (format!("sha256:{}", hex("a", 63)), Err(DigestError::Length)),
            (format!("sha512:{}", hex("a", 64)), Err(DigestError::Length)),
            (format!("sha256:{}", hex("A", 64)), Err(DigestError::Format)),
            (format!("sha256:{}", hex("g", 64)), Err(DigestError::Format)),
            (format!("sha1:{}", hex("a", 40)), Err(DigestError::Unsupported)),
            (format!("md5:{}", hex("a", 32)), Err(DigestError::Unsupported)),
            (format!("SHA256:{}", hex("a", 64)), Err(DigestError::Format)),
            ("sha256:".to_owned(), Err(DigestError::Format)),
            (":abc".to_owned(), Err(DigestError::Format)),
            ("sha256".to_owned(), Err(DigestError::Format)),
            (String::new(), Err(DigestError::Format)),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Digest>().map(|digest| digest.algorithm()), expected, "{text}");
        }
    }

    #[test]
    fn digests_are_strings_in_json() {
        let text = format!("sha256:{}", "0a".repeat(32));
        let digest: Digest = text.parse().unwrap();
        assert_eq!(digest.hex(), "0a".repeat(32));
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("\"sha256:1\"").is_err());
    }
}
