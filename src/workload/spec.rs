//! JSON of a Pod or of an object with a pod template → the few borrowed fields that decide a pull.
//!
//! One pass for every kind, unknown fields skipped, `null` the same as absent. Knows field names, no rules: those are
//! in the parent module. (`#[serde(borrow)]` on one field is a bound on the whole implementation, so one is enough.)

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::lenient::{List, Nullable, Pairs, Scalar, Text};

/// The annotation that marks the API server's image of a static pod
/// (kubernetes/kubernetes `pkg/apis/core/annotation_key_constants.go`).
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// Any Kubernetes object, as far as a pull is concerned.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Object<'a> {
    /// `v1`, `apps/v1`.
    #[serde(borrow)]
    pub api_version: Text<'a>,
    /// `Pod`, `Deployment`.
    pub kind: Text<'a>,
    /// Name, owners, annotations.
    pub metadata: Nullable<Metadata<'a>>,
    /// The pod itself, or what holds its template.
    pub spec: Nullable<Spec<'a>>,
}

/// `metadata`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// Empty while only `generateName` is known.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// The prefix of a name that the API server will complete.
    pub generate_name: Text<'a>,
    /// As the object says it; a review says it better.
    pub namespace: Text<'a>,
    /// At most one of them is the controller.
    pub owner_references: List<OwnerReference<'a>>,
    /// What the annotations say, reduced.
    pub annotations: Annotations,
}

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OwnerReference<'a> {
    /// `apps/v1`.
    #[serde(borrow)]
    pub api_version: Text<'a>,
    /// `ReplicaSet`.
    pub kind: Text<'a>,
    /// Whether this owner manages the object.
    pub controller: Nullable<bool>,
}

/// The one thing asked of the annotations, without keeping them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// `kubernetes.io/config.mirror` is there, whatever its value.
    pub mirror: bool,
}

/// `spec` at any level: of a pod, or of what nests one. Fields of the other levels stay empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec<'a> {
    /// `containers`.
    #[serde(borrow)]
    pub containers: List<Container<'a>>,
    /// `initContainers`.
    pub init_containers: List<Container<'a>>,
    /// `ephemeralContainers`.
    pub ephemeral_containers: List<Container<'a>>,
    /// `volumes`, of any type.
    pub volumes: List<Volume<'a>>,
    /// `imagePullSecrets`, empty names included.
    pub image_pull_secrets: List<LocalObjectReference<'a>>,
    /// `serviceAccountName`.
    pub service_account_name: Text<'a>,
    /// The older name of the same field, which the API server copies when the newer one is empty.
    pub service_account: Text<'a>,
    /// `nodeName`.
    pub node_name: Text<'a>,
    /// `runtimeClassName`: a `RuntimeClass` may bring a node selector of its own.
    pub runtime_class_name: Text<'a>,
    /// `nodeSelector`.
    pub node_selector: Pairs<'a>,
    /// `affinity`.
    pub affinity: Nullable<Affinity<'a>>,
    /// `tolerations`.
    pub tolerations: List<Toleration<'a>>,
    /// `os`.
    pub os: Nullable<Os<'a>>,
    /// `suspend` of a Job or a `CronJob`.
    pub suspend: Scalar,
    /// `replicas` of a Deployment and the like.
    pub replicas: Scalar,
    /// The pod template of a Deployment, a Job and the like.
    pub template: Option<Box<Nested<'a>>>,
    /// The job template of a `CronJob`.
    pub job_template: Option<Box<Nested<'a>>>,
}

/// What stands between one `spec` and the next.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Nested<'a> {
    /// The inner `spec`.
    #[serde(borrow)]
    pub spec: Nullable<Spec<'a>>,
}

/// One container of any of the three lists.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container<'a> {
    /// Unique in its pod.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// The reference as written.
    pub image: Text<'a>,
    /// `Always`, `IfNotPresent`, `Never` or nothing.
    pub image_pull_policy: Text<'a>,
}

