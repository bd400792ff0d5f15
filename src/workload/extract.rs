//! The decoded fields of an object → a [`Workload`]: where each kind keeps its pod spec, which images an UPDATE
//! changed, where the pull secrets come from and who the owner is.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::spec::{Metadata, Object, OwnerReference, Spec};
use super::{ContainerImage, ObjectRef, Owner, Placement, PullPolicy, PullSecretNames, Scalar, Shape, Workload};

/// The workload that `object` is, with all of its images; `None` if `meta` names a kind that pullgate does not know, or
/// the object has no pod template.
///
/// `admitted` says that a Pod has passed the API server's `ServiceAccount` plugin (it is in an admission review, or in
/// the cluster), so that its list of pull secrets is final; templates never have.
pub fn from_object(object: &Object<'_>, meta: ObjectRef, admitted: bool) -> Option<Workload> {
    let place = Place::of(&meta)?;
    let spec = place.pod_spec(object)?;
    let images = fields(spec, place.shape()).map(|field| field.image(place, None)).collect();
    Some(place.workload(object, spec, meta, admitted, images))
}

/// The workload that an UPDATE makes of `old`; `None` if it changes nothing that decides a pull, or the kind is unknown.
///
/// Of a Pod the changed and the new images stay: an unchanged one is running, good or bad. Of a template all stay as
/// soon as an image, its policy, a pull secret, the service account or the placement differs. The placement does not count
/// where nothing will run: whoever stops work may take constraints out that are of no use any more (Kueue does).
pub fn from_update(object: &Object<'_>, old: &Object<'_>, meta: ObjectRef) -> Option<Workload> {
    let place = Place::of(&meta)?;
    let spec = place.pod_spec(object)?;
    let empty = Spec::default();
    let old_spec = place.pod_spec(old).unwrap_or(&empty);
    let before = Before::new(old_spec, place.shape());
    let template = place.shape() == Shape::Template;
    if template && same_pulls(spec, old_spec) && (is_stopped(object) || spec.same_placement(old_spec)) {
        return None;
    }
    let images: Vec<_> = fields(spec, place.shape())
        .filter_map(|field| match before.image(&field) {
            Some(same) if same == field.image => template.then(|| field.image(place, None)),
            other => Some(field.image(place, other)),
        })
        .collect();
    let existing = place == Place::Pod;
    (!images.is_empty()).then(|| Workload { existing, ..place.workload(object, spec, meta, true, images) })
}

/// The workload that an UPDATE of `pods/ephemeralcontainers` adds: only containers whose name is new, because an entry
/// can be neither changed nor removed.
pub fn from_new_ephemeral_containers(object: &Object<'_>, old: &Object<'_>, meta: ObjectRef) -> Option<Workload> {
    let place = Place::of(&meta)?;
    let spec = place.pod_spec(object)?;
    let empty = Spec::default();
    let before = Before::new(place.pod_spec(old).unwrap_or(&empty), place.shape());
    let images: Vec<_> = fields(spec, place.shape())
        .filter(|field| field.list == ImageList::EphemeralContainers && before.image(field).is_none())
        .map(|field| field.image(place, None))
        .collect();
    let existing = place == Place::Pod;
    (!images.is_empty()).then(|| Workload { existing, ..place.workload(object, spec, meta, true, images) })
}

/// Whether an object with a template names an image in it, be it a placeholder.
pub(super) fn names_images(object: &Object<'_>) -> bool {
    Place::Template.pod_spec(object).is_some_and(|spec| fields(spec, Shape::Pod).next().is_some())
}

/// Whether nothing of an object runs: a suspended Job or `CronJob`, or what is scaled to nothing.
fn is_stopped(object: &Object<'_>) -> bool {
    object.spec.suspend == Scalar::True || object.spec.replicas == Scalar::Zero
}

/// The four lists of a pod spec that name images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ImageList {
    Containers,
    InitContainers,
    EphemeralContainers,
    Volumes,
}

/// One field that names an image, still borrowed.
struct Field<'o> {
    list: ImageList,
    index: usize,
    name: &'o str,
    image: &'o str,
    policy: &'o str,
}

/// Where a kind keeps its pod spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Pod,
    Template,
    JobTemplate,
}

