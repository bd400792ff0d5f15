//! Certificates that pullgate keeps itself: the keeper and a replica as processes with short lifetimes, their
//! `ServiceAccounts` with no more than they need, a webhook of their own, and an endpoint outside loopback, because none may be
//! on it.

mod stage;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::certificates::read::{certificates, chains, validity};
use serde_json::{Value, json};

use self::stage::{Keeper, Kept, LONG, NAME, keep, prepared, start};
use crate::Failure;
use crate::gate::page;
use crate::kubectl::{until, until_within};
use crate::objects::pod;
use crate::report::{Report, ensure};
use crate::world::{OWN_NAMESPACE, TEAM, World};

pub(super) fn cases(world: &mut World, report: &mut Report) {
    let world = &*world;
    let mut kept = match prepared(world) {
        Ok(kept) => kept,
        Err(failure) => return report.case("certificates: there is a stage", |_| Err(failure)),
    };
    let kept = &mut kept;
    report.case("certificates: a replica waits for its first certificate, and is ready", |_| first(world, kept));
    report.case("certificates: who calls without the segment is told verdict and code", |_| unknown(world, kept));
    report.case("certificates: a leaf is renewed and served without a restart", |_| renewed(world, kept));
    report.case("certificates: an authority is replaced: bundle, leaf, bundle", |_| rotated(world, kept));
    report.case("certificates: another bundle is repaired, and readiness follows it", |_| overwritten(world, kept));
    report.case("certificates: the leaf's Secret is deleted", |_| tls_deleted(world, kept));
    report.case("certificates: the authority's Secret is deleted", |_| ca_deleted(world, kept));
    report.case("certificates: the authority's Secret holds garbage", |_| ca_spoiled(world, kept));
    report.case("certificates: a keeper is killed, the other one takes over", |_| killed(world, kept));
    report.case("certificates: the log tells no segment and no key", |_| silent(world, kept));
    report.case("certificates: the webhooks are gone", |_| {
        for kind in ["validatingwebhookconfiguration", "mutatingwebhookconfiguration"] {
            world.kubectl.run(&format!("delete {kind} {NAME}"))?.succeeded()?;
        }
        Ok(String::new())
    });
}

/// A key of a Secret, decoded; empty if there is none.
fn secret(world: &World, name: &str, key: &str) -> Result<String, Failure> {
    let said = world.kubectl.run(&format!("-n {OWN_NAMESPACE} get secret {name} -o json"))?;
    if said.code != Some(0) {
        return Ok(String::new());
    }
    let secret: Value = serde_json::from_str(&said.stdout)?;
    Ok(String::from_utf8(STANDARD.decode(secret["data"][key].as_str().unwrap_or_default())?)?)
}

