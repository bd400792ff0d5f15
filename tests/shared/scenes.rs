//! What replicas share, with whom, and what somebody who can write to the server gets out of it.

use std::process::Command;

use pullgate::check::Purpose;
use pullgate::demo::registry::Kind;

use crate::parts::free_ports;
use crate::pki::Authority;
use crate::world::{BETWEEN, TRIES, World};
use crate::{Failure, pki};

/// Images for which something must never come about.
const NEVER: usize = 5;

pub(crate) async fn shares(world: &World) -> Result<String, Failure> {
    let server = world.server(&[])?;
    let (first, second) = (world.replica(&server.url())?, world.replica(&server.url())?);
    let image = world.shared_image(&first, &second).await?;
    let verdict = second.check(&image, Purpose::Judge).await;
    if verdict.images.iter().any(|judged| judged.pinnable || judged.digest.is_none()) {
        return Err("a borrowed fact may be pinned".into());
    }
    world.registry.clear_log();
    second.pins(&image).await?;
    let requests =
        world.registry.requests().iter().filter(|request| request.kind == Kind::Manifest && request.authorised).count();
    if requests != 1 {
        return Err(format!("{requests} authorised requests for a pin").into());
    }
    Ok(format!("0 requests, 1 HEAD to pin; {}", second.counters()))
}

pub(crate) async fn says_nothing(world: &World) -> Result<String, Failure> {
    let server = world.server(&[])?;
    let (first, second) = (world.replica(&server.url())?, world.replica(&server.url())?);
    world.shared_image(&first, &second).await?;
    let mut intruder = server.intruder()?;
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut intruder)?;
    let mut size = 0;
    for name in &names {
        let entry: Vec<u8> = redis::cmd("GET").arg(name).query(&mut intruder)?;
        let ttl: i64 = redis::cmd("TTL").arg(name).query(&mut intruder)?;
        if !(1..=3600).contains(&ttl) {
            return Err(format!("{name} lives for {ttl} s").into());
        }
        let shown = format!("{name} {}", String::from_utf8_lossy(&entry));
        for word in ["\"ann\"", "ann:", "canary-wonderland", "books", "ledger", &world.registry.host()] {
            if shown.contains(word) {
                return Err(format!("{word:?} stands in {shown}").into());
            }
        }
        size = size.max(entry.len());
    }
    if names.is_empty() {
        return Err("nothing is there".into());
    }
    Ok(format!("{} entries, the longest of {size} bytes", names.len()))
}

pub(crate) async fn other_key(world: &World) -> Result<String, Failure> {
    world.file("other-key", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB")?;
    apart(world, "other-key", "").await
}

pub(crate) async fn other_ways(world: &World) -> Result<String, Failure> {
    apart(world, "key", ", timeout: 5s").await
}

/// A third replica is alone beside two that share.
async fn apart(world: &World, key: &str, rule: &str) -> Result<String, Failure> {
    let server = world.server(&[])?;
    let (first, second) = (world.replica(&server.url())?, world.replica(&server.url())?);
    let third = world.replica_with(&server.url(), key, "", rule)?;
    for _ in 0..NEVER {
        let image = world.shared_image(&first, &second).await?;
        world.registry.clear_log();
        third.allows(&image).await?;
        if world.registry.requests().is_empty() {
            return Err(format!("shared\n{}", third.counters()).into());
        }
    }
    if third.count("reads", "hit") > 0 || third.count("reads", "miss") == 0 {
        return Err(third.counters().into());
    }
    Ok(third.counters())
}

pub(crate) async fn tampered(world: &World) -> Result<String, Failure> {
    const ALTER: &str = "for _, k in ipairs(redis.call('KEYS', '*')) do local v = redis.call('GET', k) \
                         redis.call('SET', k, v:sub(1, -2) .. 'x') end";
    const MOVE: &str = "local all = redis.call('KEYS', '*') for i, k in ipairs(all) do \
                        if k ~= ARGV[1] then redis.call('COPY', ARGV[1], k, 'REPLACE') end end";
    let server = world.server(&[])?;
    let (first, second) = (world.replica(&server.url())?, world.replica(&server.url())?);
    let mut intruder = server.intruder()?;
    let mut remarks = Vec::new();
    for (what, script) in [("altered", ALTER), ("moved", MOVE)] {
        let third = world.replica(&server.url())?;
        for _ in 0..TRIES {
            redis::cmd("FLUSHALL").exec(&mut intruder)?;
            let old = world.shared_image(&first, &second).await?;
            let names: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut intruder)?;
            let other = names.first().ok_or("nothing is there")?;
            let image = world.shared_image(&first, &second).await?;
            redis::cmd("EVAL").arg(script).arg(0).arg(other).exec(&mut intruder)?;
            world.registry.clear_log();
            third.allows(&image).await?;
            third.allows(&old).await?;
            if world.registry.requests().is_empty() {
                return Err(format!("{what}: an entry that no replica wrote there was taken").into());
            }
            if third.count("reads", "mac") > 0 {
                break;
            }
        }
        if third.count("reads", "mac") == 0 {
            return Err(format!("{what}: nothing was refused\n{}", third.counters()).into());
        }
        remarks.push(format!("{what}: {}", third.counters()));
    }
    Ok(remarks.join("; "))
}

