//! The certificates and the token key of one run: an authority's name in, PEM, DER and JSON web keys out. Nothing is
//! kept from one run to the next and no key is ever committed.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData as _, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use crate::Failure;

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The root to trust.
    pub(crate) pem: String,
}

/// A certificate with its key, of a server or a client.
pub(crate) struct Leaf {
    certificate_pem: String,
    key: KeyPair,
    certificate: CertificateDer<'static>,
}

/// The key with which the token server signs.
pub(crate) struct TokenKey {
    /// For the token server, with the private part.
    pub(crate) private_jwk: Value,
    /// For the registry: the set of keys it trusts.
    pub(crate) jwks: Value,
}

// === impl Authority ===

impl Authority {
    pub(crate) fn new(name: &str) -> Result<Self, Failure> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// A certificate for these DNS names and addresses.
    pub(crate) fn issue(&self, names: &[&str]) -> Result<Leaf, Failure> {
        self.sign(&CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?)
    }

    /// A certificate that is marked as an authority's, for these DNS names and addresses.
    pub(crate) fn issue_authority(&self, names: &[&str]) -> Result<Leaf, Failure> {
        self.sign(&marked_as_authority(names)?)
    }

    /// An authority that nobody should believe any more: its time was over in 2021.
    pub(crate) fn ended(name: &str) -> Result<Self, Failure> {
        let mut params = marked_as_authority(&[])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// A client's certificate: the user and its group, if any, as an API server reads them.
    pub(crate) fn client(&self, user: &str, group: Option<&str>) -> Result<Leaf, Failure> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = DistinguishedName::new();
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.distinguished_name.push(DnType::CommonName, user);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Leaf, Failure> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf { certificate_pem: certificate.pem(), certificate: certificate.der().clone(), key })
    }
}

fn marked_as_authority(names: &[&str]) -> Result<CertificateParams, Failure> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(params)
}

// === impl Leaf ===

impl Leaf {
    /// A server's own certificate as `openssl req -x509` makes it: signed by itself, and marked as an authority.
    pub(crate) fn self_signed(names: &[&str]) -> Result<Self, Failure> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = marked_as_authority(names)?.self_signed(&key)?;
        Ok(Self { certificate_pem: certificate.pem(), certificate: certificate.der().clone(), key })
    }

    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone()]
    }

    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }
}

// === impl TokenKey ===

impl TokenKey {
    /// The v2 token server names its key by libtrust's id, while a v3 registry looks for RFC 7638 thumbprints: the
    /// registry is therefore given a key set in which the key carries the libtrust id.
    pub(crate) fn new() -> Result<Self, Failure> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let (x, y) = match pair.public_key_raw() {
            [4, point @ ..] if point.len() == 64 => point.split_at(32),
            _ => return Err("a P-256 public key is an uncompressed point of 65 bytes".into()),
        };
        let kid = libtrust_id(&pair.subject_public_key_info());
        let public = json!({
            "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        });
        let mut private_jwk = public.clone();
        private_jwk["d"] = json!(URL_SAFE_NO_PAD.encode(private_scalar(&pair.serialize_der())?));
        Ok(Self { private_jwk, jwks: json!({ "keys": [public] }) })
    }
}

/// The scalar inside PKCS #8: RFC 5915's `version 1, OCTET STRING of 32`.
fn private_scalar(pkcs8: &[u8]) -> Result<&[u8], Failure> {
    const BEFORE: [u8; 5] = [0x02, 0x01, 0x01, 0x04, 0x20];
    let at = pkcs8.windows(BEFORE.len()).position(|window| window == BEFORE);
    let start = at.ok_or("a P-256 key in PKCS #8 holds a 32-byte scalar")? + BEFORE.len();
    pkcs8.get(start..start + 32).ok_or_else(|| "the scalar of the key is cut short".into())
}

/// Base32 of the first 30 bytes of SHA-256 over the public key, in groups of four (docker/libtrust `util.go`).
fn libtrust_id(spki: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = digest(&SHA256, spki);
    let mut id = String::new();
    for (group, five) in hash.as_ref()[..30].chunks(5).enumerate() {
        let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for place in 0..8 {
            if place % 4 == 0 && (group, place) != (0, 0) {
                id.push(':');
            }
            let index = bits >> (35 - 5 * place) & 31;
            id.push(char::from(ALPHABET[usize::try_from(index).unwrap_or(0)]));
        }
    }
    id
}
