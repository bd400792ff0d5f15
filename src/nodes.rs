//! Nodes, reduced to what decides a pull: where pods can land, what runs there, and which images are there already.
//!
//! Pure. [`crate::cluster`] reads them; [`eligible`] holds a pod against them, [`content`] an image.

pub mod content;
pub mod eligible;
pub mod object;
pub mod platform;
mod runtime;
mod windows;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

pub use self::eligible::{Class, Eligible};
pub use self::runtime::Runtime;
pub use self::windows::WindowsVersion;
use crate::workload::Placement;

/// Placements whose answer is remembered; pods of one owner ask the same.
const MAX_REMEMBERED: usize = 200;

/// How many images a kubelet lists by default, the largest (kubernetes/kubernetes
/// `pkg/kubelet/apis/config/v1beta1/defaults.go`, `nodeStatusMaxImages`): what is missing from a list of that length or a
/// longer one may be there all the same.
pub const LISTED_BY_DEFAULT: usize = 50;

/// How many names a kubelet lists of one image, digests before tags (kubernetes/kubernetes
/// `pkg/kubelet/nodestatus/setters.go`, `MaxNamesPerImageInNodeStatus`).
pub const NAMES_AT_MOST: usize = 5;

/// From how many nodes on, whose lists are different and equally long, that length is taken for a limit.
const NODES_WITH_A_LIMIT: usize = 3;

/// One Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// Taints that keep pods away and that no kubelet or autoscaler puts there for a while.
    pub taints: Vec<Taint>,
    /// `linux`, `windows`; empty if unknown.
    pub os: String,
    /// `amd64`, `arm64`; empty if unknown.
    pub architecture: String,
    /// What pulls there.
    pub runtime: Runtime,
    /// The version of Windows, where that is its system and known.
    pub windows: Option<WindowsVersion>,
    /// Its images.
    pub images: Images,
}

/// A taint with the effect `NoSchedule` or `NoExecute`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value, often empty.
    pub value: String,
    /// Effect.
    pub effect: String,
}

/// `status.images`: every name of every image that a node lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    listed: Vec<Arc<[String]>>,
}

/// Every name that any node lists, with the images that have it: most questions end here.
pub type ByName = HashMap<String, Vec<Arc<[String]>>>;

/// All nodes at one time.
#[derive(Debug, Default)]
pub struct Nodes {
    all: Vec<Arc<Node>>,
    by_name: Arc<ByName>,
    listed_at_most: usize,
    remembered: Mutex<HashMap<Placement, Arc<Eligible>>>,
}

// === impl Nodes ===

impl Nodes {
    /// A snapshot, in the order of the names.
    pub fn new(nodes: impl IntoIterator<Item = Arc<Node>>) -> Self {
        let mut nodes: Vec<_> = nodes.into_iter().collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let (mut by_name, mut seen) = (ByName::new(), HashSet::new());
        for image in nodes.iter().flat_map(|node| &node.images.listed) {
            if seen.insert(image.as_ptr()) {
                for name in image.iter() {
                    by_name.entry(name.clone()).or_default().push(Arc::clone(image));
                }
            }
        }
        let listed_at_most = listed_at_most(&nodes);
        Self { all: nodes, by_name: Arc::new(by_name), listed_at_most, remembered: Mutex::default() }
    }

