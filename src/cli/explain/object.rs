//! An explanation → JSON, for programs.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Explanation;
use crate::credentials::{Candidate, Credential};
use crate::facts::{Attempt, Behind, Facts, Unreadable};
use crate::nodes::Class;
use crate::output::Report;
use crate::printable;

/// Pretty JSON with a newline at the end.
pub(super) fn json(explanation: &Explanation) -> String {
    let Explanation { reference, secrets, candidates, exchanges, judged, passed_over, suppressed, .. } = explanation;
    let unreadable = |(what, why): &(String, Unreadable)| match why {
        Unreadable::Forbidden => json!({ "object": what, "reason": "forbidden" }),
        Unreadable::Unauthenticated => json!({ "object": what, "reason": "unauthenticated" }),
        Unreadable::Unavailable(why) => json!({ "object": what, "reason": why }),
        Unreadable::NoCluster => json!({ "object": what, "reason": "no cluster" }),
    };
    let mut object = json!({
        "reference": {
            "registry": reference.registry(),
            "repository": reference.repository(),
            "tag": reference.tag(),
            "digest": reference.digest().map(ToString::to_string),
        },
        "pullSecrets": {
            "account": secrets.account,
            "missing": secrets.missing,
            "suppressed": suppressed,
            "ignored": secrets.ignored.iter()
                .map(|(name, why)| json!({ "secret": name, "reason": why.to_string() }))
                .collect::<Vec<_>>(),
            "unreadable": secrets.unreadable.iter().map(unreadable).collect::<Vec<_>>(),
            "dockerConfig": passed_over,
        },
        "candidates": candidates.iter().map(candidate).collect::<Vec<_>>(),
        "exchanges": exchanges,
    });
    let report = match judged {
        Some((.., report)) => json!(report),
        None => json!(Report::new(PathBuf::new())),
    };
    if let (Value::Object(object), Value::Object(report)) = (&mut object, report) {
        object.extend(report);
    }
    if let Some((_, facts, _)) = judged {
        let image = facts.images.first();
        let attempts = image.map(|image| image.attempts.iter().map(attempt).collect::<Vec<_>>());
        object["attempts"] = json!(attempts.unwrap_or_default());
        object["platforms"] = platforms(facts, image.map(|image| &image.behind));
    }
    if let Err(malformed) = &secrets.keyring {
        object["malformed"] = json!({ "secret": malformed.secret, "error": malformed.go_error });
    }
    let mut text = serde_json::to_string_pretty(&object).unwrap_or_default();
    text.push('\n');
    printable::json(&text).into_owned()
}

fn candidate(candidate: &Candidate) -> Value {
    let credential = candidate.credential.as_deref();
    let mut object = json!({
        "source": candidate.source.to_string(),
        "key": &*candidate.key,
        "username": credential.map(Credential::shown_username),
    });
    if let Some(expiry) = credential.and_then(|credential| credential.expiry()) {
        object["expires"] = json!(expiry.at.to_string());
    }
    object
}

fn attempt(attempt: &Attempt) -> Value {
    let (outcome, digest) = match &attempt.outcome {
        Ok(manifest) => ("ok", Some(manifest.digest.to_string())),
        Err(failure) => (failure.code.as_str(), None),
    };
    json!({ "source": attempt.source.to_string(), "outcome": outcome, "digest": digest })
}

/// Null where nodes or the image's platforms are not known.
fn platforms(facts: &Facts, behind: Option<&Behind>) -> Value {
    let Some((content, missing)) =
        behind.and_then(|behind| Some((&behind.content.as_deref()?.content, &behind.missing)))
    else {
        return Value::Null;
    };
    let class = |class: &Class| {
        json!({
            "os": class.os,
            "architecture": class.architecture,
            "runtime": class.runtime.as_str(),
            "count": class.count,
            "first": &*class.first,
            "fits": content.fits(class),
        })
    };
    let nodes: Vec<Value> = facts.eligible.classes.iter().map(class).collect();
    let missing: Vec<&str> = missing.iter().map(|missing| missing.digest.as_str()).collect();
    json!({ "offers": content.names(), "missing": missing, "nodes": nodes })
}
