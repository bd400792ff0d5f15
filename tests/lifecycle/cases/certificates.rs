//! Certificates that end: old ones are put in place of young ones without a gap, as if time had passed while nobody kept
//! them, and then the keeper is let in.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::certificates::mint::{self, Pair};
use pullgate::certificates::{keys, read};
use pullgate::keeper::replicas::shown;
use pullgate::time::Clock;
use rustls::pki_types::CertificateDer;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::Failure;
use crate::kubectl::{until, until_within};
use crate::scene::{OWN_NAMESPACE, ROLLOUT, Scene};

const DAY: Duration = Duration::from_hours(24);

/// The name by which API servers call, which is in every leaf.
pub(super) const NAME: &str = "pullgate.pullgate-system.svc";

/// Where the port of the webhook is.
const PORT: u16 = 10250;

/// How long something lives, and how long it still does.
#[derive(Clone, Copy)]
struct Life {
    whole: Duration,
    left: Duration,
}

pub(super) fn leaf_rotation(scene: &mut Scene) -> Result<String, Failure> {
    travelled(scene, None, Life { whole: 90 * DAY, left: 29 * DAY })
}

pub(super) fn leaf_expiry(scene: &mut Scene) -> Result<String, Failure> {
    travelled(scene, None, Life { whole: 90 * DAY, left: Duration::from_secs(20) })
}

pub(super) fn ca_rotation(scene: &mut Scene) -> Result<String, Failure> {
    travelled(scene, Some(Life { whole: 3650 * DAY, left: 1200 * DAY }), Life { whole: 90 * DAY, left: 89 * DAY })
}

pub(super) fn ca_expiry(scene: &mut Scene) -> Result<String, Failure> {
    let life = Life { whole: 3650 * DAY, left: Duration::from_mins(1) };
    travelled(scene, Some(life), Life { whole: 90 * DAY, left: 89 * DAY })
}

/// The Secret of the leaf goes: replicas serve what they have, the keeper makes another.
pub(super) fn secret_deleted(scene: &mut Scene) -> Result<String, Failure> {
    let before = scene.leaf()?;
    scene.kubectl.get(&format!("-n {OWN_NAMESPACE} delete secret pullgate-tls"))?;
    scene.others_shown(&before)?;
    Ok(String::new())
}

/// Puts a leaf of this life, and if asked for an authority of that life, in place of what is there; then waits until the
/// keeper has put others in their place, and until the old ones have ended, if that is soon.
fn travelled(scene: &mut Scene, ca: Option<Life>, leaf: Life) -> Result<String, Failure> {
    scene.keepers(0)?;
    scene.hurry_keeper()?;
    let clock = Clock::system();
    let now = clock();
    let born = |life: Life| now.checked_sub(life.whole).and_then(|at| at.checked_add(life.left));
    let stored = scene.secret("pullgate-ca")?;
    let young = mint::pair(&value(&stored, keys::CA_CRT), &value(&stored, keys::CA_KEY))
        .ok_or("the CA's Secret holds no CA")?;
    let authority = match ca {
        None => young.clone(),
        Some(life) => mint::authority("pullgate", life.whole, born(life)?)?,
    };
    let (both, alone) = (
        format!("{}{}", read::pem(&young.certificate), read::pem(&authority.certificate)),
        read::pem(&authority.certificate),
    );
    if ca.is_some() {
        scene.trust(&both)?;
        // Until the API server knows.
        thread::sleep(Duration::from_secs(1));
    }
    let names = vec![NAME.to_owned(), format!("{NAME}.cluster.local")];
    let old = mint::leaf(&authority, names, leaf.whole, born(leaf)?)?;
    scene.write(
        "pullgate-tls",
        &[
            (keys::TLS_CRT, &read::pem(&old.certificate)),
            (keys::TLS_KEY, old.key.expose_secret()),
            (keys::CA_CRT, &alone),
        ],
    )?;
    scene.shown(&old.certificate)?;
    if ca.is_some() {
        let Pair { certificate, key } = &authority;
        scene.write("pullgate-ca", &[(keys::CA_CRT, &read::pem(certificate)), (keys::CA_KEY, key.expose_secret())])?;
        scene.trust(&alone)?;
    }
    scene.keepers(1)?;
    scene.others_shown(&old.certificate)?;
    if ca.is_some() {
        until_within(ROLLOUT, "the old authority to be trusted no more", || {
            let bundle = scene.bundle()?;
            Ok((!bundle.is_empty() && !bundle.contains(alone.trim())).then_some(()))
        })?;
    }
    let ends = [ca, Some(leaf)].into_iter().flatten().map(|life| life.left).min().unwrap_or_default();
    if ends < DAY {
        let over = now.checked_add(ends)?.duration_until(clock());
        thread::sleep(Duration::try_from(-over).unwrap_or_default() + Duration::from_secs(2));
        return Ok(", and it ended".to_owned());
    }
    Ok(String::new())
}

