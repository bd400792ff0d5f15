//! The words that authors read, whole, for every code; and that no secret is ever among them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pullgate::demo::registry::{Access, Bearer, Login, Realm};
use pullgate::finding::{Code, NoticeCode};
use pullgate::message::warnings;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::gate::{
    Answer, Gate, GateSpec, OTHER_PASSWORD, PASSWORD, Scene, TEAM, WRONG_PASSWORD, noticed, scene, secret,
};

/// What `kubectl` prints, with long runs of one digit cut.
fn shown(answer: &Answer) -> String {
    let warnings = answer.warnings().into_iter().map(|warning| format!("Warning: {warning}\n"));
    let mut text: String = warnings.collect();
    if !answer.allowed() {
        text.push_str(
            "Error from server (Forbidden): admission webhook \"validate.pullgate.dev\" denied the request: ",
        );
        text.push_str(&answer.message());
        text.push('\n');
    }
    text.push_str(&format!("audit: {}\n", answer.annotation("findings")));
    text.replace(&"0".repeat(64), "0…0")
}

#[tokio::test]
async fn the_words_of_every_code() {
    let mut text = String::new();
    for code in Code::ALL {
        let scene = scene(code).await;
        let answer = scene.gate.validate(&scene.review).await;
        if !answer.allowed() {
            fits(&answer);
        }
        text.push_str(&format!("── {code}\n{}\n", shown(&answer)));
    }
    insta::assert_snapshot!("the_words_of_every_code", text);
}

#[tokio::test]
async fn the_words_of_every_code_under_warn() {
    let mut text = String::new();
    for code in Code::ALL.into_iter().filter(|code| code.certain()) {
        let scene = scene(code).await;
        scene.gate.put(scene.gate.policy("mode: warn"));
        let answer = scene.gate.validate(&scene.review).await;
        text.push_str(&format!("── {code}\n{}\n", shown(&answer)));
    }
    insta::assert_snapshot!("the_words_of_every_code_under_warn", text);
}

#[tokio::test]
async fn the_words_about_pull_secrets_that_do_not_help() {
    let gate = Gate::start().await;
    gate.registry.push("team/api", "v1");
    let opaque = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "opaque", "namespace": TEAM } });
    let host = gate.registry.host();
    let elsewhere = json!({ "auths": { "127.0.0.1:1": { "username": "ann", "password": PASSWORD } } });
    let half = json!({ "auths": { host: { "username": "ann" } } });
    gate.cluster(&[
        opaque.to_string(),
        secret(TEAM, "elsewhere", &elsewhere),
        secret(TEAM, "half", &half),
        gate.login(TEAM, "wrong", "ann", WRONG_PASSWORD),
        gate.login(TEAM, "bobs", "bob", OTHER_PASSWORD),
        gate.login("team-b", "theirs", "ann", PASSWORD),
    ]);
    let mut text = String::new();
    for secrets in [vec!["theirs"], vec!["opaque"], vec!["elsewhere"], vec!["half"], vec!["wrong", "bobs"]] {
        let review = gate.pod(&[&gate.image("team/api:v1"), &gate.image("open:v1")], &secrets);
        let answer = gate.validate(&review).await;
        fits(&answer);
        text.push_str(&format!("── {}\n{}\n", secrets.join(", "), shown(&answer)));
    }
    insta::assert_snapshot!("the_words_about_pull_secrets_that_do_not_help", text);
}

/// Every text of a verdict, whole, whatever the mode makes of it.
async fn whole(scene: &Scene) -> String {
    let verdict = scene.gate.verdict(&scene.review).await;
    let mut text = String::new();
    for finding in &verdict.findings {
        text.push_str(&format!("{}\nfix: {}\n", finding.message(), finding.fix));
    }
    for notice in &verdict.notices {
        let fix = notice.fix.as_deref().unwrap_or("-");
        text.push_str(&format!("{}\nfix: {fix}\n", notice.message));
    }
    for warning in warnings(&verdict.findings, &verdict.notices) {
        text.push_str(&format!("warning: {warning}\n"));
    }
    for line in text.lines().filter(|line| line.starts_with("warning: ")) {
        assert!(line.len() <= "warning: ".len() + 256, "{line}");
    }
    commands(&text);
    let host = scene.gate.registry.host();
    text.replace(&host, "R").replace(&host.replace(['.', ':'], "-"), "r")
}

/// A line to type stands alone: nothing is in front of it, and no words are behind it.
fn commands(text: &str) {
    for line in text.lines().filter(|line| !line.starts_with("warning: ")) {
        let tools = ["kubectl ", "skopeo ", "docker buildx"];
        let typed = line.starts_with("  ");
        assert!(typed || !tools.iter().any(|tool| line.contains(tool)), "{line}");
        assert!(!typed || !line.contains("; ") && !line.contains('…'), "{line}");
    }
}

