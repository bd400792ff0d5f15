//! The bytes of an `AdmissionReview` → a [`Review`]: its uid, what the request says about itself, and the workload to
//! judge or the reason why there is none.
//!
//! One pass over the body in which every field that was read outlives a later error, so that whatever carries a uid can
//! be answered. Knows no HTTP and no policy: a body without a uid is a [`ReviewError`], a body whose object cannot be
//! read is a [`Subject::Unreadable`].

use std::borrow::Cow;

use serde_json::Value;
use thiserror::Error;

use self::envelope::Envelope;
use crate::workload::configured::{self, TemplateKind, Templates};
use crate::workload::spec::Object;
use crate::workload::{ObjectRef, Shape, Workload, extract};

mod envelope;

/// Nothing that pullgate knows by itself.
const OTHER_KIND: &str = "other kind";

/// What an API server asks (kubernetes/api `admission/v1/types.go`, `AdmissionRequest`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review<'a> {
    /// To be repeated in the response, byte for byte.
    pub uid: Cow<'a, str>,
    /// What is being done.
    pub operation: Operation,
    /// From the request, never from the object; empty for objects without one.
    pub namespace: Cow<'a, str>,
    /// Nothing will be stored: leave no trace.
    pub dry_run: bool,
    /// `ephemeralcontainers`, `status`; empty for the object itself.
    pub subresource: Cow<'a, str>,
    /// The object stands for a static pod, which runs whatever the answer is.
    pub mirror: bool,
    /// Who asks, if the request says so.
    pub username: Option<Cow<'a, str>>,
    /// The object by name, as far as the request could be read.
    pub object: ObjectRef,
    /// What there is to judge.
    pub subject: Subject,
    body: &'a [u8],
}

/// `request.operation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operation {
    /// `CREATE`.
    Create,
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
    /// `CONNECT`.
    Connect,
    /// Absent, unreadable, or a word that this version of the API does not have.
    #[default]
    Unknown,
}

/// What there is to judge in a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// At least one image in each; several where a configured kind has several templates.
    Judge(Vec<Workload>),
    /// Nothing, for this reason; one of a small set of words, fit for a metric label.
    Pass(&'static str),
    /// The envelope is sound, the object is not: nothing can be said about its images.
    Unreadable {
        /// One line for a person, at most 300 bytes, no control characters.
        why: String,
    },
}

/// Why a body cannot be answered with an `AdmissionReview` at all.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReviewError {
    /// The JSON breaks before a uid was seen.
    #[error("the body is not JSON with a request.uid: {why}; send an AdmissionReview of admission.k8s.io/v1")]
    NotJson {
        /// What the decoder says.
        why: String,
    },
    /// Another kind, or another version of it.
    #[error(
        "expected kind AdmissionReview of admission.k8s.io/v1, got kind {kind:?} of {api_version:?}: \
         set admissionReviewVersions: [v1] in the webhook configuration"
    )]
    NotAnAdmissionReview {
        /// `apiVersion` as sent, cut to 64 bytes.
        api_version: String,
        /// `kind` as sent, cut to 64 bytes.
        kind: String,
    },
    /// The right kind, and nobody to answer to.
    #[error("the AdmissionReview has no request.uid: send the request of an API server, not a response")]
    NoUid,
}

/// Reads one review.
///
/// # Errors
/// Only when there is no uid to answer to, or when the body is not a v1 `AdmissionReview`, so that the answer could not
/// be understood; the error's text is fit for a 400 response.
pub fn parse(body: &[u8]) -> Result<Review<'_>, ReviewError> {
    let mut envelope = Envelope::default();
    let broken = match envelope.read(body) {
        Ok(()) => None,
        Err(object_error) => match envelope.read_without_objects(body) {
            Ok(()) => Some(Broken::Object(object_error)),
            Err(error) => Some(Broken::Json(error)),
        },
    };
    check_envelope(&envelope, broken.as_ref())?;

    let object = envelope.object.as_ref();
    let meta = envelope.object_ref();
    // On anything else the annotation is a word of its author: API servers guard it on Pods only.
    let mirror = Shape::of(&meta.api_version, &meta.kind) == Some(Shape::Pod)
        && object.or(envelope.old_object.as_ref()).is_some_and(|object| object.metadata.annotations.mirror);
    let operation = Operation::of(&envelope.operation);
    let subject = match broken {
        Some(Broken::Json(error)) => unreadable("the review is cut short or damaged", &error),
        broken => subject(&envelope, operation, mirror, &meta, broken),
    };
    Ok(Review {
        uid: envelope.uid.0,
        operation,
        namespace: envelope.namespace.0,
        dry_run: envelope.dry_run,
        subresource: envelope.subresource.0,
        mirror,
        username: (!envelope.username.is_empty()).then_some(envelope.username.0),
        object: meta,
        subject,
        body,
    })
}