/// The images of an object before its UPDATE, found by container name.
struct Before<'o> {
    spec: &'o Spec<'o>,
    shape: Shape,
    // Positions seldom move; the maps are for those that do, and keep a hostile pod of 100,000 containers linear.
    by_name: [OnceCell<HashMap<&'o str, &'o str>>; 4],
}

// === impl ImageList ===

impl ImageList {
    const ALL: [Self; 4] = [Self::Containers, Self::InitContainers, Self::EphemeralContainers, Self::Volumes];

    fn as_str(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::InitContainers => "initContainers",
            Self::EphemeralContainers => "ephemeralContainers",
            Self::Volumes => "volumes",
        }
    }

    fn len(self, spec: &Spec<'_>) -> usize {
        match self {
            Self::Containers => spec.containers.len(),
            Self::InitContainers => spec.init_containers.len(),
            Self::EphemeralContainers => spec.ephemeral_containers.len(),
            Self::Volumes => spec.volumes.len(),
        }
    }

    /// The entry at `index`, or `None` if there is none or it is a volume of another type.
    fn get<'o>(self, spec: &'o Spec<'_>, index: usize) -> Option<Field<'o>> {
        let containers = match self {
            Self::Containers => &spec.containers,
            Self::InitContainers => &spec.init_containers,
            Self::EphemeralContainers => &spec.ephemeral_containers,
            Self::Volumes => {
                let volume = spec.volumes.get(index)?;
                let image = volume.image.as_ref()?;
                let (name, image, policy) = (&volume.name, &image.reference, &image.pull_policy);
                return Some(Field { list: self, index, name, image, policy });
            }
        };
        let container = containers.get(index)?;
        let (name, image, policy) = (&container.name, &container.image, &container.image_pull_policy);
        Some(Field { list: self, index, name, image, policy })
    }

    fn fields<'o>(self, spec: &'o Spec<'_>, shape: Shape) -> impl Iterator<Item = Field<'o>> {
        let image = move |field: &Field<'_>| shape == Shape::Pod || !placeholder(field.image);
        (0..self.len(spec)).filter_map(move |index| self.get(spec, index)).filter(image)
    }
}

// === impl Field ===

impl Field<'_> {
    fn image(&self, place: Place, old_image: Option<&str>) -> Arc<ContainerImage> {
        let (list, index) = (self.list.as_str(), &*self.index.to_string());
        let (dotted, slashed) = match self.list {
            ImageList::Volumes => ("].image.reference", "/image/reference"),
            ImageList::Containers | ImageList::InitContainers | ImageList::EphemeralContainers => ("].image", "/image"),
        };
        Arc::new(ContainerImage {
            path: [place.path(), ".", list, "[", index, dotted].concat(),
            pointer: [place.pointer(), "/", list, "/", index, slashed].concat(),
            container: self.name.to_owned(),
            image: self.image.to_owned(),
            pull_policy: PullPolicy::or_default(self.policy, self.image),
            old_image: old_image.map(str::to_owned),
        })
    }
}

// === impl Place ===

impl Place {
    fn of(meta: &ObjectRef) -> Option<Self> {
        Shape::of(&meta.api_version, &meta.kind).map(|shape| match shape {
            Shape::Pod => Self::Pod,
            Shape::Template if meta.kind == "CronJob" => Self::JobTemplate,
            Shape::Template => Self::Template,
        })
    }

    fn shape(self) -> Shape {
        match self {
            Self::Pod => Shape::Pod,
            Self::Template | Self::JobTemplate => Shape::Template,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Pod => "spec",
            Self::Template => "spec.template.spec",
            Self::JobTemplate => "spec.jobTemplate.spec.template.spec",
        }
    }

    fn pointer(self) -> &'static str {
        match self {
            Self::Pod => "/spec",
            Self::Template => "/spec/template/spec",
            Self::JobTemplate => "/spec/jobTemplate/spec/template/spec",
        }
    }

    /// The pod spec inside `object`; `None` if a template is missing (the API server will say so).
    fn pod_spec<'o, 'a>(self, object: &'o Object<'a>) -> Option<&'o Spec<'a>> {
        let outer = &*object.spec;
        match self {
            Self::Pod => Some(outer),
            Self::Template => Some(&outer.template.as_ref()?.spec),
            Self::JobTemplate => Some(&outer.job_template.as_ref()?.spec.template.as_ref()?.spec),
        }
    }

    fn workload(
        self,
        object: &Object<'_>,
        spec: &Spec<'_>,
        meta: ObjectRef,
        admitted: bool,
        images: Vec<Arc<ContainerImage>>,
    ) -> Workload {
        Workload {
            object: meta,
            shape: self.shape(),
            images,
            pull_secrets: pull_secrets(spec, admitted && self == Self::Pod),
            owner: owner(&object.metadata, self.shape()),
            account: account(spec).to_owned(),
            placement: if admitted && self == Self::Pod {
                Placement::of(spec)
            } else {
                Placement::of(spec).before_admission()
            },
            existing: false,
        }
    }
}

