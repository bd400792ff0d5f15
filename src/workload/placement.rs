//! What a pod spec says about the nodes that the pod can land on.
//!
//! Only what excludes a node for good is kept: preferences, spreading and affinity to other pods choose among nodes.

use super::spec;

/// Bytes of selectors, requirements and tolerations that are looked at.
const MAX_BYTES: usize = 16 * 1024;

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
    /// `runtimeClassName`; empty for the nodes' own way to run containers.
    pub runtime_class: String,
    /// The spec says so much about placement that it is not looked at: no node is known to take the pod.
    pub excessive: bool,
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
        if bytes(spec) > MAX_BYTES {
            return Self { excessive: true, ..Self::default() };
        }
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
            runtime_class: owned(&spec.runtime_class_name),
            excessive: false,
        }
    }

    /// The same for what has not passed admission: a `RuntimeClass` or a namespace's defaults may still add tolerations.
    #[must_use]
    pub fn before_admission(self) -> Self {
        let every = Toleration { key: String::new(), value: None, effect: String::new() };
        Self { tolerations: vec![every], ..self }
    }
}

/// What matching would have to look at, for each node.
fn bytes(spec: &spec::Spec<'_>) -> usize {
    const EACH: usize = 16;
    let requirement = |requirement: &spec::Requirement<'_>| {
        EACH + requirement.key.len() + requirement.values.iter().map(|value| EACH + value.len()).sum::<usize>()
    };
    let required = spec.affinity.node_affinity.required.as_ref();
    let terms = required.into_iter().flat_map(|required| required.node_selector_terms.iter());
    let requirements = terms.map(|term| {
        EACH + term.match_expressions.iter().chain(term.match_fields.iter()).map(requirement).sum::<usize>()
    });
    let selector = spec.node_selector.iter().map(|(key, value)| EACH + key.len() + value.len());
    let tolerations = spec.tolerations.iter().map(|toleration| EACH + toleration.key.len() + toleration.value.len());
    requirements.chain(selector).chain(tolerations).sum::<usize>() + spec.runtime_class_name.len()
}

/// Whether a toleration is about taints that are looked at: see [`transient`].
fn counts(toleration: &spec::Toleration<'_>) -> bool {
    !transient(&toleration.key) && &*toleration.effect != "PreferNoSchedule"
}

/// Taints that Kubernetes itself puts on a node and takes off again: they say when a pod can land, not where. Neither
/// they nor their tolerations are looked at (kubernetes/api `core/v1/well_known_taints.go`; the autoscalers', and those of agents
/// that have yet to start).
pub fn transient(key: &str) -> bool {
    key.starts_with("node.kubernetes.io/")
        || key.starts_with("node.cloudprovider.kubernetes.io/")
        || key.starts_with("karpenter.sh/")
        || key.ends_with("/agent-not-ready")
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
