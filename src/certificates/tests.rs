//! Real certificates: what is made is what is read, and what is garbage is not there.

use std::slice::from_ref;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use secrecy::ExposeSecret as _;

use super::mint::{Pair, as_segment, authority, leaf, pair, segment};
use super::plan::Seen;
use super::read::{Distrust, certificates, chains, names, pem, validity};
use super::seen::{Data, Known, Reading, bundle};
use super::{keys, read};

const HOUR: Duration = Duration::from_hours(1);
const SERVICE: &str = "gate.system.svc";

fn now() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

fn made(hours: u32) -> (Pair, Pair) {
    let ca = authority("gate", HOUR * hours, now()).unwrap();
    let leaf = leaf(&ca, vec![SERVICE.to_owned(), "127.0.0.1".to_owned()], HOUR * 10, now()).unwrap();
    (ca, leaf)
}

fn data(entries: &[(&str, &str)]) -> Data {
    entries.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
}

#[test]
fn a_leaf_is_believed_for_its_names_in_its_time_by_who_trusts_its_authority_in_its_time() {
    let ((ca, leaf), (other, _)) = (made(100), made(100));
    let (short, of_short) = made(5);
    let bundle = [other.certificate.clone(), ca.certificate.clone()];
    let chain = from_ref(&leaf.certificate);
    for (name, at, bundle, believed) in [
        (SERVICE, now(), &bundle[..], true),
        ("127.0.0.1", now(), &bundle, true),
        (SERVICE, now() - HOUR * 2, &bundle, false),
        (SERVICE, now() + HOUR * 9, &bundle, true),
        (SERVICE, now() + HOUR * 11, &bundle, false),
        ("other.system.svc", now(), &bundle, false),
        (SERVICE, now(), &bundle[..1], false),
        (SERVICE, now(), &[], false),
    ] {
        assert_eq!(chains(chain, bundle, name, at).is_ok(), believed, "{name} at {at}");
    }
    // webpki does not look at the time of an anchor; API servers do.
    let over = chains(from_ref(&of_short.certificate), from_ref(&short.certificate), SERVICE, now() + HOUR * 6);
    assert_eq!(over, Err(Distrust::NoAuthority));
    assert_eq!(validity(&of_short.certificate).unwrap().1, now() + HOUR * 5, "no leaf outlives its authority");
    assert_eq!(names(&leaf.certificate), [SERVICE, SERVICE]);
    let text = super::seen::bundle([&ca.certificate, &other.certificate]);
    assert_eq!(certificates(text.as_bytes()).len(), 2);
    assert_eq!(text, super::seen::bundle([&other.certificate, &ca.certificate]), "one order");
}

/// What is seen of Secrets, `hosts` being what API servers call besides the Service.
fn seen(ca: &Data, tls: &Data, hosts: &[&str]) -> Seen {
    let names: Vec<String> = [SERVICE].iter().chain(hosts).map(|name| (*name).to_owned()).collect();
    Known::new(Reading { ca, tls, bundles: None, replicas: None, names: &names }).seen
}