pub(crate) async fn password(world: &World) -> Result<String, Failure> {
    let server = world.server(&["--requirepass", "open-sesame"])?;
    let with = |name: &str, password: &str| {
        let file = world.file(name, password)?;
        world.replica_with(&server.url(), "key", &format!("    passwordFile: {file}\n"), "")
    };
    let (first, second) = (with("password", "open-sesame\n")?, with("password", "open-sesame")?);
    let (wrong, without) = (with("wrong-password", "open-barley")?, world.replica(&server.url())?);
    for _ in 0..NEVER {
        let image = world.shared_image(&first, &second).await?;
        for alone in [&wrong, &without] {
            alone.allows(&image).await?;
            tokio::time::sleep(BETWEEN).await;
        }
    }
    for alone in [&wrong, &without] {
        if alone.count("reads", "hit") + alone.count("reads", "miss") > 0 {
            return Err(alone.counters().into());
        }
    }
    Ok(format!("{}; with a wrong one: {}", second.counters(), wrong.counters()))
}

pub(crate) async fn tls(world: &World) -> Result<String, Failure> {
    let (authority, stranger) = (Authority::new("shared cache")?, Authority::new("somebody else")?);
    let leaf: pki::Leaf = authority.issue(&["127.0.0.1"])?;
    let certificate = world.file("server.crt", leaf.certificate_pem())?;
    let key = world.file("server.key", &leaf.key_pem())?;
    let ca = world.file("server-ca.pem", &authority.pem)?;
    let stranger = world.file("stranger.pem", &stranger.pem)?;
    let [port] = free_ports()?;
    let tls_port = port.to_string();
    let arguments = [
        ["--port", "0"],
        ["--tls-port", &tls_port],
        ["--tls-cert-file", &certificate],
        ["--tls-key-file", &key],
        ["--tls-auth-clients", "no"],
        ["--tls-ca-cert-file", &ca],
    ];
    let _server = world.server_at(port, arguments.as_flattened())?;
    let url = format!("rediss://127.0.0.1:{port}");
    let with = |file: &str| world.replica_with(&url, "key", &format!("    caFile: {file}\n"), "");
    let (first, second, misled) = (with(&ca)?, with(&ca)?, with(&stranger)?);
    for _ in 0..NEVER {
        let image = world.shared_image(&first, &second).await?;
        misled.allows(&image).await?;
    }
    if misled.count("reads", "hit") + misled.count("reads", "miss") + misled.count("writes", "ok") > 0 {
        return Err(format!("trusted a stranger: {}", misled.counters()).into());
    }
    Ok(format!("{}; with another authority: {}", second.counters(), misled.counters()))
}

pub(crate) fn unusable_files(world: &World) -> Result<String, Failure> {
    let (short, empty) = (world.file("short-key", "0123456789")?, world.file("empty.pem", "")?);
    let cluster = world.dir.path().join("cluster");
    std::fs::create_dir_all(&cluster)?;
    let cases = [
        ("redis://127.0.0.1:1", "short-key", String::new(), format!("cache.shared.keyFile: {short}: holds 10 bytes")),
        ("redis://127.0.0.1:1", "no-key", String::new(), "cache.shared.keyFile: ".to_owned()),
        (
            "rediss://127.0.0.1:1",
            "key",
            format!("    caFile: {empty}\n"),
            format!("cache.shared.caFile: {empty}: holds no certificate"),
        ),
        (
            "redis://127.0.0.1:1",
            "key",
            "    passwordFile: /none\n".to_owned(),
            "cache.shared.passwordFile: /none".to_owned(),
        ),
        ("redis://:pw@127.0.0.1:1", "key", String::new(), "test.yaml:6:10: no login belongs into the URL".to_owned()),
    ];
    for (url, key, shared, expected) in &cases {
        let config = world.file("test.yaml", &world.config(url, key, shared, ""))?;
        let output = Command::new(env!("CARGO_BIN_EXE_pullgate"))
            .args(["serve", "--config", &config, "--cluster-from"])
            .arg(&cluster)
            .args(["--tls-cert-file", "none", "--tls-private-key-file", "none"])
            .env_clear()
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(2) || !said.contains(expected) {
            return Err(format!("{:?}: {said}\ninstead of {expected}", output.status.code()).into());
        }
    }
    Ok(format!("{} cases, exit code 2", cases.len()))
}