/// One volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Volume<'a> {
    /// Unique among the volumes.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Set when the volume is an image.
    pub image: Option<ImageVolume<'a>>,
}

/// `volumes[].image`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageVolume<'a> {
    /// The reference as written.
    #[serde(borrow)]
    pub reference: Text<'a>,
    /// As a container's `imagePullPolicy`.
    pub pull_policy: Text<'a>,
}

/// `affinity`, without what is about other pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Affinity<'a> {
    /// `nodeAffinity`.
    #[serde(borrow)]
    pub node_affinity: Nullable<NodeAffinity<'a>>,
}

/// `nodeAffinity`, without what is only preferred.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeAffinity<'a> {
    /// One of its terms must match; absent: no requirement.
    #[serde(borrow, rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeSelector<'a>>,
}

/// `requiredDuringSchedulingIgnoredDuringExecution`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeSelector<'a> {
    /// Alternatives.
    #[serde(borrow)]
    pub node_selector_terms: List<NodeSelectorTerm<'a>>,
}

/// One alternative: everything in it must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeSelectorTerm<'a> {
    /// About labels.
    #[serde(borrow)]
    pub match_expressions: List<Requirement<'a>>,
    /// About fields.
    pub match_fields: List<Requirement<'a>>,
}

/// One requirement on a label or a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Requirement<'a> {
    /// Of the label or field.
    #[serde(borrow)]
    pub key: Text<'a>,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`.
    pub operator: Text<'a>,
    /// To compare with.
    pub values: List<Text<'a>>,
}

/// One entry of `tolerations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Toleration<'a> {
    /// Empty for every key.
    #[serde(borrow)]
    pub key: Text<'a>,
    /// `Exists`, `Equal`, or nothing, which is `Equal`.
    pub operator: Text<'a>,
    /// For `Equal`.
    pub value: Text<'a>,
    /// Empty for every effect.
    pub effect: Text<'a>,
}

/// `os`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Os<'a> {
    /// `linux` or `windows`.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// A name in the same namespace.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LocalObjectReference<'a> {
    /// May be empty: the API server does not check it.
    #[serde(borrow)]
    pub name: Text<'a>,
}

// === impl Spec ===

impl Spec<'_> {
    /// Whether both can land on the same nodes, as far as their own fields say.
    pub fn same_placement(&self, other: &Self) -> bool {
        self.node_name == other.node_name
            && self.runtime_class_name == other.runtime_class_name
            && self.node_selector == other.node_selector
            && self.affinity == other.affinity
            && self.tolerations == other.tolerations
            && self.os == other.os
    }
}