#[tokio::test]
async fn every_code_has_its_message_its_fix_and_its_warning() {
    for code in Code::ALL {
        let text = whole(&scene(code).await).await;
        assert!(text.contains(&format!("warning: {code}: ")), "{code}: {text}");
        insta::assert_snapshot!(format!("code_{code}"), text);
    }
}

#[tokio::test]
async fn every_notice_has_its_message_its_fix_and_its_warning() {
    for code in NoticeCode::ALL {
        let text = whole(&noticed(code).await).await;
        assert!(text.contains(&format!("warning: {}: ", code.as_str())), "{code:?}: {text}");
        insta::assert_snapshot!(format!("notice_{}", code.as_str()), text);
    }
}

#[tokio::test]
async fn a_denial_of_many_images_stays_below_a_kibibyte_and_names_the_first_image_whole() {
    let gate = Gate::start().await;
    let name = "n".repeat(150);
    for tags in [["v1"; 9], ["v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9"]] {
        let images: Vec<String> = tags.iter().map(|tag| gate.image(&format!("team/{name}:{tag}"))).collect();
        let other = gate.image("team/api:v1");
        let images: Vec<&str> = images.iter().map(String::as_str).chain([&*other]).collect();
        let answer = gate.validate(&gate.pod(&images, &["bobs"])).await;
        fits(&answer);
        let message = answer.message();
        assert!(message.contains(&format!(": {}", images[0].replace(&gate.registry.host(), "R"))), "{message}");
        assert!(message.contains("\n  and 9 more: R/team/nnn"), "{message}");
    }
}

/// The promises of size: the first line stands in an event list, the whole is below what clients cut.
fn fits(answer: &Answer) {
    let message = answer.message();
    assert!(message.len() < 1024 && !message.ends_with('…'), "{} bytes: {message}", message.len());
    let first = answer.first_line();
    let image = first.split(' ').nth(1).unwrap_or_default();
    assert!(first.chars().count() < 160.max(image.len() + 110) && !first.contains('…'), "{first}");
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What a secret looks like in transit: as it is, and as an `Authorization` header or a Secret carries it.
fn forms(user: &str, secret: &str) -> Vec<String> {
    let pair = format!("{user}:{secret}");
    vec![
        secret.to_owned(),
        STANDARD.encode(secret).trim_end_matches('=').to_owned(),
        STANDARD.encode(&pair).trim_end_matches('=').to_owned(),
        URL_SAFE_NO_PAD.encode(&pair),
    ]
}

#[tokio::test]
async fn no_secret_is_in_any_answer_log_metric_or_debug_output() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let mut seen = String::new();
    let mut secrets: Vec<String> = [PASSWORD, OTHER_PASSWORD, WRONG_PASSWORD]
        .into_iter()
        .flat_map(|password| ["ann", "bob"].into_iter().flat_map(move |user| forms(user, password)))
        .collect();
    let logins = [
        (Login::Basic, false),
        (Login::bearer(), true),
        (Login::Bearer(Bearer { realm: Realm::Relative, ..Bearer::default() }), false),
        (Login::Bearer(Bearer { refuse_post: Some(405), ..Bearer::default() }), false),
    ];
    for (login, hide_existence) in logins {
        let access = Access { hide_existence, ..Access::default() };
        let policy = "mode: enforce\nonUncertain: deny";
        let gate = GateSpec::new().login(login).registry(move |spec| spec.access(access)).policy(policy).start().await;
        gate.registry.push("team/api", "v1");
        secrets.push(gate.registry.issue_token("ann", "team/api").expose_secret().to_owned());
        for names in [vec!["regcred"], vec!["bobs"], vec!["wrong"], vec!["elsewhere"], vec!["regcred", "nonsense"]] {
            for image in ["team/api:v1", "team/gone:v1"] {
                let review = gate.pod(&[&gate.image(image)], &names);
                seen.push_str(&gate.validate(&review).await.text());
            }
        }
        seen.push_str(&gate.mutate(&gate.pod(&[&gate.image("team/api:v1")], &["regcred"])).await.text());
        let snapshot = gate.snapshot();
        seen.push_str(&gate.metrics.render());
        seen.push_str(&format!("{snapshot:?} {snapshot:#?} {:?}", gate.metrics));
    }
    seen.push_str(&String::from_utf8(log.0.lock().unwrap().clone()).unwrap());
    assert!(seen.contains("CredentialsRejected") && seen.contains("Findings"), "the test has seen what it should");
    for secret in secrets {
        assert!(!seen.contains(&secret), "{secret}: …{}…", around(&seen, &secret));
    }
}

fn around<'a>(text: &'a str, part: &str) -> &'a str {
    let at = text.find(part).unwrap_or_default();
    &text[text.floor_char_boundary(at.saturating_sub(200))..text.floor_char_boundary(at + 200)]
}
