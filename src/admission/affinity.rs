//! The architectures that all images of a pod have → a required node affinity that keeps it to nodes of these.
//!
//! Only narrows: every term of the pod's own affinity stays, with one expression more, and a pod that chooses its
//! architecture itself (`nodeName`, `nodeSelector`, an expression in every term) is left alone, so doing it twice does
//! nothing more.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::nodes::eligible::ARCH;
use crate::verdict::Judged;
use crate::workload::Placement;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// What all images of a pod have; `None` if that is not known of every one of them, or is nothing.
pub fn architectures(images: &[Judged]) -> Option<BTreeSet<String>> {
    let mut sets = images.iter().map(|judged| judged.architectures.clone());
    let first = sets.next()??;
    let all = sets.try_fold(first, |all, set| Some(all.intersection(&set?).cloned().collect::<BTreeSet<_>>()))?;
    (!all.is_empty()).then_some(all)
}

/// The pod's affinity (`null` if it has none) with the architectures required; `None` where there is nothing to add.
pub fn narrowed(affinity: &Value, placement: &Placement, architectures: &BTreeSet<String>) -> Option<Value> {
    if !placement.node_name.is_empty()
        || placement.os == "windows"
        || placement.node_selector.iter().any(|(key, _)| key == ARCH)
    {
        return None;
    }
    let expression = json!({ "key": ARCH, "operator": "In", "values": architectures });
    let mut narrowed = affinity.clone();
    let own = narrowed["nodeAffinity"][REQUIRED]["nodeSelectorTerms"].take();
    let terms: Vec<Value> = match own {
        Value::Array(terms) => terms.into_iter().map(|term| with(term, &expression)).collect(),
        _ => vec![json!({ "matchExpressions": [expression] })],
    };
    narrowed["nodeAffinity"][REQUIRED]["nodeSelectorTerms"] = Value::Array(terms);
    (narrowed != *affinity).then_some(narrowed)
}

/// A term without any requirement matches nothing, and must not begin to.
fn with(mut term: Value, expression: &Value) -> Value {
    let filled = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    let chooses = |list: &Value| list.as_array().is_some_and(|list| list.iter().any(|own| own["key"] == ARCH));
    let expressions = &term["matchExpressions"];
    if chooses(expressions) || !(filled(expressions) || filled(&term["matchFields"])) {
        return term;
    }
    match term["matchExpressions"].as_array_mut() {
        Some(expressions) => expressions.push(expression.clone()),
        None => term["matchExpressions"] = json!([expression]),
    }
    term
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(expressions: &Value) -> Value {
        json!({ "nodeAffinity": { REQUIRED: { "nodeSelectorTerms": expressions } } })
    }

    #[test]
    fn a_pod_keeps_what_it_has_and_is_narrowed_once() {
        let architectures = BTreeSet::from(["amd64".to_owned(), "arm64".to_owned()]);
        let arch = json!({ "key": ARCH, "operator": "In", "values": ["amd64", "arm64"] });
        let pool = json!({ "key": "pool", "operator": "Exists" });
        let own = json!({ "key": ARCH, "operator": "NotIn", "values": ["arm64"] });
        let name = json!([{ "key": "metadata.name", "operator": "In", "values": ["n"] }]);
        let mut with_pods = term(&json!([{ "matchExpressions": [arch] }]));
        with_pods["podAffinity"] = json!({ "x": 1 });
        for (affinity, expected) in [
            (Value::Null, Some(term(&json!([{ "matchExpressions": [arch] }])))),
            (json!({ "podAffinity": { "x": 1 } }), Some(with_pods)),
            (
                term(&json!([{ "matchExpressions": [pool] }, { "matchFields": name }])),
                Some(term(
                    &json!([{ "matchExpressions": [pool, arch] }, { "matchFields": name, "matchExpressions": [arch] }]),
                )),
            ),
            (term(&json!([{ "matchExpressions": [own] }])), None),
            (term(&json!([{}])), None),
        ] {
            let narrowed = narrowed(&affinity, &Placement::default(), &architectures);
            assert_eq!(narrowed, expected, "{affinity}");
            if let Some(once) = narrowed {
                assert_eq!(super::narrowed(&once, &Placement::default(), &architectures), None, "twice");
            }
        }
        let selector = vec![(ARCH.to_owned(), "arm64".to_owned())];
        let chosen = Placement { node_selector: selector, ..Placement::default() };
        let scheduled = Placement { node_name: "n".to_owned(), ..Placement::default() };
        for placement in [chosen, scheduled] {
            assert_eq!(narrowed(&Value::Null, &placement, &architectures), None);
        }
    }
}
