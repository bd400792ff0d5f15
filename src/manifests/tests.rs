//! Which objects a file holds, where their fields are, and what is said of what is wrong.

use super::*;
use crate::workload::spec;

fn read(text: impl Into<Vec<u8>>) -> Vec<Result<Object, String>> {
    Source::new("f.yaml", text).objects().map(|object| object.map_err(|error| error.to_string())).collect()
}

/// `v1 Pod default/a`, or what is wrong.
fn named(text: impl Into<Vec<u8>>) -> Vec<String> {
    let name = |object: Object| {
        let namespace = object.namespace().unwrap_or("-");
        format!("{} {} {namespace}/{}{}", object.api_version(), object.kind(), object.name(), object.generate_name())
    };
    read(text).into_iter().map(|object| object.map_or_else(|error| error, name)).collect()
}

#[test]
fn lists_are_their_entries() {
    for (text, expected) in [
        ("kind: Pod\napiVersion: v1\nmetadata: {name: a, namespace: ns}", &["v1 Pod ns/a"][..]),
        ("{kind: Pod, metadata: {generateName: a-}}", &[" Pod -/a-"]),
        ("{kind: List, apiVersion: v1, items: []}", &[]),
        ("{kind: PodList, apiVersion: v1, items: null}", &[]),
        ("{kind: PodList, apiVersion: v1, items: [{metadata: {name: a}}]}", &["v1 Pod -/a"]),
        (
            "{kind: DeploymentList, apiVersion: apps/v1, items: [{metadata: {name: a}}, {kind: Pod, apiVersion: v1}]}",
            &["apps/v1 Deployment -/a", "v1 Pod -/"],
        ),
        (
            "items: [{kind: SecretList, apiVersion: v1, items: [{}, {}]}, {kind: Pod}]\nkind: List\napiVersion: v1",
            &["v1 Secret -/", "v1 Secret -/", " Pod -/"],
        ),
        (
            "{kind: List, items: [{}, 5, {kind: Pod}]}",
            &[
                "f.yaml:1:22: this is no Kubernetes object: it has no kind",
                "f.yaml:1:26: this is no Kubernetes object: expected a mapping with apiVersion and kind, found a number",
                " Pod -/",
            ],
        ),
        ("{kind: Own, items: {a: b}}", &[" Own -/"]),
        (
            "- kind: Pod\n",
            &["f.yaml:1:1: this is no Kubernetes object: expected a mapping with apiVersion and kind, found a list"],
        ),
        ("name: c\n---\nkind: Pod\n", &["f.yaml:1:1: this is no Kubernetes object: it has no kind", " Pod -/"]),
        (
            "hello\n",
            &["f.yaml:1:1: this is no Kubernetes object: expected a mapping with apiVersion and kind, found a string"],
        ),
        ("kind: [\n---\nkind: Pod\n", &["f.yaml:1:7: a [ is not closed", " Pod -/"]),
    ] {
        assert_eq!(named(text), expected, "{text}");
    }
}

#[test]
fn an_entry_of_a_typed_list_is_told_its_kind() {
    let list = "{kind: PodList, apiVersion: v1, items: [{metadata: {name: a}}]}";
    let object = read(list).remove(0).unwrap();
    assert_eq!(object.value(), serde_json::json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}));
}

#[test]
fn bytes_that_are_no_text_are_named_where_they_matter() {
    assert_eq!(named(&b"# gr\xfc\xdfe\nkind: Pod\n"[..]), [" Pod -/"]);
    let noise: Vec<u8> = (128..=255).collect();
    let [error] = &named(noise)[..] else { panic!() };
    let expected = "; from line 1, column 1 on the file is neither UTF-8 nor UTF-16 with a byte order mark";
    assert!(error.ends_with(expected), "{error}");
}

const POD: &str = "# image: a\nkind: Pod\nmetadata: {name: p, annotations: {a.b/c: x, 'a[0]': z}}
spec:
  containers:
  - name: c
    # image: b
    image: b:1
  - image:
      c
  - {name: d, image: *image}
";

#[test]
fn fields_have_their_own_places() {
    let text = format!("x: &image e\n{POD}");
    let object = read(text).remove(0).unwrap();
    for (path, line, column) in [
        ("", 1, 1),
        ("kind", 3, 7),
        ("spec.containers[0].image", 9, 12),
        ("spec.containers[1].image", 11, 7),
        ("spec.containers[2].image", 12, 22),
        ("spec.containers[2]", 12, 5),
        ("metadata.annotations.a.b/c", 4, 42),
        ("metadata.annotations[\"a.b/c\"]", 4, 42),
        ("metadata.annotations.a[0]", 4, 53),
        // the nearest that is there
        ("spec.containers[0].imagePullPolicy", 7, 5),
        ("spec.containers[7].image", 7, 5),
        ("spec.volumes[0].image.reference", 6, 3),
        ("status", 1, 1),
    ] {
        assert_eq!(object.position(path), Some(Position { line, column }), "{path}");
    }
}

#[test]
fn a_wrong_field_is_named_with_its_place_in_the_file() {
    for (old, new, expected) in [
        (
            "image: b:1",
            "image: 1.20",
            "8:12: Pod \"p\": spec.containers[0].image: expected a string, found a number: put the value in quotes",
        ),
        (
            "image: b:1",
            "image: yes",
            "8:12: Pod \"p\": spec.containers[0].image: expected a string, found true or false: put the value in quotes",
        ),
        (
            "name: p,",
            "name: 5,",
            "3:18: Pod \"\": metadata.name: expected a string, found a number: put the value in quotes",
        ),
        ("*image", "[x]", "11:22: Pod \"p\": spec.containers[2].image: expected a string, found a list"),
    ] {
        let text = POD.replace(old, new).replace("*image", "x");
        let object = read(format!("kind: Pod\n---\n{text}")).remove(1).unwrap();
        let error = object.decode::<spec::Object<'_>>().unwrap_err().to_string();
        let (line, rest) = expected.split_once(':').unwrap();
        let line = line.parse::<usize>().unwrap() + 2;
        assert_eq!(error, format!("f.yaml:{line}:{rest}"));
    }
    let object = read("kind: Pod\nmetadata: {name: p}\nspec:\n  containers: {name: c}\n").remove(0).unwrap();
    let error = object.decode::<spec::Object<'_>>().unwrap_err();
    assert_eq!(error.to_string(), "f.yaml:4:15: Pod \"p\": spec.containers: expected a list, found a mapping");
}
