//! The ranges, in every spelling of an address.

use super::*;
use crate::policy::Pattern;

fn guard(allow: &[&str], deny: &[&str]) -> Guard {
    let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Guard::new(&policy::Guard { allow_addresses: nets(allow), deny_addresses: nets(deny), ..policy::Guard::default() })
}

fn check(guard: &Guard, address: &str) -> Option<Refused> {
    guard.check(address.parse().unwrap()).err()
}

#[test]
fn ranges_that_no_registry_lives_in_are_refused() {
    let table = [
        ("127.0.0.1", Some(Refused::Loopback)),
        ("127.8.9.1", Some(Refused::Loopback)),
        ("::1", Some(Refused::Loopback)),
        ("169.254.169.254", Some(Refused::LinkLocal)),
        ("169.254.170.2", Some(Refused::LinkLocal)),
        ("fe80::1", Some(Refused::LinkLocal)),
        ("fe80::a9fe:a9fe", Some(Refused::LinkLocal)),
        ("fd00:ec2::254", Some(Refused::Metadata)),
        ("fd00:ec2::23", Some(Refused::Metadata)),
        ("fd20:ce::254", Some(Refused::Metadata)),
        ("fd00:42::42", Some(Refused::Metadata)),
        ("100.100.100.200", Some(Refused::Metadata)),
        ("168.63.129.16", Some(Refused::Metadata)),
        ("192.0.0.192", Some(Refused::Metadata)),
        ("0.0.0.0", Some(Refused::Unspecified)),
        ("0.1.2.3", Some(Refused::Unspecified)),
        ("::", Some(Refused::Unspecified)),
        ("224.0.0.1", Some(Refused::Multicast)),
        ("255.255.255.255", Some(Refused::Multicast)),
        ("ff02::1", Some(Refused::Multicast)),
        ("10.0.0.1", None),
        ("100.64.0.1", None),
        ("172.16.3.4", None),
        ("192.168.1.1", None),
        ("fd12::1", None),
        ("93.184.216.34", None),
        ("2606:2800:220:1::1", None),
    ];
    for (address, expected) in table {
        assert_eq!(check(&Guard::default(), address), expected, "{address}");
    }
}

#[test]
fn an_address_inside_another_is_judged_too() {
    for (form, name) in [
        ("::ffff:X", "IPv4-mapped"),
        ("::X", "IPv4-compatible"),
        ("::ffff:0:X", "IPv4-translated"),
        ("64:ff9b::X", "NAT64"),
        ("64:ff9b:1::X", "NAT64 of the local network"),
        ("64:ff9b:1:2:3:4:X", "NAT64 of the local network"),
        ("2001:db8::5efe:X", "ISATAP"),
        ("2001:db8::200:5efe:X", "ISATAP"),
    ] {
        for (inner, expected) in [
            ("127.0.0.1", Some(Refused::Loopback)),
            ("169.254.169.254", Some(Refused::LinkLocal)),
            ("100.100.100.200", Some(Refused::Metadata)),
            ("10.1.2.3", None),
            ("93.184.216.34", None),
        ] {
            assert_eq!(check(&Guard::default(), &form.replace('X', inner)), expected, "{name} {inner}");
        }
    }
    for (address, expected) in [
        ("2002:7f00:1::", Some(Refused::Loopback)),
        ("2002:a9fe:a9fe::1", Some(Refused::LinkLocal)),
        ("2002:5db8:d822::1", None),
        // Teredo: the server is written as it is, the client inverted.
        ("2001:0:a9fe:a9fe::", Some(Refused::LinkLocal)),
        ("2001:0:5db8:d822::5601:5601", Some(Refused::LinkLocal)),
        ("2001:0:5db8:d822::a247:27dd", None),
    ] {
        assert_eq!(check(&Guard::default(), address), expected, "{address}");
    }
}

#[test]
fn the_operator_may_allow_a_range_and_deny_another() {
    let allowing = guard(&["127.0.0.0/8"], &[]);
    assert_eq!(check(&allowing, "127.0.0.1"), None);
    assert_eq!(check(&allowing, "::ffff:127.0.0.1"), None);
    assert_eq!(check(&allowing, "::1"), Some(Refused::Loopback));
    assert_eq!(check(&guard(&["::/96"], &[]), "::1"), None);

    let denying = guard(&["10.96.0.80/32"], &["10.96.0.0/12", "fd00:10:96::/112"]);
    assert_eq!(check(&denying, "10.96.0.1"), Some(Refused::Denied));
    assert_eq!(check(&denying, "64:ff9b::10.96.0.1"), Some(Refused::Denied));
    assert_eq!(check(&denying, "fd00:10:96::1"), Some(Refused::Denied));
    assert_eq!(check(&denying, "10.96.0.80"), None);
    assert_eq!(check(&denying, "10.1.0.1"), None);
}

#[test]
fn names_that_a_proxy_would_look_up_into_a_refused_range_are_refused() {
    for (name, expected) in [
        ("localhost", Some(Refused::Loopback)),
        ("LocalHost.", Some(Refused::Loopback)),
        ("a.localhost", Some(Refused::Loopback)),
        ("metadata.google.internal", Some(Refused::LinkLocal)),
        ("Metadata.Google.Internal.", Some(Refused::LinkLocal)),
        ("instance-data", Some(Refused::LinkLocal)),
        ("mylocalhost", None),
        ("registry.corp.io", None),
    ] {
        assert_eq!(Guard::default().check_name(name).err(), expected, "{name}");
    }
    assert_eq!(guard(&["127.0.0.0/8"], &[]).check_name("localhost"), Ok(()));
}

#[test]
fn only_the_deny_list_holds_for_what_a_registry_points_to() {
    let rules = policy::Guard {
        allow_registries: vec![Pattern::host("quay.io").unwrap()],
        deny_registries: vec![Pattern::host("*.evil.example").unwrap()],
        ..policy::Guard::default()
    };
    let guard = Guard::new(&rules);
    for (host, expected) in [
        ("cdn.quay.io", false),
        ("cdn.evil.example", true),
        ("CDN.evil.example:8443", true),
        ("cdn.evil.example.", true),
        ("cdn.evil.example.:443", true),
        ("evil.example", false),
    ] {
        assert_eq!(guard.denies(host, 443), expected, "{host}");
    }
}

#[test]
fn refusals_are_sentences() {
    assert_eq!(
        Refused::LinkLocal.sentence("169.254.169.254"),
        "169.254.169.254 is a link-local address; guard.allowAddresses does not list it"
    );
    assert_eq!(Refused::Denied.sentence("10.96.0.1"), "10.96.0.1 is listed under guard.denyAddresses");
}
