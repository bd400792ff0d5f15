//! Text that is made to be more than text: image strings and logins that would write headers and paths, words of
//! registries and names of objects that would write to a terminal or a log.

use std::io::Write;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pullgate::demo::registry::{Answer, Login};
use pullgate::printable::json as json_text;
use serde_json::json;

use super::{resolve, world};
use crate::gate::{Gate, GateSpec};
use crate::support::login;

/// Clears a terminal, sets its title, turns lines around, hides, and speaks in the name of others.
const ACTING: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}drawkcab\u{2066}\u{200b}\u{200d}\u{ad}\u{61c}\u{feff}\u{e0041}\u{e007f}\u{2028}\r\nWarning: all is well\0\u{7f}\u{85}";

/// A character of [`ACTING`] that does more than being read.
fn acts(c: char) -> bool {
    c != '\n' && c != ' ' && !c.is_ascii_graphic() && (c.is_control() || ACTING.contains(c))
}

/// No character of a text may act; a JSON text may have escaped none that a reader of its strings would print.
fn assert_text(text: &str) {
    assert!(!text.contains(acts), "{text:?}");
    for escape in ["\\u001b", "\\u009b", "\\u202e", "\\u0007", "\\u0000", "\\u007f", "\\r"] {
        assert!(!text.contains(escape), "{text:?}");
    }
}

#[tokio::test]
async fn an_image_string_cannot_add_a_header_or_change_the_path() {
    let gate = Gate::start().await;
    let digest = "0".repeat(64);
    for name in [
        "open:v1\r\nX-Evil: 1",
        "open:v1\nHost: evil.example",
        "open\r\n\r\nGET /v2/team/api/manifests/v1 HTTP/1.1",
        "open%0d%0aX-Evil:%201:v1",
        "open:v1 HTTP/1.1",
        "open:v1?ns=evil.example",
        "open:v1#fragment",
        "open:v1%3fa",
        "open/../team/api:v1",
        "open/./x:v1",
        "open//x:v1",
        "/open:v1",
        "open%2f..%2fteam%2fapi:v1",
        "open\\..\\team:v1",
        "open\0:v1",
        "open\t:v1",
        "\u{ff4f}pen:v1",
        "o\u{200b}pen:v1",
        "open:v1;a=b",
        "open:v1@evil.example",
        &format!("open@sha256:{digest}/../../x"),
        &format!("open@sha256:{digest}?x"),
        &format!("open@sha256%3A{digest}"),
        "open@sha256:../../../team/api/manifests/v1",
    ] {
        let image = gate.image(name);
        for image in [&image, &format!("ann:pw@{image}"), &format!("https://{image}")] {
            let review = gate.pod(&[image], &["regcred"]);
            let answer = gate.validate(&review).await;
            assert!(answer.first_line().starts_with("InvalidImageName: "), "{image:?} {answer:?}");
            assert_text(&answer.text());
            let begins = |line: &str| ["X-Evil", "Host", "GET"].iter().any(|word| line.trim_start().starts_with(word));
            assert!(!answer.message().lines().any(begins), "{answer:?}");
            assert_eq!(gate.mutate(&review).await.patch(), None, "{image:?}");
        }
    }
    assert_eq!(gate.asked(), [""; 0]);
}

#[tokio::test]
async fn a_login_cannot_add_a_header() {
    for kind in [Login::Basic, Login::bearer()] {
        let world = world(kind).await;
        let (client, ask) =
            (world.client(), world.ask("team/api:v1", login("ann\r\nX-Evil: 1", "a\r\n\r\nGET / HTTP/1.1")));
        client.resolve(&ask).await.unwrap_err();
        // Each request is one request, and the last of them still gets an answer of its own.
        assert!(world.registry.requests().iter().all(|request| request.path != "/"));
        resolve(&world, "team/api:v1").await.unwrap();
    }
}

#[tokio::test]
async fn a_registrys_words_cannot_act_wherever_they_are_shown() {
    let gate = GateSpec::new().login(Login::None).start().await;
    for (mode, status, code) in
        [("enforce", 404, "MANIFEST_UNKNOWN"), ("warn", 404, ACTING), ("warn", 412, ACTING), ("audit", 404, ACTING)]
    {
        gate.put(gate.policy(&format!("mode: {mode}")));
        gate.registry.behave("open", Answer::envelope(status, code, ACTING));
        let answer = gate.validate(&gate.pod(&[&gate.image("open:v1")], &[])).await;
        assert_text(&answer.text());
        assert!(!answer.text().contains("\nWarning:"), "{answer:?}");
        gate.advance(Duration::from_mins(1));
    }
    for header in ["WWW-Authenticate", "Docker-Content-Digest", "Content-Type"] {
        let said = "Bearer realm=\"https://127.0.0.1:1/\u{202e}\u{200b}\",service=\"\u{9b}\u{e0041}\"";
        gate.registry.behave("open", Answer::status(401).header(header, said));
        gate.put(gate.policy("mode: warn"));
        assert_text(&gate.validate(&gate.pod(&[&gate.image("open:v1")], &["regcred"])).await.text());
        gate.advance(Duration::from_mins(1));
    }
}

/// A log that is kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_name_cannot_act_in_the_log() {
    let kept = Kept::default();
    let log = kept.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let gate = Gate::start().await;
    let mut review = gate.pod(&["no image"], &[]);
    review["request"]["object"]["metadata"]["name"] =
        json!(format!("p\n2027-01-01 INFO Findings decision=allow{ACTING}"));
    review["request"]["name"] = json!(format!("p\n2027-01-01 INFO{ACTING}"));
    assert_text(&gate.validate(&review).await.text());
    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("decision")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(!lines[0].contains(acts) && lines[0].contains("Findings"), "{log}");
}

#[tokio::test]
async fn a_manifest_cannot_act_in_a_table_or_in_json() {
    let files = tempfile::TempDir::new().unwrap();
    let file = files.path().join("pod.json");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("p{ACTING}"), "namespace": "default" },
        "spec": { "containers": [{ "name": format!("c{ACTING}"), "image": format!("x{ACTING}") }] },
    });
    // Escaped, as no YAML reader takes them raw.
    std::fs::write(&file, json_text(&pod.to_string()).as_bytes()).unwrap();
    for output in ["table", "json"] {
        let empty = files.path().join("cluster.yaml");
        std::fs::write(&empty, "").unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_pullgate"))
            .args(["check", "-o", output, "--cluster-from"])
            .args([&empty, std::path::Path::new("-f"), &file])
            .output()
            .unwrap();
        for text in [done.stdout, done.stderr] {
            let text = String::from_utf8(text).unwrap();
            assert!(!text.contains(acts), "{output}: {text:?}");
            assert!(!text.lines().any(|line| line.trim_start().starts_with("Warning")), "{output}: {text}");
        }
        assert_eq!(done.status.code(), Some(1), "{output}");
    }
}
