//! Objects and texts of an API server → the few words of them that `doctor` wants. Pure.

use serde_json::{Value, json};

use super::ADMIN;
use crate::cluster::Reading;

/// Ours by label, and of the others the names of the webhooks that see pods being created.
pub(super) fn split(all: Reading<Vec<Value>>) -> (Reading<Vec<Value>>, Reading<Vec<String>>) {
    let is_ours = |one: &Value| {
        one.pointer("/metadata/labels/app.kubernetes.io~1part-of").and_then(Value::as_str) == Some("pullgate")
    };
    let others = all.clone().map(|all| {
        let theirs =
            all.iter().filter(|one| !is_ours(one)).flat_map(|one| one["webhooks"].as_array().into_iter().flatten());
        theirs
            .filter(|webhook| sees_pods(webhook))
            .filter_map(|webhook| webhook["name"].as_str().map(str::to_owned))
            .collect()
    });
    (all.map(|all| all.into_iter().filter(is_ours).collect()), others)
}

fn sees_pods(webhook: &Value) -> bool {
    let has = |rule: &Value, key: &str, wanted: &[&str]| {
        rule[key].as_array().into_iter().flatten().any(|entry| wanted.contains(&entry.as_str().unwrap_or_default()))
    };
    webhook["rules"].as_array().into_iter().flatten().any(|rule| {
        has(rule, "resources", &["pods", "*", "*/*", "pods/*"])
            && has(rule, "operations", &["CREATE", "*"])
            && has(rule, "apiGroups", &["", "*"])
    })
}

/// Namespace and name of the Service that a configuration's first webhook names.
pub(super) fn service(configuration: &Value) -> Option<(String, String)> {
    let service = configuration.pointer("/webhooks/0/clientConfig/service")?;
    Some((service["namespace"].as_str()?.to_owned(), service["name"].as_str()?.to_owned()))
}

/// Whom the condition `armed` of a configuration's first webhook asks about, and for which right
/// (`docs/adr/0008-armed-once-ready.md`).
pub(super) fn armed_by(configuration: &Value) -> Option<(String, Value)> {
    let conditions = configuration.pointer("/webhooks/0/matchConditions")?.as_array()?;
    let armed = conditions.iter().find(|condition| condition["name"] == "armed")?["expression"].as_str()?;
    let words: Vec<&str> = armed.split('\'').skip(1).step_by(2).collect();
    let [namespace, account, group, resource, name, verb] = words[..] else { return None };
    let attributes = json!({ "group": group, "resource": resource, "name": name, "verb": verb });
    Some((format!("system:serviceaccount:{namespace}:{account}"), attributes))
}

/// A string of each entry of a list.
pub(super) fn names(value: &Value, list: &str, pointer: &str) -> Vec<String> {
    let entries = value.pointer(list).and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(|entry| entry.pointer(pointer).and_then(Value::as_str).map(str::to_owned)).collect()
}

pub(super) fn admin_port(pod: &Value) -> Option<u64> {
    let containers = pod.pointer("/spec/containers")?.as_array()?.iter();
    let mut ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    ports.find(|port| port["name"] == ADMIN)?["containerPort"].as_u64()
}

pub(super) fn zones(nodes: &[Value]) -> Vec<(String, String)> {
    let zone = |node: &Value| {
        let name = node.pointer("/metadata/name")?.as_str()?;
        let zone = node.pointer("/metadata/labels/topology.kubernetes.io~1zone")?.as_str()?;
        Some((name.to_owned(), zone.to_owned()))
    };
    nodes.iter().filter_map(zone).collect()
}

/// What the API server says without the path by which pullgate knows it: of a call that fails it tells the whole URL.
pub(super) fn without_segment(said: &str) -> String {
    let mut rest = said;
    let mut text = String::new();
    while let Some(at) = ["/validate/", "/mutate/"].iter().filter_map(|path| Some(rest.find(path)? + path.len())).min()
    {
        let (before, behind) = rest.split_at(at);
        text.push_str(before);
        text.push('…');
        rest = behind.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    }
    text + rest
}

/// The text of `299 - "TEXT"` (RFC 7234, section 5.5).
pub(super) fn warning(header: &str) -> Option<String> {
    let quoted = header.strip_prefix("299 ")?.split_once('"')?.1.strip_suffix('"')?;
    Some(quoted.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_by_which_an_api_server_is_known_is_not_repeated() {
        let said = "failed: Post \"https://a.b.svc:443/validate/81e2c1?timeout=5s\": EOF; Post \"https://a.b.svc/mutate/81e2c1\": EOF";
        let expected =
            "failed: Post \"https://a.b.svc:443/validate/…?timeout=5s\": EOF; Post \"https://a.b.svc/mutate/…\": EOF";
        assert_eq!(without_segment(said), expected);
        assert_eq!(without_segment("no path"), "no path");
    }

    #[test]
    fn the_condition_says_whom_to_ask_about() {
        let expression = "authorizer.serviceAccount('ns', 'acct')\n.group('pullgate.dev').resource('webhooks').name('pullgate').check('answer').allowed()";
        let webhook = |conditions: Value| json!({ "webhooks": [{ "matchConditions": conditions }] });
        let (user, attributes) =
            armed_by(&webhook(json!([{ "name": "a" }, { "name": "armed", "expression": expression }]))).unwrap();
        assert_eq!(user, "system:serviceaccount:ns:acct");
        let expected = json!({ "group": "pullgate.dev", "resource": "webhooks", "name": "pullgate", "verb": "answer" });
        assert_eq!(attributes, expected);
        assert_eq!(armed_by(&webhook(json!([{ "name": "armed", "expression": "true" }]))), None);
        assert_eq!(armed_by(&json!({})), None);
    }

    #[test]
    fn warnings_are_taken_out_of_their_header() {
        assert_eq!(warning(r#"299 - "a \"b\" \\ c""#).unwrap(), r#"a "b" \ c"#);
        assert_eq!(warning("199 - \"a\""), None);
    }
}