impl Review<'_> {
    /// `spec.affinity` of the object in full, `null` if it has none; `None` if the body does not decode. A second reading.
    pub fn affinity(&self) -> Option<Value> {
        let mut review: Value = serde_json::from_slice(self.body).ok()?;
        Some(review["request"]["object"]["spec"]["affinity"].take())
    }

    /// Looks again at an object of a kind that is configured; everything else stays as it was read. Gives the entries
    /// whose path leads to no pod template in it.
    pub fn look_for<'k>(&mut self, kinds: &'k [TemplateKind]) -> Vec<&'k TemplateKind> {
        let entries = configured::entries(kinds, &self.object);
        if self.subject != Subject::Pass(OTHER_KIND) || !self.subresource.is_empty() || entries.is_empty() {
            return Vec::new();
        }
        let read = serde_json::from_slice::<Value>(self.body).and_then(|review| {
            let request = &review["request"];
            let old = (self.operation == Operation::Update).then(|| &request["oldObject"]);
            configured::templates(&entries, &request["object"], old, &self.object)
        });
        let (subject, unmatched) = match read {
            Ok(Templates { workloads, unmatched }) if workloads.is_empty() => {
                (Subject::Pass("nothing changed"), unmatched)
            }
            Ok(Templates { workloads, unmatched }) => (Subject::Judge(workloads), unmatched),
            Err(error) => (unreadable("a configured pod template cannot be decoded", &error), Vec::new()),
        };
        self.subject = subject;
        unmatched
    }
}

/// How the first pass ended, if not well.
enum Broken {
    /// The JSON is sound, the object does not have the types of its kind.
    Object(serde_json::Error),
    /// The JSON itself is not sound.
    Json(serde_json::Error),
}

// === impl Operation ===

impl Operation {
    fn of(word: &str) -> Self {
        match word {
            "CREATE" => Self::Create,
            "UPDATE" => Self::Update,
            "DELETE" => Self::Delete,
            "CONNECT" => Self::Connect,
            _ => Self::Unknown,
        }
    }

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether there is somebody to answer to, in a version that can be answered. What a damaged body did not get to say is
/// not held against it.
fn check_envelope(envelope: &Envelope<'_>, broken: Option<&Broken>) -> Result<(), ReviewError> {
    let damaged = match broken {
        Some(Broken::Json(error)) => Some(error),
        Some(Broken::Object(_)) | None => None,
    };
    let lenient = damaged.is_some() && !envelope.uid.is_empty();
    let is = |got: &str, expected: &str| got == expected || (got.is_empty() && lenient);
    if envelope.uid.is_empty()
        && let Some(error) = damaged
        && !error.is_data()
    {
        return Err(ReviewError::NotJson { why: one_line(&error.to_string()) });
    }
    if !is(&envelope.api_version, "admission.k8s.io/v1") || !is(&envelope.kind, "AdmissionReview") {
        let cut = |text: &str| cut(text, 64).to_owned();
        let (api_version, kind) = (cut(&envelope.api_version), cut(&envelope.kind));
        return Err(ReviewError::NotAnAdmissionReview { api_version, kind });
    }
    if envelope.uid.is_empty() {
        return Err(ReviewError::NoUid);
    }
    Ok(())
}

/// What a review with sound JSON asks to judge. The order matters: what passes anyway passes unread.
fn subject(
    envelope: &Envelope<'_>,
    operation: Operation,
    mirror: bool,
    meta: &ObjectRef,
    broken: Option<Broken>,
) -> Subject {
    match operation {
        Operation::Create | Operation::Update => {}
        Operation::Delete => return Subject::Pass("deletion"),
        Operation::Connect => return Subject::Pass("connection"),
        Operation::Unknown => {
            return Subject::Unreadable { why: "request.operation is neither CREATE nor UPDATE".to_owned() };
        }
    }
    let Some(shape) = Shape::of(&meta.api_version, &meta.kind) else {
        return Subject::Pass(OTHER_KIND);
    };
    if !envelope.resource.is_plural_of(&envelope.kind_of_object) {
        return Subject::Pass(OTHER_KIND);
    }
    let ephemeral = match &*envelope.subresource {
        "" => false,
        "ephemeralcontainers" if shape == Shape::Pod && operation == Operation::Update => true,
        _ => return Subject::Pass("subresource"),
    };
    if let Some(Broken::Object(error) | Broken::Json(error)) = broken {
        return unreadable("the object cannot be decoded", &error);
    }
    let Some(object) = &envelope.object else {
        return Subject::Unreadable { why: "request.object is missing".to_owned() };
    };
    if mirror {
        return Subject::Pass("mirror pod");
    }
    let nothing = Object::default();
    let old = envelope.old_object.as_ref().unwrap_or(&nothing);
    let (workload, otherwise) = match operation {
        _ if ephemeral => (extract::from_new_ephemeral_containers(object, old, meta.clone()), "nothing changed"),
        Operation::Update => (extract::from_update(object, old, meta.clone()), "nothing changed"),
        Operation::Create | Operation::Delete | Operation::Connect | Operation::Unknown => {
            (extract::from_object(object, meta.clone(), true), "no image")
        }
    };
    match workload {
        Some(workload) if !workload.images.is_empty() => Subject::Judge(vec![workload]),
        _ => Subject::Pass(otherwise),
    }
}

fn unreadable(what: &str, error: &serde_json::Error) -> Subject {
    Subject::Unreadable { why: one_line(&format!("{what}: {error}")) }
}

/// A decoder repeats what it found, of any length and with any characters.
fn one_line(text: &str) -> String {
    cut(text, 300).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests;