// === impl Before ===

impl<'o> Before<'o> {
    fn new(spec: &'o Spec<'o>, shape: Shape) -> Self {
        Self { spec, shape, by_name: Default::default() }
    }

    /// What the same container had before; `None` if it was not there or had no image.
    fn image(&self, field: &Field<'_>) -> Option<&'o str> {
        match field.list.get(self.spec, field.index) {
            Some(before) if before.name == field.name => {
                Some(before.image).filter(|image| self.shape == Shape::Pod || !placeholder(image))
            }
            _ => self.by_name[field.list as usize]
                .get_or_init(|| {
                    field.list.fields(self.spec, self.shape).map(|before| (before.name, before.image)).collect()
                })
                .get(field.name)
                .copied(),
        }
    }
}

/// Every image of a pod spec, in the order in which they are reported; of a template without its placeholders. A Pod that
/// is validated has none: whoever fills images in has done so.
fn fields<'o>(spec: &'o Spec<'_>, shape: Shape) -> impl Iterator<Item = Field<'o>> {
    ImageList::ALL.into_iter().flat_map(move |list| list.fields(spec, shape))
}

/// What [`ContainerImage::is_placeholder`] says.
pub(super) fn placeholder(image: &str) -> bool {
    image == "auto" || image.trim().is_empty()
}

/// Whether two pod templates pull the same images with the same names of secrets. Order and names of containers do not
/// matter.
fn same_pulls(new: &Spec<'_>, old: &Spec<'_>) -> bool {
    pull_secrets(new, false) == pull_secrets(old, false) && pulls(new) == pulls(old)
}

/// Every image with its policy, in an order of their own.
fn pulls<'o>(spec: &'o Spec<'_>) -> Vec<(&'o str, &'static str)> {
    let mut pulls: Vec<_> = fields(spec, Shape::Template)
        .map(|field| (field.image, PullPolicy::or_default(field.policy, field.image).as_str()))
        .collect();
    pulls.sort_unstable();
    pulls
}

/// The names of the pull secrets, as the `ServiceAccount` plugin leaves or will leave them.
fn pull_secrets(spec: &Spec<'_>, is_final: bool) -> PullSecretNames {
    let listed: Vec<String> =
        spec.image_pull_secrets.iter().filter(|secret| !secret.name.is_empty()).map(|s| s.name.to_string()).collect();
    if listed.is_empty() && !spec.image_pull_secrets.is_empty() {
        return PullSecretNames::Nameless;
    }
    if is_final {
        return PullSecretNames::Final(listed);
    }
    PullSecretNames::ThroughServiceAccount { listed, account: account(spec).to_owned() }
}

fn account<'o>(spec: &'o Spec<'_>) -> &'o str {
    let named = [&spec.service_account_name, &spec.service_account].into_iter().find(|name| !name.is_empty());
    named.map_or("default", |name| name)
}

/// The controller owner. A Deployment owns `ReplicaSets`, never a pod; a pod that names one was made by something else.
fn owner(metadata: &Metadata<'_>, shape: Shape) -> Owner {
    let Some(OwnerReference { api_version, kind, .. }) =
        metadata.owner_references.iter().find(|owner| *owner.controller)
    else {
        return Owner::None;
    };
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match (group, &**kind, shape) {
        ("apps", "ReplicaSet" | "StatefulSet" | "DaemonSet", _)
        | ("batch", "Job", _)
        | ("", "ReplicationController" | "Node", _)
        | ("apps", "Deployment", Shape::Template)
        | ("batch", "CronJob", Shape::Template) => Owner::BuiltIn,
        (_, kind, _) => Owner::Foreign(kind.to_owned()),
    }
}

#[cfg(test)]
mod tests;
