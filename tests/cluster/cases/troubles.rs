//! The causes that people look up when a pod does not start: what kubectl prints for each, what a node would say, and that
//! the commands of the message end it, typed as they stand there. `docs/TROUBLESHOOTING.md` is written from the same run;
//! with `TROUBLESHOOTING=rewrite` it is written anew, and whoever does that reads the difference.

mod table;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::{env, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use self::table::{Answer, Reality, Then, Trouble};
use crate::Failure;
use crate::canary;
use crate::commands::{self, KINDS, PLACEHOLDERS};
use crate::exchanges::{Family, Row};
use crate::kubectl::{PATIENCE, Said, until, until_within};
use crate::objects::ALICE;
use crate::report::{Report, ensure};
use crate::shell::Shell;
use crate::world::{SHOP, World};

/// Opens the page.
const PREFACE: &str = include_str!("troubles/preface.md");

/// Causes that ask for root: a name server of one's own.
const NAMELESS: &str = "no such host";

/// What one cause came to.
struct Shown {
    trouble: Trouble,
    kubectl: String,
    node: Option<String>,
}

pub(super) fn cases(world: &mut World, report: &mut Report) {
    let world = &*world;
    let (mut shown, mut typed) = (Vec::new(), BTreeSet::new());
    let mut shell = None;
    report.case("troubles: what must be there before", |_| {
        table::prepare(world)?;
        shell = Some(Shell::new(world)?);
        world.stage.play(&recorded("ecr", "a login that may")?);
        table::old_pod(world)?;
        nodes_are_known(world)
    });
    let Some(shell) = shell else { return };
    for trouble in table::table() {
        report.case(&format!("troubles: {}", trouble.cause), |kept| {
            let said = refused(world, &trouble)?;
            kept.show(&said);
            let node = node_says(world, &trouble)?;
            let commands = mended(world, &shell, &trouble, &said)?;
            typed.extend(commands.iter().flat_map(|command| commands::kinds(command)));
            shown.push(Shown { trouble, kubectl: said.stderr, node });
            Ok(format!("{} typed", commands.len()))
        });
    }
    report.case("troubles: a command that only check prints", |_| {
        let commands = checked(world, &shell)?;
        typed.extend(commands.iter().flat_map(|command| commands::kinds(command)));
        Ok(commands.join("; "))
    });
    report.case("troubles: the old pod still runs, and can be changed", |_| {
        world.kubectl.run(&format!("-n {SHOP} label pod old still=there"))?.succeeded()?;
        Ok(String::new())
    });
    report.case("troubles: every command that a message may print was typed", |_| {
        let left: Vec<&str> = KINDS.into_iter().filter(|kind| !typed.contains(*kind)).collect();
        ensure(left.is_empty(), || format!("nobody typed {left:?}"))?;
        Ok(format!("{} kinds", typed.len()))
    });
    report.case("troubles: docs/TROUBLESHOOTING.md is what kubectl printed", |_| written(world, &page(&shown)));
    world.kubectl.run("delete node mainframe server").ok();
}

/// The watch has brought the Nodes. It waits up to half a minute between attempts after the API server was gone.
fn nodes_are_known(world: &World) -> Result<String, Failure> {
    let trouble = table::table().into_iter().find(|trouble| trouble.code == "PlatformMismatch");
    let trouble = trouble.ok_or("a cause about platforms")?;
    until_within(3 * PATIENCE, "the watch to bring the Nodes", || {
        let said = world.kubectl.feed("apply --dry-run=server -f -", &trouble.pod)?;
        Ok((said.code == Some(1)).then_some(()))
    })?;
    Ok(String::new())
}

/// What kubectl prints when the pod is created.
fn refused(world: &World, trouble: &Trouble) -> Result<Said, Failure> {
    if let Reality::Recorded(family, row) = trouble.reality {
        world.stage.play(&recorded(family, row)?);
    }
    if trouble.cause == table::OLD_PODS {
        // The token of before is in memory for half a minute.
        until_within(2 * PATIENCE, "the Secret to be read again", || {
            let said = world.kubectl.feed("apply --dry-run=server -f -", &trouble.pod)?;
            Ok((said.code == Some(1)).then_some(()))
        })?;
    }
    let said = world.kubectl.apply(&trouble.pod)?;
    let said = match trouble.answer {
        Answer::Denied => said.refused(trouble.code)?,
        Answer::Warned => said.warned(&[&format!("{}: ", trouble.code)])?,
    };
    if trouble.reality != Reality::Real {
        let (asked, unanswered) = world.stage.asked();
        ensure(!asked.is_empty(), || format!("no recorded host was asked: {said}"))?;
        ensure(unanswered.is_empty(), || format!("not recorded: {unanswered:?}"))?;
    }
    if let Some(stray) = commands::stray(&said.stderr) {
        return Err(format!("a command that is none of the known ones: {stray}").into());
    }
    Ok(said)
}

/// The line of the node: as `pullgate check` gives it for the same pod against the same cluster.
fn node_says(world: &World, trouble: &Trouble) -> Result<Option<String>, Failure> {
    if let Some(node) = trouble.node {
        return Ok(Some(node.to_owned()));
    }
    let said = check(world, &trouble.pod, "json")?;
    let json: Value = serde_json::from_str(&said.stdout).map_err(|error| format!("{error}: {said}"))?;
    let findings = json["results"][0]["findings"].as_array().cloned().unwrap_or_default();
    let finding = findings.iter().find(|finding| finding["code"] == trouble.code);
    let finding = finding.ok_or_else(|| format!("check says otherwise than the webhook: {said}"))?;
    Ok(finding["node"].as_str().map(str::to_owned))
}

/// `pullgate check` on a manifest, against the cluster and with the configuration of the webhook.
fn check(world: &World, pod: &Value, format: &str) -> Result<Said, Failure> {
    let file = world.workshop.file("trouble.json", pod.to_string())?;
    let mut start = world.pullgate()?;
    let done = Command::new(start.remove(0))
        .args(start)
        .args(["check", "-o", format, "-f"])
        .arg(file)
        .arg("--config")
        .arg(&world.gate()?.config)
        .arg("--kubeconfig")
        .arg(&world.kubectl.kubeconfig)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&done.stdout), text(&done.stderr));
    for output in [&stdout, &stderr] {
        let trace = canary::trace(output);
        ensure(trace.is_none(), || format!("check prints a password: {trace:?}"))?;
    }
    Ok(Said { command: "pullgate check".to_owned(), code: done.status.code(), stdout, stderr })
}