/// The certificates of the bundle in a webhook object.
fn bundle(world: &World) -> Result<Vec<String>, Failure> {
    let said = world.kubectl.get(&format!("get validatingwebhookconfiguration {NAME} -o json"))?;
    let object: Value = serde_json::from_str(&said)?;
    let bundle = object["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default();
    Ok(split(&String::from_utf8_lossy(&STANDARD.decode(bundle)?)))
}

fn split(pem: &str) -> Vec<String> {
    pem.split_inclusive("-----END CERTIFICATE-----\n").map(str::to_owned).collect()
}

fn first(world: &World, kept: &mut Kept) -> Result<String, Failure> {
    let (webhook, admin) = (kept.webhook, kept.admin);
    let config = world.gate()?.config.display().to_string();
    let arguments = [
        "serve".to_owned(),
        format!("--config={config}"),
        format!("--tls-secret={NAME}-tls"),
        format!("--webhook-configuration={NAME}"),
        format!("--service={NAME}"),
        format!("--own-namespace={OWN_NAMESPACE}"),
        format!("--listen=0.0.0.0:{webhook}"),
        format!("--admin-listen=127.0.0.1:{admin}"),
        "--log-format=text".to_owned(),
    ];
    kept.replica = Some(start(world, "kept-replica", "kept-replica", &arguments)?.wait_for(admin)?);
    until("the replica to say what it waits for", || {
        Ok(page(admin, "/readyz")?.contains("certificate: not yet").then_some(()))
    })?;
    let began = Instant::now();
    kept.keeper(world, "keeper-1", ("1h", "10h"), None)?;
    kept.works(world, "first")?;
    let took = began.elapsed();
    ensure(bundle(world)? == split(&secret(world, "kept-tls", "ca.crt")?), || "two bundles".to_owned())?;
    let metrics = page(kept.keepers[0].admin, "/metrics")?;
    for line in ["{which=\"ca\"}", "{which=\"leaf\"}", "{which=\"bundle\"}", "\npullgate_keeper_lease_held 1\n"] {
        ensure(metrics.contains(line), || format!("no {line} in {metrics}"))?;
    }
    let metrics = page(admin, "/metrics")?;
    ensure(metrics.contains("pullgate_certificate_expiry_timestamp_seconds{which=\"leaf\"}"), || metrics)?;
    Ok(format!("{:.1} s after the keeper began", took.as_secs_f32()))
}

/// Sends a review to the port, with what follows in the path.
fn ask(world: &World, kept: &Kept, path: &str, pod: &Value) -> Result<Value, Failure> {
    world.kubectl.review(&format!("https://127.0.0.1:{}", kept.webhook), path, pod)
}

fn unknown(world: &World, kept: &mut Kept) -> Result<String, Failure> {
    let bad = pod(TEAM, "asked", &world.open("alice/app:none"));
    let good = pod(TEAM, "asked", &world.open("alice/app:v1"));
    for path in ["/validate", "/validate/", "/validate/not-the-segment", "/validate/a/b"] {
        let answer = ask(world, kept, path, &bad)?;
        let status = json!({ "code": 403, "reason": "Forbidden", "message": "TagNotFound" });
        let bare = json!({ "uid": "0", "allowed": false, "status": status });
        ensure(answer == bare, || format!("{path}: {answer}"))?;
    }
    let allowed = json!({ "uid": "0", "allowed": true });
    for path in ["/validate", "/mutate", "/mutate/not-the-segment"] {
        let answer = ask(world, kept, path, &good)?;
        ensure(answer == allowed, || format!("{path}: {answer}"))?;
    }
    let segment = secret(world, "kept-tls", "path")?;
    let answer = ask(world, kept, &format!("/validate/{segment}"), &bad)?;
    let message = answer["status"]["message"].as_str().unwrap_or_default();
    ensure(message.contains("alice/app"), || answer.to_string())?;
    let answer = ask(world, kept, &format!("/mutate/{segment}"), &good)?;
    ensure(answer["patch"].is_string(), || answer.to_string())?;
    Ok("with it: everything".to_owned())
}

fn renewed(world: &World, kept: &mut Kept) -> Result<String, Failure> {
    let mut leaves = vec![secret(world, "kept-tls", "tls.crt")?];
    let (authority, segment) = (bundle(world)?, secret(world, "kept-tls", "path")?);
    kept.keeper(world, "keeper-2", ("45s", "10h"), Some("kept-tls"))?;
    until_within(LONG, "three leaves", || {
        let leaf = secret(world, "kept-tls", "tls.crt")?;
        if !leaf.is_empty() && leaves.last() != Some(&leaf) {
            leaves.push(leaf);
        }
        ensure(kept.ready()?, || "not ready while a leaf was renewed".to_owned())?;
        Ok((leaves.len() == 4).then_some(()))
    })?;
    kept.works(world, "renewed")?;
    ensure(bundle(world)? == authority, || "the authority changed".to_owned())?;
    ensure(secret(world, "kept-tls", "path")? != segment, || "the path of a deleted Secret lives on".to_owned())?;
    let loads = kept.logs().matches("Loaded").count();
    kept.keeper(world, "keeper-3", ("1h", "10h"), Some("kept-tls"))?;
    until("a new Secret", || Ok((!secret(world, "kept-tls", "tls.crt")?.is_empty()).then_some(())))?;
    kept.works(world, "for-an-hour")?;
    Ok(format!("{loads} loads"))
}

/// First because the authority is lost, then because two thirds of a minute are over.
fn rotated(world: &World, kept: &mut Kept) -> Result<String, Failure> {
    kept.keeper(world, "keeper-4", ("1h", "60s"), Some("kept-ca"))?;
    let mut steps: Vec<(Vec<String>, String)> = Vec::new();
    until_within(LONG, "two rotations", || {
        let step = (bundle(world)?, secret(world, "kept-tls", "tls.crt")?);
        if steps.last() != Some(&step) {
            steps.push(step);
        }
        ensure(kept.ready()?, || "not ready while an authority was replaced".to_owned())?;
        let singles = steps.iter().skip(1).filter(|(bundle, _)| bundle.len() == 1).count();
        Ok((singles >= 2).then_some(()))
    })?;
    // At each step what was served before is trusted after it, and what is served after it was trusted before.
    let name = format!("{NAME}.{OWN_NAMESPACE}.svc");
    for pair in steps.windows(2) {
        for (leaf, bundle) in [(&pair[0].1, &pair[1].0), (&pair[1].1, &pair[0].0)] {
            let (leaf, bundle) = (certificates(leaf.as_bytes()), certificates(bundle.concat().as_bytes()));
            let at = leaf.first().and_then(validity).ok_or("there is no leaf")?.0;
            let at = bundle.iter().filter_map(validity).map(|(from, _)| from).fold(at, jiff::Timestamp::max);
            chains(&leaf, &bundle, &name, at)?;
        }
    }
    kept.works(world, "rotated")?;
    kept.keeper(world, "keeper-5", ("1h", "10h"), None)?;
    until_within(LONG, "an authority of hours", || {
        let bundle = bundle(world)?;
        let life =
            certificates(bundle.concat().as_bytes()).first().and_then(validity).map(|(from, until)| until - from);
        let hours = life.is_some_and(|life| life.get_seconds() > 3600);
        Ok((bundle.len() == 1 && hours).then_some(()))
    })?;
    let sizes: Vec<String> = steps.iter().map(|(bundle, _)| bundle.len().to_string()).collect();
    Ok(format!("authorities in the bundle: {}", sizes.join(" ")))
}

fn overwritten(world: &World, kept: &mut Kept) -> Result<String, Failure> {
    kept.works(world, "before")?;
    let before = bundle(world)?;
    // Nobody repairs for a moment.
    world.signal("keeper-5", "-STOP")?;
    let foreign = STANDARD.encode(&world.authority.pem);
    let patch = json!([{ "op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": foreign }]).to_string();
    let overwrite = |kind: &str| {
        world.kubectl.run_with(&["patch", kind, NAME, "--type=json", "-p", &patch], None)?.succeeded().map(drop)
    };
    // While one webhook believes it, it stays ready: no other replica would be believed more.
    let outcome = overwrite("validatingwebhookconfiguration")
        .and_then(|()| {
            std::thread::sleep(Duration::from_secs(7));
            ensure(kept.ready()?, || "not ready, although the mutating webhook believes it".to_owned())
        })
        .and_then(|()| overwrite("mutatingwebhookconfiguration"))
        .and_then(|()| until("the replica not to be ready", || Ok((!kept.ready()?).then_some(()))));
    world.signal("keeper-5", "-CONT")?;
    outcome?;
    kept.works(world, "repaired")?;
    ensure(bundle(world)? == before, || "another bundle".to_owned())?;
    let repairs = page(kept.keepers[0].admin, "/metrics")?;
    ensure(repairs.contains("pullgate_certificate_repairs_total{what=\"bundle\"} 1"), || repairs)?;
    Ok("and back".to_owned())
}

fn tls_deleted(world: &World, kept: &mut Kept) -> Result<String, Failure> {
    let (leaf, path) = (secret(world, "kept-tls", "tls.crt")?, secret(world, "kept-tls", "path")?);
    let before = bundle(world)?;
    world.kubectl.run(&format!("-n {OWN_NAMESPACE} delete secret kept-tls"))?.succeeded()?;
    until("a new Secret", || Ok((!secret(world, "kept-tls", "tls.crt")?.is_empty()).then_some(())))?;
    let (new_leaf, new_path) = (secret(world, "kept-tls", "tls.crt")?, secret(world, "kept-tls", "path")?);
    ensure(leaf != new_leaf && path != new_path, || "the same again".to_owned())?;
    ensure(bundle(world)? == before, || "another authority".to_owned())?;
    kept.works(world, "tls-deleted")?;
    Ok("new leaf, new path, the same authority".to_owned())
}

fn ca_deleted(world: &World, kept: &mut Kept) -> Result<String, Failure> {
    let before = bundle(world)?;
    world.kubectl.run(&format!("-n {OWN_NAMESPACE} delete secret kept-ca"))?.succeeded()?;
    replaced(world, kept, &before)
}

fn ca_spoiled(world: &World, kept: &mut Kept) -> Result<String, Failure> {
    let before = bundle(world)?;
    let patch = json!({ "stringData": { "ca.crt": "garbage" } }).to_string();
    let arguments = ["-n", OWN_NAMESPACE, "patch", "secret", "kept-ca", "-p", &patch];
    world.kubectl.run_with(&arguments, None)?.succeeded()?;
    replaced(world, kept, &before)
}

/// The bundle holds old and new, then the new one alone; the replica is ready all the time.
fn replaced(world: &World, kept: &Kept, before: &[String]) -> Result<String, Failure> {
    let mut both = false;
    until_within(LONG, "a new authority alone", || {
        let now = bundle(world)?;
        both |= now.len() == 2 && before.iter().all(|old| now.contains(old));
        ensure(kept.ready()?, || "not ready meanwhile".to_owned())?;
        Ok((now.len() == 1 && now != before).then_some(()))
    })?;
    ensure(both, || "the old authority was dropped at once".to_owned())?;
    kept.works(world, "replaced")?;
    Ok("old and new, then new".to_owned())
}

fn killed(world: &World, kept: &mut Kept) -> Result<String, Failure> {
    kept.keepers.push(keep(world, "keeper-6", "1h", "10h")?);
    let held = |keeper: &Keeper| -> Result<bool, Failure> {
        Ok(page(keeper.admin, "/metrics")?.contains("\npullgate_keeper_lease_held 1\n"))
    };
    until("the first keeper, and no other, to hold the Lease", || {
        Ok((held(&kept.keepers[0])? && !held(&kept.keepers[1])?).then_some(()))
    })
    .map_err(|failure| {
        format!("{failure}\n{}", kept.keepers.iter().map(|keeper| keeper.part.tail()).collect::<String>())
    })?;
    world.signal("keeper-5", "-KILL")?;
    let began = Instant::now();
    world.kubectl.run(&format!("-n {OWN_NAMESPACE} delete secret kept-tls"))?.succeeded()?;
    until_within(LONG, "the other keeper", || held(&kept.keepers[1]).map(|held| held.then_some(())))?;
    let took = began.elapsed();
    kept.keepers.remove(0);
    until("a new Secret", || Ok((!secret(world, "kept-tls", "tls.crt")?.is_empty()).then_some(())))?;
    kept.works(world, "taken-over")?;
    let transitions = world.field(OWN_NAMESPACE, "lease/kept-keeper", "{.spec.leaseTransitions}")?;
    Ok(format!("after {:.0} s, {transitions} transitions", took.as_secs_f32()))
}

fn silent(world: &World, kept: &mut Kept) -> Result<String, Failure> {
    let segment = secret(world, "kept-tls", "path")?;
    let mut log = kept.logs();
    for name in ["keeper-1", "keeper-2", "keeper-3", "keeper-4", "keeper-5"] {
        log += &std::fs::read_to_string(world.workshop.dir.join(format!("{name}.log")))?;
    }
    ensure(!log.contains(&segment), || "the segment is in the log".to_owned())?;
    ensure(!log.contains("PRIVATE") && !log.contains("panic"), || "a key or a panic is in the log".to_owned())?;
    let metrics = page(kept.admin, "/metrics")?;
    ensure(!metrics.contains(&segment), || "the segment is in the metrics".to_owned())?;
    Ok(format!("{} lines", log.lines().count()))
}