// === impl Annotations ===

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnnotationsVisitor;

        impl<'de> Visitor<'de> for AnnotationsVisitor {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
                let mut mirror = false;
                while let Some((key, IgnoredAny)) = map.next_entry::<Text<'de>, IgnoredAny>()? {
                    mirror |= &*key == MIRROR_ANNOTATION;
                }
                Ok(Annotations { mirror })
            }

            fn visit_unit<E>(self) -> Result<Annotations, E> {
                Ok(Annotations::default())
            }

            fn visit_none<E>(self) -> Result<Annotations, E> {
                Ok(Annotations::default())
            }
        }

        deserializer.deserialize_any(AnnotationsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn object(json: &str) -> Object<'_> {
        serde_json::from_str(json).expect("decodes")
    }

    #[test]
    fn null_is_absent_at_every_level() {
        for json in [
            "{}",
            r#"{"apiVersion":null,"kind":null,"metadata":null,"spec":null}"#,
            r#"{"metadata":{"name":null,"ownerReferences":null,"annotations":null},"spec":{"containers":null,
                "volumes":null,"imagePullSecrets":null,"serviceAccountName":null,"template":null,"affinity":null}}"#,
            r#"{"spec":{"template":{"spec":null},"nodeSelector":{},"tolerations":[]}}"#,
        ] {
            let object = object(json);
            assert_eq!(&*object.metadata.name, "", "{json}");
            assert!(!object.metadata.annotations.mirror, "{json}");
            assert!(object.spec.containers.is_empty(), "{json}");
            assert!(object.spec.same_placement(&Spec::default()), "{json}");
        }
    }

    #[test]
    fn a_null_entry_keeps_its_place_in_the_list() {
        let object = object(r#"{"spec":{"containers":[null,{"name":"b","image":null}],"volumes":[{"image":null}]}}"#);
        assert_eq!(object.spec.containers.len(), 2);
        assert_eq!(&*object.spec.containers[1].name, "b");
        assert_eq!(&*object.spec.containers[1].image, "");
        assert!(object.spec.volumes[0].image.is_none());
    }

    #[test]
    fn strings_borrow_unless_they_are_escaped() {
        let object = object(r#"{"metadata":{"name":"web","generateName":"a\u0062c"}}"#);
        assert!(matches!(object.metadata.name.0, Cow::Borrowed("web")));
        assert!(matches!(&object.metadata.generate_name.0, Cow::Owned(text) if text == "abc"));
    }

    #[test]
    fn only_the_mirror_annotation_is_noticed() {
        for (annotations, mirror) in [
            (r#"{"kubernetes.io/config.mirror":"abc"}"#, true),
            (r#"{"a":"b","kubernetes.io/config.mirror":""}"#, true),
            (r#"{"kubernetes.io/config.source":"file"}"#, false),
            (r#"{"a":"kubernetes.io/config.mirror"}"#, false),
        ] {
            let json = format!(r#"{{"metadata":{{"annotations":{annotations}}}}}"#);
            assert_eq!(object(&json).metadata.annotations.mirror, mirror, "{annotations}");
        }
    }

    #[test]
    fn wrong_types_are_errors_that_name_what_was_expected() {
        for (json, expected) in [
            (r#"{"spec":{"containers":[{"image":5}]}}"#, "expected a string"),
            (r#"{"spec":{"containers":{}}}"#, "expected a list"),
            (r#"{"metadata":{"annotations":[]}}"#, "expected annotations"),
        ] {
            let error = serde_json::from_str::<Object<'_>>(json).expect_err("does not decode");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn placement_differs_when_any_of_its_fields_does() {
        let base = object(r#"{"spec":{"nodeSelector":{"kubernetes.io/arch":"arm64"},"os":{"name":"linux"}}}"#);
        let same = object(r#"{"spec":{"os":{"name":"linux"},"nodeSelector":{"kubernetes.io/arch":"arm64"},"x":1}}"#);
        assert!(base.spec.same_placement(&same.spec));
        for other in [
            r#"{"nodeSelector":{"kubernetes.io/arch":"amd64"},"os":{"name":"linux"}}"#,
            r#"{"nodeSelector":{"kubernetes.io/arch":"arm64"},"os":{"name":"windows"}}"#,
            r#"{"nodeSelector":{"kubernetes.io/arch":"arm64"},"os":{"name":"linux"},"nodeName":"n1"}"#,
            r#"{"nodeSelector":{"kubernetes.io/arch":"arm64"},"os":{"name":"linux"},"runtimeClassName":"kata"}"#,
            r#"{"nodeSelector":{"kubernetes.io/arch":"arm64"},"os":{"name":"linux"},"affinity":{"nodeAffinity":{
                "requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a"}]}]}}}}"#,
            r#"{"nodeSelector":{"kubernetes.io/arch":"arm64"},"os":{"name":"linux"},"tolerations":[{"key":"a"}]}"#,
        ] {
            let json = format!(r#"{{"spec":{other}}}"#);
            assert!(!base.spec.same_placement(&object(&json).spec), "{other}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        let json = format!(r#"{{"spec":{}{}}}"#, r#"{"template":{"spec":"#.repeat(5000), "}".repeat(10_000));
        assert!(serde_json::from_str::<Object<'_>>(&json).is_err());
        let json = format!(r#"{{"spec":{{"affinity":{}{}}}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert!(serde_json::from_str::<Object<'_>>(&json).is_err());
    }
}