/// A command that only `check` prints, for a list of pull secrets that is the `ServiceAccount`'s.
fn checked(world: &World, shell: &Shell) -> Result<Vec<String>, Failure> {
    let pod = table::through_its_account();
    let said = check(world, &pod, "table")?;
    let commands = commands::commands(&said.stdout);
    ensure(said.code == Some(1) && commands.iter().any(|command| command.contains("--type=json")), || {
        said.to_string()
    })?;
    for command in &commands {
        shell.type_in(&filled_in(ALICE, command)?)?;
    }
    let said = check(world, &pod, "table")?;
    ensure(said.code == Some(0), || said.to_string())?;
    world.kubectl.apply(&pod)?.soundly()?;
    Ok(commands)
}

/// Types what the message says, does what it says in words, and creates the pod again; gives the commands.
fn mended(world: &World, shell: &Shell, trouble: &Trouble, said: &Said) -> Result<Vec<String>, Failure> {
    let commands = commands::commands(&said.stderr);
    if let Then::Nothing = trouble.then {
        ensure(commands.is_empty(), || format!("nobody types {commands:?}"))?;
        return Ok(commands);
    }
    let written = said.stderr.lines().find_map(|line| line.trim_start().strip_prefix("image: "));
    ensure(!commands.is_empty() || written.is_some(), || format!("nothing to type: {said}"))?;
    let mut printed = String::new();
    for command in &commands {
        let line = filled_in(trouble.login, command)?;
        printed += &shell.type_in(&line)?.stdout;
    }
    if trouble.reality != Reality::Real {
        world.stage.play(&granted());
    }
    if let Some((secret, user, password)) = trouble.fresh() {
        holds(world, secret, user, password)?;
    }
    let mut pod = trouble.pod.clone();
    match trouble.then {
        Then::Nothing | Then::Again => {}
        Then::Edited(edit) => match written.filter(|_| commands.is_empty()) {
            Some(image) => pod["spec"]["containers"][0]["image"] = image.into(),
            None => edit(&mut pod),
        },
        Then::Suggested => {
            let (_, after) = said.stderr.split_once("did you mean ").ok_or("nothing is suggested")?;
            let tag = after.split([',', '?', ' ']).next().unwrap_or_default();
            ensure(printed.contains(&format!("\"{tag}\"")), || format!("{tag} is not among {printed}"))?;
            let (name, _) = trouble.image().rsplit_once(':').ok_or("a tag")?;
            pod["spec"]["containers"][0]["image"] = format!("{name}:{tag}").into();
        }
    }
    if trouble.answer == Answer::Warned {
        // The other one is there already, and no update of it is asked about.
        pod["metadata"]["name"] = format!("{}-again", trouble.name()).into();
    }
    if ["PlatformMismatch", "WrongArchitecture"].contains(&trouble.code) {
        // A tag that was pushed again is believed for a few seconds more.
        until("the tag to be looked up again", || world.kubectl.apply(&pod)?.soundly().map(Some))?;
    } else {
        world.kubectl.apply(&pod)?.soundly()?;
    }
    if let Some((_, after)) = said.stderr.split_once("nodeSelector: {kubernetes.io/arch: ") {
        let mut pod = trouble.pod.clone();
        pod["metadata"]["name"] = format!("{}-elsewhere", trouble.name()).into();
        pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/arch": after.split('}').next() });
        world.kubectl.apply(&pod)?.soundly()?;
    }
    // The next message suggests the same names.
    for host in ["registry-corp-io", "registry-corp-io-5000", "docker-io"] {
        world.kubectl.run(&format!("-n {SHOP} delete secret regcred-{host} --ignore-not-found"))?.succeeded()?;
    }
    Ok(commands)
}

