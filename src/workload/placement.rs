//! What a pod spec says about the nodes that the pod can land on.
//!
//! Only what excludes a node for good is kept: preferences, spreading and affinity to other pods choose among nodes.

use super::spec;

/// Where a pod can land, in the words of its spec. The default is: anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Placement {
    /// `nodeName`; empty while the scheduler has not chosen.
    pub node_name: String,
    /// `nodeSelector`, in order of the keys.
    pub node_selector: Vec<(String, String)>,
    /// The terms of the required node affinity, of which one must match; none: nothing is required.
    pub required: Option<Vec<Term>>,
    /// Tolerations of taints that keep pods away.
    pub tolerations: Vec<Toleration>,
    /// `os.name`; a kubelet of another system refuses the pod.
    pub os: String,
}

/// `nodeSelectorTerms[]`: everything in it must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Term {
    /// `matchExpressions`, about labels.
    pub labels: Vec<Requirement>,
    /// `matchFields`, about `metadata.name`.
    pub fields: Vec<Requirement>,
}

/// One requirement of a term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// Key of the label, or name of the field.
    pub key: String,
    /// How to compare.
    pub operator: Operator,
    /// What to compare with.
    pub values: Vec<String>,
}

/// The operators of node affinity (kubernetes/api `core/v1/types.go`, `NodeSelectorOperator`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values, or absent.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// Greater, as an integer.
    Gt,
    /// Less, as an integer.
    Lt,
    /// A word of a later API: it excludes nothing here.
    Other,
}

/// One toleration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// Key of the taint; empty for every key.
    pub key: String,
    /// The value that the taint must have; none: any.
    pub value: Option<String>,
    /// Effect of the taint; empty for every effect.
    pub effect: String,
}

// === impl Placement ===

impl Placement {
    /// The placement of a pod spec.
    pub fn of(spec: &spec::Spec<'_>) -> Self {
        let owned = |text: &super::Text<'_>| (**text).to_owned();
        let mut node_selector: Vec<_> =
            spec.node_selector.iter().map(|(key, value)| (owned(key), owned(value))).collect();
        node_selector.sort_unstable();
        Self {
            node_name: owned(&spec.node_name),
            node_selector,
            required: spec.affinity.node_affinity.required.as_ref().map(|required| {
                let term = |term: &spec::NodeSelectorTerm<'_>| Term {
                    labels: term.match_expressions.iter().map(Requirement::of).collect(),
                    fields: term.match_fields.iter().map(Requirement::of).collect(),
                };
                required.node_selector_terms.iter().map(term).collect()
            }),
            tolerations: spec.tolerations.iter().filter(|toleration| counts(toleration)).map(Toleration::of).collect(),
            os: owned(&spec.os.name),
        }
    }
}

/// Whether a toleration is about taints that are looked at: see [`transient`].
fn counts(toleration: &spec::Toleration<'_>) -> bool {
    !transient(&toleration.key) && &*toleration.effect != "PreferNoSchedule"
}

/// Taints that Kubernetes itself puts on a node and takes off again: they say when a pod can land, not where. Neither
/// they nor their tolerations are looked at (kubernetes/api `core/v1/well_known_taints.go`; the cluster autoscaler's).
pub fn transient(key: &str) -> bool {
    key.starts_with("node.kubernetes.io/")
        || key.starts_with("node.cloudprovider.kubernetes.io/")
        || matches!(key, "ToBeDeletedByClusterAutoscaler" | "DeletionCandidateOfClusterAutoscaler")
}

// === impl Requirement ===

impl Requirement {
    fn of(requirement: &spec::Requirement<'_>) -> Self {
        Self {
            key: (*requirement.key).to_owned(),
            operator: match &*requirement.operator {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                "Gt" => Operator::Gt,
                "Lt" => Operator::Lt,
                _ => Operator::Other,
            },
            values: requirement.values.iter().map(|value| (**value).to_owned()).collect(),
        }
    }
}

// === impl Toleration ===

impl Toleration {
    fn of(toleration: &spec::Toleration<'_>) -> Self {
        Self {
            key: (*toleration.key).to_owned(),
            // An operator of a later API compares in a way that is not known here: it tolerates.
            value: matches!(&*toleration.operator, "" | "Equal").then(|| (*toleration.value).to_owned()),
            effect: (*toleration.effect).to_owned(),
        }
    }
}
