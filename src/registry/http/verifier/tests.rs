//! What Go's verification takes and refuses of certificates that are trusted by themselves, of authorities as servers,
//! and of authorities whose time is over.

use std::slice::from_ref;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};

use super::*;

/// A certificate for `localhost` in 2026.
fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params.is_ca = is_ca;
    params
}

fn authority() -> IsCa {
    IsCa::Ca(BasicConstraints::Unconstrained)
}

fn self_signed(params: &CertificateParams) -> CertificateDer<'static> {
    params.clone().self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

/// Of each link of a chain the certificate, the root first.
fn chain(links: &[CertificateParams]) -> Vec<CertificateDer<'static>> {
    let mut issuer: Option<Issuer<'static, KeyPair>> = None;
    let mut made = Vec::new();
    for params in links {
        let key = KeyPair::generate().unwrap();
        let certificate = match &issuer {
            None => params.clone().self_signed(&key).unwrap(),
            Some(issuer) => params.clone().signed_by(&key, issuer).unwrap(),
        };
        made.push(certificate.der().clone());
        issuer = Some(Issuer::new(params.clone(), key));
    }
    made
}

/// What a verifier says in the middle of 2026.
fn verify(trusted: &[CertificateDer<'static>], shown: &[CertificateDer<'static>], name: &str) -> Result<(), String> {
    verify_in(trusted, shown, name, 1_780_000_000)
}

fn verify_in(
    trusted: &[CertificateDer<'static>],
    shown: &[CertificateDer<'static>],
    name: &str,
    second: u64,
) -> Result<(), String> {
    let verifier = Verifier::new(trusted.to_vec());
    let now = UnixTime::since_unix_epoch(Duration::from_secs(second));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let outcome = verifier.verify_server_cert(&shown[0], &shown[1..], &name, &[], now);
    outcome.map(drop).map_err(|error| format!("{error:?}"))
}

#[test]
fn a_certificate_that_is_trusted_itself_is_believed_for_its_time_name_and_purpose() {
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa, authority()] {
        let mut own = params("registry", is_ca);
        let certificate = self_signed(&own);
        let shown = [certificate.clone()];
        assert_eq!(verify(from_ref(&certificate), &shown, "localhost"), Ok(()));
        let refused = |name: &str, second: u64| verify_in(from_ref(&certificate), &shown, name, second).unwrap_err();
        assert!(refused("other.example", 1_780_000_000).contains("NotValidForName"));
        assert!(refused("localhost", 1_700_000_000).contains("NotValidYet"));
        assert!(refused("localhost", 1_900_000_000).contains("Expired"));
        // Somebody else's of the same name is not it.
        let error = verify(&[certificate], &[self_signed(&own)], "localhost").unwrap_err();
        assert!(error.contains("UnknownAuthority"), "{error}");

        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client = self_signed(&own);
        assert!(verify(from_ref(&client), from_ref(&client), "localhost").unwrap_err().contains("InvalidPurpose"));
        own.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        let both = self_signed(&own);
        assert_eq!(verify(from_ref(&both), from_ref(&both), "localhost"), Ok(()));
    }
}

#[test]
fn a_server_may_show_the_certificate_of_an_authority_that_a_trusted_one_has_signed() {
    let root = || params("Root", authority());
    for links in [
        vec![root(), params("registry", authority())],
        vec![root(), params("Between", authority()), params("registry", authority())],
        vec![root(), params("Between", authority()), params("registry", IsCa::NoCa)],
    ] {
        let mut made = chain(&links);
        let trusted = made.remove(0);
        made.reverse();
        assert_eq!(verify(from_ref(&trusted), &made, "localhost"), Ok(()));
        assert!(verify(&[trusted], &made, "other.example").is_err());
        let other = self_signed(&root());
        assert!(verify(&[other], &made, "localhost").unwrap_err().contains("UnknownAuthority"));
    }
    // Who is no authority signs for nobody.
    let mut made = chain(&[root(), params("Between", IsCa::ExplicitNoCa), params("registry", authority())]);
    let trusted = made.remove(0);
    made.reverse();
    assert!(verify(&[trusted], &made, "localhost").is_err());
}

#[test]
fn an_authority_counts_only_while_it_is_valid() {
    let mut root = params("Root", authority());
    root.not_after = date_time_ymd(2026, 3, 1);
    let made = chain(&[root, params("registry", IsCa::NoCa)]);
    let (trusted, shown) = (&made[..1], &made[1..]);
    assert_eq!(verify_in(trusted, shown, "localhost", 1_769_000_000), Ok(()));
    let error = verify_in(trusted, shown, "localhost", 1_780_000_000).unwrap_err();
    assert!(error.contains("EndedAuthority") && error.contains("CN=Root"), "{error}");
    // One verifier sees the end come.
    let verifier = Verifier::new(trusted.to_vec());
    let name = ServerName::try_from("localhost").unwrap();
    let at = |second| {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(second));
        verifier.verify_server_cert(&shown[0], &[], &name, &[], now).is_ok()
    };
    assert_eq!([1_769_000_000, 1_772_323_200, 1_772_323_201, 1_769_000_000].map(at), [true, true, false, true]);
}
