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
use serde_json::Value;

use self::table::{Answer, Reality, Then, Trouble};
use crate::Failure;
use crate::commands::{self, KINDS};
use crate::exchanges::{Family, Row};
use crate::kubectl::{Said, until};
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

/// The watch has brought the Nodes.
fn nodes_are_known(world: &World) -> Result<String, Failure> {
    let trouble = table::table().into_iter().find(|trouble| trouble.code == "PlatformMismatch");
    let trouble = trouble.ok_or("a cause about platforms")?;
    until("the watch to bring the Nodes", || {
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
    let file = world.workshop.file("trouble.json", trouble.pod.to_string())?;
    let mut start = world.pullgate()?;
    let done = Command::new(start.remove(0))
        .args(start)
        .args(["check", "-o", "json", "-f"])
        .arg(file)
        .arg("--config")
        .arg(&world.gate()?.config)
        .arg("--kubeconfig")
        .arg(&world.kubectl.kubeconfig)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()?;
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    let trace = crate::canary::trace(&out).or_else(|| crate::canary::trace(&err));
    ensure(trace.is_none(), || format!("check prints a password: {trace:?}"))?;
    let json: Value = serde_json::from_str(&out).map_err(|error| format!("{error}: {out}{err}"))?;
    let findings = json["results"][0]["findings"].as_array().cloned().unwrap_or_default();
    let finding = findings.iter().find(|finding| finding["code"] == trouble.code);
    let finding = finding.ok_or_else(|| format!("check says otherwise than the webhook: {out}"))?;
    Ok(finding["node"].as_str().map(str::to_owned))
}

/// Types what the message says, does what it says in words, and creates the pod again; gives the commands.
fn mended(world: &World, shell: &Shell, trouble: &Trouble, said: &Said) -> Result<Vec<String>, Failure> {
    let commands = commands::commands(&said.stderr);
    if let Then::Nothing = trouble.then {
        ensure(commands.is_empty(), || format!("nobody types {commands:?}"))?;
        return Ok(commands);
    }
    ensure(!commands.is_empty(), || format!("no command to type: {said}"))?;
    let mut printed = String::new();
    for command in &commands {
        let line = filled_in(trouble, command)?;
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
        Then::Edited(edit) => edit(&mut pod),
        Then::Suggested => {
            let (_, after) = said.stderr.split_once("did you mean ").ok_or("nothing is suggested")?;
            let tag = after.split([',', '?', ' ']).next().unwrap_or_default();
            ensure(printed.contains(&format!("\"{tag}\"")), || format!("{tag} is not among {printed}"))?;
            let (name, _) = trouble.image().rsplit_once(':').ok_or("a tag")?;
            pod["spec"]["containers"][0]["image"] = format!("{name}:{tag}").into();
        }
    }
    world.kubectl.apply(&pod)?.soundly()?;
    Ok(commands)
}

/// The command with what the reader puts in: a login for `USER` and `PASSWORD`, and for a build what it is to be called.
fn filled_in(trouble: &Trouble, command: &str) -> Result<String, Failure> {
    let (user, password) = trouble.login;
    let placeholders = commands::placeholders(command);
    let build = command.starts_with("docker buildx build ");
    let other = placeholders.iter().find(|word| !matches!(word.as_str(), "USER" | "PASSWORD") && !(build && *word == "…"));
    ensure(other.is_none(), || format!("{other:?} stands for something that the reader has to find out: {command}"))?;
    let line = command.replace("USER", &format!("'{user}'")).replace("PASSWORD", &format!("'{password}'"));
    Ok(line.replace('…', &format!("-t {} --push .", trouble.image())))
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

fn page(shown: &[Shown]) -> String {
    let anchor = |cause: &str| -> String {
        let kept = cause.to_lowercase().chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-').collect::<String>();
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
            kubectl.trim_end()
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