// === impl Scene ===

impl Scene {
    /// Lets the keeper look every second and take changes for known after three; helm puts its own arguments back.
    pub(super) fn hurry_keeper(&self) -> Result<(), Failure> {
        let arguments = "get deployment pullgate-keeper -o jsonpath={.spec.template.spec.containers[0].args}";
        if self.kubectl.get(&format!("-n {OWN_NAMESPACE} {arguments}"))?.contains("--settle=3s") {
            return Ok(());
        }
        let add = |flag: &str| json!({ "op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": flag });
        let patch = json!([add("--every=1s"), add("--settle=3s")]).to_string();
        let words = ["-n", OWN_NAMESPACE, "patch", "deployment", "pullgate-keeper", "--type=json", "-p", &patch];
        self.kubectl.run_with(&words, None)?.succeeded().map(drop)
    }

    /// As many keepers as this.
    pub(super) fn keepers(&self, wanted: usize) -> Result<(), Failure> {
        self.kubectl.get(&format!("-n {OWN_NAMESPACE} scale deployment/pullgate-keeper --replicas={wanted}"))?;
        until("the keeper to come or go", || Ok((self.keeping() == wanted).then_some(())))
    }

    /// How many keepers run.
    fn keeping(&self) -> usize {
        self.node.replicas().iter().filter(|replica| replica.name.starts_with("pullgate-keeper-")).count()
    }

    fn secret(&self, name: &str) -> Result<Value, Failure> {
        Ok(serde_json::from_str(&self.kubectl.get(&format!("-n {OWN_NAMESPACE} get secret {name} -o json"))?)?)
    }

    pub(super) fn write(&self, secret: &str, values: &[(&str, &str)]) -> Result<(), Failure> {
        let data: serde_json::Map<String, Value> =
            values.iter().map(|(key, text)| ((*key).to_owned(), json!(STANDARD.encode(text)))).collect();
        let patch = json!({ "data": data }).to_string();
        let words = ["-n", OWN_NAMESPACE, "patch", "secret", secret, "--type=merge", "-p", &patch];
        self.kubectl.run_with(&words, None)?.succeeded().map(drop)
    }

    /// Writes the bundle into both webhook objects.
    fn trust(&self, bundle: &str) -> Result<(), Failure> {
        let patch = json!([{
            "op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": STANDARD.encode(bundle),
        }]);
        for kind in ["validatingwebhookconfiguration", "mutatingwebhookconfiguration"] {
            let words = ["patch", kind, "pullgate", "--type=json", "-p", &patch.to_string()];
            self.kubectl.run_with(&words, None)?.succeeded()?;
        }
        Ok(())
    }

    /// The bundle of the validating webhook.
    fn bundle(&self) -> Result<String, Failure> {
        let path = "jsonpath={.webhooks[0].clientConfig.caBundle}";
        let text = self.kubectl.get(&format!("get validatingwebhookconfiguration pullgate -o {path}"))?;
        Ok(String::from_utf8(STANDARD.decode(text)?)?)
    }

    /// The leaf in its Secret.
    fn leaf(&self) -> Result<CertificateDer<'static>, Failure> {
        let secret = self.secret("pullgate-tls")?;
        let chain = read::certificates(&value(&secret, keys::TLS_CRT));
        chain.into_iter().next().ok_or_else(|| "the Secret holds no leaf".into())
    }

    /// Waits until every replica shows this leaf.
    pub(super) fn shown(&self, leaf: &CertificateDer<'_>) -> Result<(), Failure> {
        until_within(ROLLOUT, "every replica to show a leaf", || Ok(self.all_show(leaf).then_some(())))
    }

    /// Waits until every replica shows the leaf in the Secret, and that is not this one.
    fn others_shown(&self, than: &CertificateDer<'_>) -> Result<(), Failure> {
        until_within(ROLLOUT, "every replica to show another leaf", || {
            let leaf = self.leaf()?;
            Ok((leaf != *than && self.all_show(&leaf)).then_some(()))
        })
    }

    fn all_show(&self, leaf: &CertificateDer<'_>) -> bool {
        let addresses: Vec<SocketAddr> =
            self.replicas().iter().map(|replica| SocketAddr::from((replica.address, PORT))).collect();
        let chains = self.runtime.block_on(shown(addresses, NAME));
        !chains.is_empty()
            && chains
                .iter()
                .all(|chain| chain.as_ref().and_then(|chain| chain.first()).is_some_and(|first| first == leaf))
    }
}

/// A value of a Secret.
fn value(secret: &Value, key: &str) -> Vec<u8> {
    STANDARD.decode(secret["data"][key].as_str().unwrap_or_default()).unwrap_or_default()
}
