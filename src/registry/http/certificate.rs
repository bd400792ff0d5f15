//! A server's certificate in DER → whom it names and who signed it, as people write it: `CN=registry.corp.io, O=Corp`.
//!
//! Reads just as far as those two names (RFC 5280 section 4.1, ITU-T X.690), of bytes that anybody may have made.

use crate::registry::said::clean;

/// Bytes of one name that are shown.
const NAME_LIMIT: usize = 96;

/// The attributes that are shown: `id-at` arcs 3, 11 and 10 (RFC 5280 appendix A.1).
const ATTRIBUTES: [(&[u8], &str); 3] =
    [(&[0x55, 0x04, 0x03], "CN"), (&[0x55, 0x04, 0x0b], "OU"), (&[0x55, 0x04, 0x0a], "O")];

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0] EXPLICIT`, which holds the version.
const VERSION: u8 = 0xa0;
/// `UTF8String`, `PrintableString`, `TeletexString`, `IA5String`: bytes that are text as they are.
const TEXTS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];

/// The two names of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// Whom it is for.
    pub(super) subject: String,
    /// Who signed it.
    pub(super) issuer: String,
}

/// Tags, lengths and values, one after another.
#[derive(Clone, Copy)]
struct Reader<'d>(&'d [u8]);

// === impl Names ===

impl Names {
    /// Reads the names of an X.509 certificate; `None` where the bytes are none.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let mut signed = Reader(Reader(certificate).next(SEQUENCE)?);
        let mut fields = Reader(signed.next(SEQUENCE)?);
        if fields.0.first() == Some(&VERSION) {
            fields.next(VERSION)?;
        }
        fields.next(INTEGER)?;
        let _algorithm = fields.next(SEQUENCE)?;
        let issuer = name(fields.next(SEQUENCE)?);
        let _validity = fields.next(SEQUENCE)?;
        let subject = name(fields.next(SEQUENCE)?);
        Some(Self { subject, issuer })
    }
}

/// `CN=a, O=b`, bounded and without what acts on a terminal.
fn name(parts: &[u8]) -> String {
    let mut parts = Reader(parts);
    let mut found: Vec<(usize, String)> = Vec::new();
    while let Some(part) = parts.next(SET) {
        let Some((index, text)) = Reader(part).next(SEQUENCE).and_then(attribute) else { continue };
        found.push((index, text));
        if found.len() == ATTRIBUTES.len() {
            break;
        }
    }
    found.sort_by_key(|(index, _)| *index);
    let words: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
    let mut words = clean(&words.join(", "));
    if words.len() > NAME_LIMIT {
        words.truncate(words.floor_char_boundary(NAME_LIMIT - '…'.len_utf8()));
        words.push('…');
    }
    if words.is_empty() { "nobody by name".to_owned() } else { words }
}

/// Its place among those that are shown, and `CN=a`.
fn attribute(pair: &[u8]) -> Option<(usize, String)> {
    let mut pair = Reader(pair);
    let kind = pair.next(OBJECT_IDENTIFIER)?;
    let (index, (_, word)) = ATTRIBUTES.iter().enumerate().find(|(_, (known, _))| *known == kind)?;
    let tag = TEXTS.into_iter().find(|tag| pair.0.first() == Some(tag))?;
    let text = pair.next(tag)?;
    let text = text.get(..NAME_LIMIT).unwrap_or(text);
    Some((index, format!("{word}={}", String::from_utf8_lossy(text))))
}

// === impl Reader ===

impl<'d> Reader<'d> {
    /// The value of the next element, if that has this tag and is whole.
    fn next(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (&[found, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // A certificate of 16 MiB is none.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        (found == tag).then(|| self.0 = rest).map(|()| value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    fn params(name: &[(DnType, &str)]) -> CertificateParams {
        let mut params = CertificateParams::new(["registry.corp.io".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in name {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params
    }

    fn issued(subject: &[(DnType, &str)], issuer: &[(DnType, &str)]) -> Vec<u8> {
        let mut ca = params(issuer);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = Issuer::new(ca, KeyPair::generate().unwrap());
        params(subject).signed_by(&KeyPair::generate().unwrap(), &ca).unwrap().der().to_vec()
    }

    #[test]
    fn both_names_are_read_the_common_name_first_and_others_passed_over() {
        let der = issued(
            &[(DnType::CountryName, "DE"), (DnType::CommonName, "registry.corp.io")],
            &[(DnType::OrganizationName, "Corp"), (DnType::CommonName, "Corp Proxy\u{1b}[31m CA")],
        );
        let names = Names::of(&der).unwrap();
        assert_eq!(names.subject, "CN=registry.corp.io");
        assert_eq!(names.issuer, "CN=Corp Proxy [31m CA, O=Corp");
        let names = Names::of(&issued(&[], &[(DnType::CommonName, &"x".repeat(5_000))])).unwrap();
        assert_eq!(names.subject, "nobody by name");
        assert!(names.issuer.len() <= NAME_LIMIT && names.issuer.ends_with('…'), "{}", names.issuer);
        assert!((0..der.len()).all(|end| Names::of(&der[..end]).is_none()), "a part of a certificate is none");
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0_usize..400, byte: u8) {
            drop(Names::of(&bytes));
            let mut der = issued(&[(DnType::CommonName, "a")], &[(DnType::CommonName, "b")]);
            let at = at % der.len();
            der[at] = byte;
            drop(Names::of(&der));
        }
    }
}
