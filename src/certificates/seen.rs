//! The data of the Secrets, the webhooks' bundles and what replicas show → what a plan is made of, and the certificates
//! behind it. Whatever is garbage counts as not there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use rustls_pki_types::CertificateDer;
use secrecy::SecretString;

use crate::certificates::keys;
use crate::certificates::mint::{Pair, as_segment, pair};
use crate::certificates::plan::{Authority, Id, Leaf, Seen};
use crate::certificates::read::{self, authority, certificates, chains, validity};

/// The data of a Secret.
pub type Data = BTreeMap<String, ByteString>;

/// What was read from the cluster, as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'r> {
    /// The authority's Secret.
    pub ca: &'r Data,
    /// The leaf's Secret.
    pub tls: &'r Data,
    /// The `caBundle` of each webhook.
    pub bundles: Option<&'r [Vec<u8>]>,
    /// What each replica shows.
    pub replicas: Option<&'r [Option<Vec<CertificateDer<'static>>>]>,
    /// Every name by which API servers call; the first is the Service's.
    pub names: &'r [String],
}

/// The same, understood.
#[derive(Debug)]
pub struct Known {
    /// For the plan.
    pub seen: Seen,
    /// Every authority that was met.
    pub authorities: BTreeMap<Id, CertificateDer<'static>>,
    /// Who signs.
    pub signer: Option<Pair>,
    /// Who will.
    pub next: Option<Pair>,
    /// The leaf and its key.
    pub leaf: Option<Pair>,
    /// The path segment.
    pub segment: Option<SecretString>,
}

// === impl Known ===

impl Known {
    /// Understands a reading.
    pub fn new(reading: Reading<'_>) -> Self {
        let Reading { ca, tls, bundles, replicas, names } = reading;
        let mut authorities = BTreeMap::new();
        let mut met = |der: CertificateDer<'static>| -> Option<Authority> {
            let authority = authority(&der)?;
            authorities.insert(authority.id, der);
            Some(authority)
        };
        let mut all = |pem: &[u8]| -> Vec<Authority> { certificates(pem).into_iter().filter_map(&mut met).collect() };
        let previous = all(get(ca, keys::PREVIOUS_CRT));
        let handed_out = all(get(tls, keys::CA_CRT));
        let bundles: Option<Vec<Vec<Authority>>> =
            bundles.map(|bundles| bundles.iter().map(|bundle| all(bundle)).collect());
        let mut signing = |certificate: &str, key: &str| {
            let pair = pair(get(ca, certificate), get(ca, key))?;
            met(pair.certificate.clone()).map(|authority| (authority, pair))
        };
        let (signer, signer_pair) = signing(keys::CA_CRT, keys::CA_KEY).unzip();
        let (next, next_pair) = signing(keys::NEXT_CRT, keys::NEXT_KEY).unzip();

        let leaf_pair = pair(get(tls, keys::TLS_CRT), get(tls, keys::TLS_KEY));
        let leaf = leaf_pair.as_ref().and_then(|_| shown(&certificates(get(tls, keys::TLS_CRT)), &authorities, names));
        let replicas = replicas
            .map(|replicas| replicas.iter().map(|chain| shown(chain.as_deref()?, &authorities, names)).collect());
        Self {
            seen: Seen { signer, next, previous, handed_out, leaf, bundles, replicas },
            signer: signer_pair,
            next: next_pair,
            leaf: leaf_pair.filter(|_| leaf.is_some()),
            segment: as_segment(get(tls, keys::PATH)),
            authorities,
        }
    }
}

fn get<'d>(data: &'d Data, key: &str) -> &'d [u8] {
    data.get(key).map_or(&[], |value| &value.0)
}

/// What a plan knows of a chain; none if it is not for the Service or by nobody that is known.
fn shown(
    chain: &[CertificateDer<'static>],
    authorities: &BTreeMap<Id, CertificateDer<'static>>,
    names: &[String],
) -> Option<Leaf> {
    let (from, until) = validity(chain.first()?)?;
    let (service, others) = names.split_first()?;
    // Whose it is does not depend on whether it is over.
    let by = |issuer: &CertificateDer<'static>, name: &str| {
        let at = validity(issuer).map_or(from, |(authority_from, _): (Timestamp, _)| from.max(authority_from));
        chains(chain, std::slice::from_ref(issuer), name, at).is_ok()
    };
    let (issuer, der) = authorities.iter().find(|(_, der)| by(der, service))?;
    Some(Leaf { issuer: *issuer, from, until, named: others.iter().all(|name| by(der, name)) })
}

/// The bundle of these authorities: PEM, the oldest first.
pub fn bundle<'c>(certificates: impl IntoIterator<Item = &'c CertificateDer<'static>>) -> String {
    let mut all: Vec<_> = certificates.into_iter().map(|der| (validity(der), read::id(der), read::pem(der))).collect();
    all.sort_unstable_by_key(|(validity, id, _)| (*validity, *id));
    all.into_iter().map(|(_, _, pem)| pem).collect()
}