#[test]
fn what_is_garbage_is_not_there() {
    let ((ca, leaf), (other, of_other)) = (made(100), made(100));
    let (ca_crt, ca_key) = (pem(&ca.certificate), ca.key.expose_secret());
    let (tls_crt, tls_key) = (pem(&leaf.certificate), leaf.key.expose_secret());
    let sound_ca = data(&[(keys::CA_CRT, &ca_crt), (keys::CA_KEY, ca_key)]);
    let sound_tls = data(&[(keys::TLS_CRT, &tls_crt), (keys::TLS_KEY, tls_key)]);
    for (crt, key, signs) in [
        (ca_crt.as_str(), ca_key, true),
        (&ca_crt, other.key.expose_secret(), false),
        (&ca_crt, "garbage", false),
        ("garbage", ca_key, false),
        (&ca_crt[..200], ca_key, false),
        ("", "", false),
        // Its own key, and no authority.
        (&tls_crt, tls_key, false),
    ] {
        let seen = seen(&data(&[(keys::CA_CRT, crt), (keys::CA_KEY, key)]), &sound_tls, &[]);
        assert_eq!(seen.signer.is_some(), signs, "{crt} {signs}");
        assert_eq!(seen.leaf.is_some(), signs, "its authority is not known");
    }
    for (crt, key, serves) in [
        (tls_crt.as_str(), tls_key, true),
        (&tls_crt, ca_key, false),
        ("garbage", tls_key, false),
        (&pem(&of_other.certificate), of_other.key.expose_secret(), false),
    ] {
        let seen = seen(&sound_ca, &data(&[(keys::TLS_CRT, crt), (keys::TLS_KEY, key)]), &[]);
        assert_eq!(seen.leaf.is_some(), serves, "{crt}");
    }
    assert!(seen(&sound_ca, &sound_tls, &["127.0.0.1"]).leaf.unwrap().named);
    assert!(!seen(&sound_ca, &sound_tls, &["10.0.0.1"]).leaf.unwrap().named);
    let for_another = super::mint::leaf(&ca, vec!["gate.other.svc".to_owned()], HOUR, now()).unwrap();
    let tls =
        data(&[(keys::TLS_CRT, &pem(&for_another.certificate)), (keys::TLS_KEY, for_another.key.expose_secret())]);
    assert_eq!(seen(&sound_ca, &tls, &[]).leaf, None, "a leaf for another name is none");
}

#[test]
fn what_replicas_and_webhooks_show_is_known_by_its_authority() {
    let ((ca, leaf), (other, _)) = (made(100), made(100));
    let ca_data = data(&[
        (keys::NEXT_CRT, &pem(&ca.certificate)),
        (keys::NEXT_KEY, ca.key.expose_secret()),
        (keys::PREVIOUS_CRT, &bundle([&other.certificate])),
    ]);
    let shown = [None, Some(vec![leaf.certificate.clone()]), Some(vec![])];
    let bundles = [bundle([&ca.certificate, &other.certificate]).into_bytes(), b"garbage".to_vec()];
    let reading = Reading {
        ca: &ca_data,
        tls: &Data::new(),
        bundles: Some(&bundles),
        replicas: Some(&shown),
        names: &[SERVICE.to_owned()],
    };
    let known = Known::new(reading);
    let (next, previous) = (read::authority(&ca.certificate).unwrap(), read::authority(&other.certificate).unwrap());
    assert_eq!((known.seen.signer, known.seen.next, &known.seen.previous), (None, Some(next), &vec![previous]));
    let sizes: Vec<usize> = known.seen.bundles.unwrap().iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 0]);
    let issuers: Vec<_> = known.seen.replicas.unwrap().iter().map(|leaf| leaf.map(|leaf| leaf.issuer)).collect();
    assert_eq!(issuers, [None, Some(next.id), None]);
}

#[test]
fn a_segment_is_long_random_and_fits_into_a_path() {
    let (one, two) = (segment().unwrap(), segment().unwrap());
    assert!(one.expose_secret().len() >= 22 && one.expose_secret() != two.expose_secret());
    assert!(as_segment(format!("{}\n", one.expose_secret()).as_bytes()).is_some());
    for bad in ["", "short", "with/a/slash/and/more/than/22", "percent%2Fpercent%2Fpercent%2F", &"x".repeat(200)] {
        assert!(as_segment(bad.as_bytes()).is_none(), "{bad}");
    }
}

#[test]
fn keys_do_not_print() {
    let (ca, leaf) = made(1);
    let again = pair(pem(&leaf.certificate).as_bytes(), leaf.key.expose_secret().as_bytes()).unwrap();
    let printed = format!("{ca:?}{again:?}").to_lowercase();
    assert!(!printed.contains("private"), "{printed}");
}