/// The command with what the reader puts in: a login for `USER` and `PASSWORD`.
fn filled_in((user, password): (&str, &str), command: &str) -> Result<String, Failure> {
    let placeholders = commands::placeholders(command);
    let other = placeholders.iter().find(|word| !PLACEHOLDERS.contains(&word.as_str()));
    ensure(other.is_none(), || format!("{other:?} stands for something that the reader has to find out: {command}"))?;
    let line = command.replace("USER", user).replace("PASSWORD", password);
    Ok(line)
}

/// The Secret holds exactly this login.
fn holds(world: &World, secret: &str, user: &str, password: &str) -> Result<(), Failure> {
    let data = world.field(SHOP, &format!("secret/{secret}"), "{.data.\\.dockerconfigjson}")?;
    let document: Value = serde_json::from_slice(&STANDARD.decode(data)?)?;
    let entries: Vec<&Value> = document["auths"].as_object().into_iter().flat_map(|auths| auths.values()).collect();
    let is = entries.iter().any(|entry| entry["username"] == user && entry["password"] == password);
    ensure(is, || format!("Secret {secret} does not hold the new login of {user}"))
}

fn recorded(family: &str, row: &str) -> Result<Arc<Row>, Failure> {
    let path = root().join("tests/dialects").join(format!("{family}.http"));
    let found = Family::read(&path).rows.into_iter().find(|known| known.name == row);
    found.ok_or_else(|| format!("{} has no row {row}", path.display()).into())
}

/// What a recorded host answers once the login is right.
fn granted() -> Arc<Row> {
    Family::read(&root().join("tests/cluster/granted.http")).rows.remove(0)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// How long a registry is left alone depends on when it was asked.
fn steady(text: &str) -> String {
    let (before, after) = text.split_once("not asked again for another ").unwrap_or((text, ""));
    match after.split_once(" s") {
        Some((_, after)) => format!("{before}not asked again for another 10 s{}", steady(after)),
        None => text.to_owned(),
    }
}

fn page(shown: &[Shown]) -> String {
    let anchor = |cause: &str| -> String {
        let kept =
            cause.to_lowercase().chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-').collect::<String>();
        kept.replace(' ', "-")
    };
    let mut page = PREFACE.to_owned();
    page += "\n| cause | code | tested with |\n|---|---|---|\n";
    for Shown { trouble, .. } in shown {
        let tested = match trouble.reality {
            Reality::Real => "real parts",
            Reality::Recorded(..) => "recorded answers",
        };
        let Trouble { cause, code, .. } = trouble;
        page += &format!("| [{cause}](#{}) | [`{code}`](codes/{code}.md) | {tested} |\n", anchor(cause));
    }
    for Shown { trouble, kubectl, node } in shown {
        let Trouble { cause, code, .. } = trouble;
        let node = node.as_deref().unwrap_or("(what a node's runtime says here depends on the node)");
        page += &format!(
            "\n## {cause}\n\nThe node, minutes later:\n\n```text\n{node}\n```\n\n`kubectl apply`, at once:\n\n```text\n{}\n```\n\nMore: [`{code}`](codes/{code}.md)\n",
            steady(kubectl.trim_end())
        );
    }
    page
}

/// The page is what the run says; what root alone can show is taken as it is written.
fn written(world: &World, page: &str) -> Result<String, Failure> {
    let path = root().join("docs/TROUBLESHOOTING.md");
    if env::var_os("TROUBLESHOOTING").is_some_and(|value| value == "rewrite") {
        ensure(world.name_server, || "the page is written by root, who can have a name server".to_owned())?;
        fs::write(&path, page)?;
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let without = |page: &str| -> String {
        let nameless = |section: &&str| world.name_server || !section.starts_with(NAMELESS);
        page.split("\n## ").filter(nameless).collect::<Vec<_>>().join("\n## ")
    };
    let (is, must) = (without(&there), without(page));
    if is == must {
        return Ok(format!("{} lines", page.lines().count()));
    }
    let differs = is.lines().zip(must.lines()).find(|(is, must)| is != must);
    Err(format!("it is not; write it with TROUBLESHOOTING=rewrite; the first difference: {differs:?}").into())
}
