//! The recorded exchanges of `tests/dialects` before containerd's own resolver: the same bytes over the same proxy, so
//! that it, too, believes to speak with the registry by its name. Whether the image resolves must agree on every row,
//! and so must the line of the node; what pullgate makes of a row is held by the hermetic suite, and asked again here.

use std::path::Path;

use self::exchanges::{Family, Played, Row, Stage};
use crate::judge::{self, Class};
use crate::parts::{Oracle, OracleAnswer, Question, Workshop};
use crate::{Failure, Figures, cases};

#[allow(dead_code, reason = "shared with the hermetic suite")]
#[path = "../parts/dialects.rs"]
mod exchanges;

/// The name of a family, and how many rows agree or which do not.
type Outcome = (String, Result<String, Failure>);

/// One outcome for each family.
pub(crate) fn cases(dir: &Path, figures: &mut Figures) -> Result<Vec<Outcome>, Failure> {
    pullgate::cli::install_crypto();
    std::fs::create_dir_all(dir)?;
    let workshop = Workshop::new(dir, &["pull-oracle"])?;
    let stage = Stage::open()?;
    let ca_file = workshop.file("ca.pem", stage.ca())?;
    let hosts = dir.join("hosts");
    std::fs::create_dir_all(&hosts)?;
    let proxy = stage.proxy();
    let environment =
        [("HTTPS_PROXY", proxy.as_str()), ("HTTP_PROXY", &proxy), ("SSL_CERT_FILE", &ca_file.display().to_string())];
    let mut oracle = workshop.oracle_with("pull-oracle", &hosts, &environment)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut outcomes = Vec::new();
    for family in Family::all() {
        let (mut wrong, mut lines) = (Vec::new(), 0);
        for row in &family.rows {
            stage.play(row);
            figures.questions += 1;
            let theirs = ask(&mut oracle, row)?;
            let (asked, unanswered) = stage.asked();
            let ours = runtime.block_on(exchanges::ask(&stage, row, &ca_file));
            let complaint = if unanswered.is_empty() {
                compare(row, &theirs, &ours, &mut lines)
            } else {
                Err(format!("containerd asks what is not recorded: {unanswered:?}"))
            };
            if let Err(complaint) = complaint {
                wrong.push(format!("{}: {complaint}\ncontainerd asked {asked:#?}\n{ours:#?}", row.name));
            }
        }
        figures.fixed_lines += lines;
        let rows = format!("{} rows, {lines} lines of the node", family.rows.len());
        let outcome = if wrong.is_empty() { Ok(rows) } else { Err(wrong.join("\n").into()) };
        outcomes.push((format!("dialect: {}", family.title), outcome));
    }
    Ok(outcomes)
}

fn ask(oracle: &mut Oracle, row: &Row) -> Result<OracleAnswer, Failure> {
    let nobody = || (cases::NOBODY.0.to_owned(), cases::NOBODY.1.to_owned());
    let (username, password) = row.login.clone().unwrap_or_else(nobody);
    let question = Question {
        image: &row.image,
        username: &username,
        password: &password,
        timeout_ms: 30_000,
        platform: "",
        fetch: false,
    };
    oracle.ask(&question)
}

fn compare(row: &Row, theirs: &OracleAnswer, ours: &Played, lines: &mut usize) -> Result<(), String> {
    let resolves = theirs.error.is_empty();
    if resolves != row.node_resolves() {
        return Err(format!("containerd resolves: {resolves}, the row expects {:?}: {}", row.expect, theirs.error));
    }
    if ours.outcome != row.expect {
        return Err(format!("pullgate says {:?}, the row expects {:?}", ours.outcome, row.expect));
    }
    if resolves {
        return if theirs.digest == exchanges::digest() {
            Ok(())
        } else {
            Err(format!("another digest: {}", theirs.digest))
        };
    }
    let line = judge::node_line(std::slice::from_ref(theirs), judge::with_prefixes);
    // What Go makes of a URL that is none is no more binding than the words of its network stack.
    let binding = |text: &String| Class::of_oracle(text) != Some(Class::Network) && !text.contains("tls: illegal");
    match (line.map(|line| line.text).filter(binding), &ours.node) {
        (Some(theirs), Some(ours)) if host(&theirs) == host(ours) => {
            if essence(&theirs) != essence(ours) {
                return Err(format!("the node's line is {theirs}\npullgate's is     {ours}"));
            }
            *lines += 1;
        }
        // Redirected: the node names where it ended; or not looked at by pullgate's own choice.
        _ => {}
    }
    Ok(())
}

/// The line up to its status: pullgate words a status as Go does where the registry sends no phrase of its own (HTTP/2).
fn essence(line: &str) -> &str {
    let status = |at: &usize| line[*at..].get(2..5).is_some_and(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
    line.match_indices(": ").map(|(at, _)| at).filter(status).last().map_or(line, |at| &line[..at + 5])
}

/// The host of the last URL in a line.
fn host(line: &str) -> Option<&str> {
    line.rsplit_once("https://").and_then(|(_, rest)| rest.split('/').next())
}