    /// The nodes that a pod can land on. Worked out once for each placement.
    pub fn eligible(&self, placement: &Placement) -> Arc<Eligible> {
        if let Some(known) = self.remembered().get(placement) {
            return Arc::clone(known);
        }
        let eligible = Eligible::new(&self.all, placement, Arc::clone(&self.by_name), self.listed_at_most);
        let eligible = Arc::new(eligible);
        let mut remembered = self.remembered();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(placement.clone(), Arc::clone(&eligible));
        eligible
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<Placement, Arc<Eligible>>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Images ===

impl Images {
    /// Images by their lists of names. Equal lists are kept once over all nodes that share `known`.
    pub fn new(lists: impl IntoIterator<Item = Vec<String>>, known: &mut HashSet<Arc<[String]>>) -> Self {
        let mut share = |names: Vec<String>| {
            let names: Arc<[String]> = names.into();
            if let Some(same) = known.get(&names) {
                return Arc::clone(same);
            }
            known.insert(Arc::clone(&names));
            names
        };
        Self { listed: lists.into_iter().map(&mut share).collect() }
    }

    /// Whether the list, or the names of an image in it, may have been cut, so that nothing follows from what is not in
    /// it. `at_most` is how many images the kubelet lists.
    pub fn may_be_cut(&self, at_most: usize) -> bool {
        self.listed.len() >= at_most || self.listed.iter().any(|names| names.len() >= NAMES_AT_MOST)
    }

    /// Whether an image of this name, in the runtime's form, is there.
    pub fn hold(&self, name: &str) -> bool {
        self.names_of(name).is_some()
    }

    /// Whether an image of this digest is there, under any name.
    pub fn hold_digest(&self, digest: &str) -> bool {
        let named = |name: &String| name.rsplit_once('@').is_some_and(|(_, known)| known == digest);
        self.listed.iter().any(|names| names.iter().any(named))
    }

    /// All names of the image that has this one.
    pub fn names_of(&self, name: &str) -> Option<&[String]> {
        self.listed.iter().find(|names| names.iter().any(|known| known == name)).map(AsRef::as_ref)
    }
}

/// How many images the kubelets of these nodes list: the default, unless several nodes list fewer, equally many and not the
/// same, and no node lists more.
fn listed_at_most(nodes: &[Arc<Node>]) -> usize {
    let most = nodes.iter().map(|node| node.images.listed.len()).max().unwrap_or_default();
    if most == 0 || most >= LISTED_BY_DEFAULT {
        return LISTED_BY_DEFAULT;
    }
    // Equal lists of names are one allocation, see [`Images::new`].
    let images = |node: &Arc<Node>| node.images.listed.iter().map(|names| names.as_ptr()).collect::<BTreeSet<_>>();
    let longest = nodes.iter().filter(|node| node.images.listed.len() == most);
    let different: HashSet<_> = longest.map(images).collect();
    if different.len() >= NODES_WITH_A_LIMIT { most } else { LISTED_BY_DEFAULT }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::object::{NodeSpec, NodeStatus};
    use super::*;

    /// A cluster of nodes, each with these images; every image has one name.
    fn cluster(nodes: &[Vec<String>]) -> Nodes {
        let mut known = HashSet::new();
        Nodes::new(nodes.iter().enumerate().map(|(index, images)| {
            let images: Vec<_> = images.iter().map(|image| json!({ "names": [image] })).collect();
            let status: NodeStatus = serde_json::from_value(json!({ "images": images })).unwrap();
            let name = format!("n{index}");
            Arc::new(Node::new(&name, BTreeMap::new(), NodeSpec::default(), status, &mut known))
        }))
    }

    fn images(prefix: &str, count: usize) -> Vec<String> {
        (0..count).map(|number| format!("a.io/{prefix}:{number}")).collect()
    }

    #[test]
    fn a_list_that_may_have_been_cut_proves_nothing() {
        for (nodes, expected) in [
            (vec![images("a", 49)], false),
            (vec![images("a", 50)], true),
            (vec![images("a", 120)], true),
            (vec![images("a", 3), images("b", 50)], true),
            (vec![], false),
            (vec![vec![]], false),
            // Nodes that look alike.
            (vec![images("a", 20), images("a", 20), images("a", 20)], false),
            (vec![images("a", 20), images("b", 20), images("c", 19)], false),
            // Nodes with a lower limit.
            (vec![images("a", 20), images("b", 20), images("c", 20), images("d", 4)], true),
            (vec![images("a", 20), images("b", 20), images("c", 20), images("d", 21)], false),
        ] {
            let eligible = cluster(&nodes).eligible(&Placement::default());
            let lengths: Vec<usize> = nodes.iter().map(Vec::len).collect();
            assert_eq!(eligible.may_hold_more(), expected, "{lengths:?}");
        }
    }

    #[test]
    fn an_image_of_five_names_may_have_a_sixth() {
        for (names, expected) in [(4, false), (5, true)] {
            let images = Images::new([images("a", names)], &mut HashSet::new());
            assert_eq!(images.may_be_cut(LISTED_BY_DEFAULT), expected, "{names}");
        }
    }
}
