//! An `AdmissionReview` that came back, and the rules that an API server has for it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A response, with the registry's address in its texts as `R`.
#[derive(Debug)]
pub(crate) struct Answer {
    json: Value,
    host: String,
}

// === impl Answer ===

impl Answer {
    /// Takes a body apart.
    pub(crate) fn read(body: &[u8], host: &str) -> Self {
        Self { json: serde_json::from_slice(body).unwrap(), host: host.to_owned() }
    }

    /// Fails where an API server would not take the answer, or would not pass it on as it is.
    pub(crate) fn check(&self, path: &str, uid: &str) {
        let response = &self.json["response"];
        assert_eq!(self.json["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(self.json["kind"], "AdmissionReview");
        assert_eq!(response["uid"], uid);
        assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some());
        let known = ["uid", "allowed", "status", "patch", "patchType", "warnings", "auditAnnotations"];
        assert!(response.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{response}");
        if path == "mutate" {
            assert!(self.allowed() && response.get("status").is_none(), "only /validate denies: {response}");
        } else {
            assert!(response.get("patch").is_none(), "{response}");
        }
        if self.allowed() {
            assert!(response.get("status").is_none(), "{response}");
        } else {
            assert_eq!(response["status"]["code"], 403);
            assert_eq!(response["status"]["reason"], "Forbidden");
            let message = response["status"]["message"].as_str().unwrap();
            assert!(message.len() < 1024 && !message.is_empty(), "{} bytes: {message}", message.len());
            assert!(message.chars().all(|c| c == '\n' || !c.is_control()), "{message:?}");
        }
        for warning in self.warnings() {
            let long_image = warning.split(' ').nth(1).map_or(0, str::len);
            assert!(warning.len() <= 256.max(long_image + 160), "{} bytes: {warning}", warning.len());
            assert!(warning.chars().all(|c| !c.is_control()), "{warning:?}");
        }
        for (key, value) in response["auditAnnotations"].as_object().into_iter().flatten() {
            let legal = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            assert!(legal && key.len() <= 63 && key.starts_with(|c: char| c.is_ascii_alphanumeric()), "{key}");
            assert!(value.as_str().unwrap().len() <= 1024, "{value}");
        }
    }

    pub(crate) fn allowed(&self) -> bool {
        self.json["response"]["allowed"].as_bool().unwrap()
    }

    /// The whole text of a denial; empty where there is none.
    pub(crate) fn message(&self) -> String {
        self.plain(&self.json["response"]["status"]["message"])
    }

    /// The first line of a denial, or else the first warning.
    pub(crate) fn first_line(&self) -> String {
        match self.message().lines().next() {
            Some(line) => line.to_owned(),
            None => self.warnings().first().cloned().unwrap_or_default(),
        }
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.json["response"]["warnings"].as_array().into_iter().flatten().map(|text| self.plain(text)).collect()
    }

    /// One audit annotation; empty where there is none.
    pub(crate) fn annotation(&self, key: &str) -> String {
        self.plain(&self.json["response"]["auditAnnotations"][key])
    }

    /// The operations of the JSON Patch.
    pub(crate) fn patch(&self) -> Option<Value> {
        let patch = self.json["response"].get("patch")?.as_str().unwrap();
        assert_eq!(self.json["response"]["patchType"], "JSONPatch");
        Some(serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap())
    }

    /// Neither a denial, nor a warning, nor a patch, nor an annotation.
    pub(crate) fn is_silent(&self) -> bool {
        self.json["response"].as_object().unwrap().keys().eq(["allowed", "uid"])
    }

    /// All that was sent.
    pub(crate) fn text(&self) -> String {
        self.json.to_string()
    }

    fn plain(&self, text: &Value) -> String {
        text.as_str().unwrap_or_default().replace(&self.host, "R").replace(&self.host.replace(['.', ':'], "-"), "r")
    }
}
