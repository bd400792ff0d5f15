//! Spellings of one host and port, hosts that only look like addresses, and certificates that are trusted in other ways
//! than by the authority that signed them.

use super::Case;
use crate::faults::MANIFEST;
use crate::images::{Images, sha256};
use crate::judge::Class::{Network, NotFound};
use crate::scene::Places;

pub(super) fn cases(places: &Places, images: &Images) -> Vec<Case> {
    let Places { open_by_zeros, open_in_capitals, no_addresses, .. } = places;
    let host = |name: &str, image: String| Case::new(&format!("host: {name}"), image);
    let tls = |name: &str, place: &str| Case::new(&format!("tls: {name}"), format!("{place}/fault/sound:v1"));
    let mut cases = vec![
        host("zeros before the port", format!("{open_by_zeros}/alice/app:v1")).resolves_to(&images.single),
        host("zeros before the port, a missing tag", format!("{open_by_zeros}/alice/app:v2")).fails(&[NotFound]),
        host("capitals", format!("{open_in_capitals}/alice/app:v1")).resolves_to(&images.single),
        tls("a registry's own certificate, marked as an authority", &places.own_certificate)
            .resolves_to(&sha256(MANIFEST)),
        tls("an authority's certificate that a trusted one has signed", &places.authority_as_server)
            .resolves_to(&sha256(MANIFEST)),
        tls("a trusted authority that has ended", &places.ended_authority).fails(&[Network]),
    ];
    for place in no_addresses {
        let name = place.split(':').next().unwrap_or_default();
        cases.push(host(&format!("{name} is a name"), format!("{place}/alice/app:v1")).fails(&[Network]));
    }
    cases
}
