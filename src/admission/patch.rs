//! Pins → a JSON Patch (RFC 6902), each `replace` behind a `test` of the old value; an image as written and its digest
//! → the pinned image, and back.
//!
//! Works on the string as written: a short name stays short, because CRI-O resolves short names by its own rules.
//! Strings that already have a digest are never touched, so pinning twice pins nothing more.

use serde::Serialize;
use serde_json::Value;

use crate::policy::PinFormat;

/// One image to rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// JSON pointer to the field.
    pub pointer: String,
    /// What the field must still hold for the patch to apply.
    pub old: String,
    /// What it will hold.
    pub new: String,
}

/// A value to put in the place of another, or where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// JSON pointer to the value.
    pub pointer: &'static str,
    /// What must still be there; `null` for nothing.
    pub old: Value,
    /// What will be there.
    pub new: Value,
}

/// One operation of RFC 6902.
#[derive(Serialize)]
struct Operation<'p> {
    op: &'static str,
    path: &'p str,
    value: Operand<'p>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Operand<'p> {
    Text(&'p str),
    Json(&'p Value),
}

/// The patch that writes all pins, and the change if there is one; `None` when there is nothing to write.
///
/// A patch whose `test` fails makes the API server refuse the request, whatever the `failurePolicy`; that happens only
/// if the object is not the one that was reviewed.
pub fn json_patch(pins: &[Pin], change: Option<&Change>) -> Option<Vec<u8>> {
    let mut operations: Vec<_> = pins
        .iter()
        .filter(|pin| pin.old != pin.new)
        .flat_map(|Pin { pointer, old, new }| {
            [
                Operation { op: "test", path: pointer, value: Operand::Text(old) },
                Operation { op: "replace", path: pointer, value: Operand::Text(new) },
            ]
        })
        .collect();
    if let Some(Change { pointer, old, new }) = change {
        let put = |op| Operation { op, path: pointer, value: Operand::Json(new) };
        if old.is_null() {
            operations.push(put("add"));
        } else {
            operations.push(Operation { op: "test", path: pointer, value: Operand::Json(old) });
            operations.push(put("replace"));
        }
    }
    if operations.is_empty() {
        return None;
    }
    // Strings in a list of structs always serialise; `None` would only mean that nothing is pinned.
    serde_json::to_vec(&operations).ok()
}

/// `image` with `digest` (`sha256:…`) written in; `None` if it has one already.
///
/// `name` becomes `name:latest@…`, which says what was resolved; in [`PinFormat::DigestOnly`] the tag goes.
pub fn pinned(image: &str, digest: &str, format: PinFormat) -> Option<String> {
    if image.is_empty() || image.contains('@') {
        return None;
    }
    let (name, tag) = split_tag(image);
    Some(match format {
        PinFormat::TagAndDigest => format!("{name}:{}@{digest}", tag.unwrap_or("latest")),
        PinFormat::DigestOnly => format!("{name}@{digest}"),
    })
}

/// The image that an UPDATE should keep: `old` if `new` is the same without its digest, else `None`.
///
/// Applying a manifest again drops the digest that was pinned at creation; letting it would restart the container for
/// nothing, because the kubelet compares the strings (kubernetes/kubernetes `pkg/kubelet/container/helpers.go`).
pub fn restored(old: &str, new: &str) -> Option<String> {
    let (undigested, _) = old.split_once('@')?;
    (undigested == new || undigested.strip_suffix(":latest") == Some(new)).then(|| old.to_owned())
}

/// The name and the tag of an image without a digest. A colon before the last slash belongs to a port.
fn split_tag(image: &str) -> (&str, Option<&str>) {
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[last..].find(':') {
        Some(colon) => (&image[..last + colon], Some(&image[last + colon + 1..])),
        None => (image, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::reference::Reference;
    use crate::workload::{ObjectRef, extract::from_object};

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_is_written_beside_the_tag_or_instead_of_it() {
        for (image, both, only) in [
            ("app", "app:latest@D", "app@D"),
            ("app:1", "app:1@D", "app@D"),
            ("localhost:5000", "localhost:5000@D", "localhost@D"),
            ("localhost:5000/app", "localhost:5000/app:latest@D", "localhost:5000/app@D"),
            ("127.0.0.1:15000/alice/app:1.0", "127.0.0.1:15000/alice/app:1.0@D", "127.0.0.1:15000/alice/app@D"),
            ("[::1]:5000/app:1", "[::1]:5000/app:1@D", "[::1]:5000/app@D"),
        ] {
            for (format, expected) in [(PinFormat::TagAndDigest, both), (PinFormat::DigestOnly, only)] {
                let new = pinned(image, "D", format).expect(image);
                assert_eq!(new, expected);
                assert_eq!(pinned(&new, "E", format), None, "{new} is pinned already");
            }
        }
        assert_eq!(pinned("", "D", PinFormat::TagAndDigest), None);
    }

    #[test]
    fn an_update_that_only_drops_the_digest_gets_it_back() {
        for (old, new, expected) in [
            ("app:1@D", "app:1", true),
            ("app:latest@D", "app", true),
            ("app:latest@D", "app:latest", true),
            ("app@D", "app", true),
            ("app:1@D", "app:2", false),
            ("app:1@D", "app", false),
            ("app@D", "app:latest", false),
            ("app:1@D", "app:1@E", false),
            ("app:1@D", "app:1@D", false),
            ("app:1@D", "other.io/app:1", false),
            ("app:1", "app:1", false),
            ("app:latest", "app", false),
        ] {
            assert_eq!(restored(old, new), expected.then(|| old.to_owned()), "{old} → {new}");
        }
    }

    #[test]
    fn no_pins_are_no_patch() {
        assert_eq!(json_patch(&[], None), None);
        let same = Pin { pointer: "/a".to_owned(), old: "x".to_owned(), new: "x".to_owned() };
        assert_eq!(json_patch(&[same], None), None);
    }

    #[test]
    fn every_replace_stands_behind_its_test() {
        let pin =
            Pin { pointer: "/spec/containers/0/image".to_owned(), old: "a:1".to_owned(), new: "a:1@D".to_owned() };
        let patch: Value = serde_json::from_slice(&json_patch(&[pin], None).expect("a patch")).expect("JSON");
        assert_eq!(
            patch,
            json!([{ "op": "test", "path": "/spec/containers/0/image", "value": "a:1" },
                   { "op": "replace", "path": "/spec/containers/0/image", "value": "a:1@D" }])
        );
    }

    /// The pins of every image of a pod, as the gate makes them.
    fn pins(pod: &Value, format: PinFormat) -> Vec<Pin> {
        let text = pod.to_string();
        let meta = ObjectRef { api_version: "v1".to_owned(), kind: "Pod".to_owned(), ..ObjectRef::default() };
        let workload = from_object(&serde_json::from_str(&text).expect("decodes"), meta, true).expect("a pod");
        let pin = |image: &std::sync::Arc<crate::workload::ContainerImage>| {
            let new = pinned(&image.image, DIGEST, format)?;
            Some(Pin { pointer: image.pointer.clone(), old: image.image.clone(), new })
        };
        workload.images.iter().filter_map(pin).collect()
    }

    fn apply(pod: &mut Value, pins: &[Pin]) -> Result<(), json_patch::PatchError> {
        let patch = json_patch(pins, None).unwrap_or_else(|| b"[]".to_vec());
        json_patch::patch(pod, &serde_json::from_slice::<json_patch::Patch>(&patch).expect("a JSON Patch"))
    }

    fn image() -> impl Strategy<Value = String> {
        "([a-z0-9]{1,8}\\.io(:[0-9]{2,5})?/)?[a-z0-9]{1,6}(/[a-z0-9]{1,6}){0,2}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,8})?(@sha256:[0-9a-f]{64})?"
    }

    fn pod() -> impl Strategy<Value = Value> {
        let containers = || {
            prop::collection::vec(
                prop_oneof![4 => image(), 1 => Just(String::new()), 1 => Just("auto".to_owned())],
                0..4,
            )
        };
        (containers(), containers(), containers()).prop_map(|(main, init, volumes)| {
            let list = |prefix: &str, images: Vec<String>| -> Vec<Value> {
                let entry = |(i, image)| json!({ "name": format!("{prefix}{i}"), "image": image, "env": [{ "name": "A~/", "value": "x" }] });
                images.into_iter().enumerate().map(entry).collect()
            };
            let volumes: Vec<_> = volumes
                .into_iter()
                .enumerate()
                .map(|(i, image)| match image.as_str() {
                    "" => json!({ "name": i.to_string(), "emptyDir": {} }),
                    _ => json!({ "name": i.to_string(), "image": { "reference": image } }),
                })
                .collect();
            json!({ "metadata": { "name": "p", "labels": { "a/b": "c" } },
                    "spec": { "containers": list("c", main), "initContainers": list("i", init), "volumes": volumes } })
        })
    }

    fn format() -> impl Strategy<Value = PinFormat> {
        prop_oneof![Just(PinFormat::TagAndDigest), Just(PinFormat::DigestOnly)]
    }

    /// Every leaf of `pod`, with its pointer, pinned where `pinned_at` says so.
    fn rewrite(value: &Value, at: &str, pins: &[Pin]) -> Value {
        match value {
            Value::Object(map) => {
                map.iter().map(|(key, value)| (key.clone(), rewrite(value, &format!("{at}/{key}"), pins))).collect()
            }
            Value::Array(list) => {
                list.iter().enumerate().map(|(i, value)| rewrite(value, &format!("{at}/{i}"), pins)).collect()
            }
            leaf @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                pins.iter().find(|pin| pin.pointer == at).map_or_else(|| leaf.clone(), |pin| json!(pin.new))
            }
        }
    }

    proptest! {
        #[test]
        fn the_patch_gives_the_pinned_pod_and_changes_nothing_else(pod in pod(), format in format()) {
            let pins = pins(&pod, format);
            let mut patched = pod.clone();
            apply(&mut patched, &pins).expect("applies");
            prop_assert_eq!(&patched, &rewrite(&pod, "", &pins));
            prop_assert!(super::tests::pins(&patched, format).is_empty(), "a second call pins nothing more");
        }

        #[test]
        fn a_patch_against_a_changed_pod_fails_its_test(pod in pod(), format in format(), which in any::<prop::sample::Index>()) {
            let pins = pins(&pod, format);
            prop_assume!(!pins.is_empty());
            let mut changed = pod;
            *changed.pointer_mut(&pins[which.index(pins.len())].pointer).expect("the field") = json!("other:1");
            prop_assert!(apply(&mut changed, &pins).is_err());
        }

        #[test]
        fn a_pinned_image_parses_to_the_same_repository_and_tag(image in image(), format in format()) {
            let Some(new) = pinned(&image, DIGEST, format) else { return Ok(()) };
            let (Ok(before), Ok(after)) = (Reference::parse(&image), Reference::parse(&new)) else {
                prop_assert!(Reference::parse(&image).is_err(), "{new} must parse if {image} does");
                return Ok(());
            };
            prop_assert_eq!(before.name(), after.name());
            prop_assert!(after.digest().is_some());
            if format == PinFormat::TagAndDigest {
                prop_assert_eq!(after.tag(), Some(before.tag().unwrap_or("latest")));
                prop_assert_eq!(restored(&new, &image), Some(new));
            }
        }
    }
}
