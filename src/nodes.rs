//! Nodes, reduced to what decides a pull: where pods can land, what runs there, and which images are there already.
//!
//! Pure. [`crate::cluster`] reads them; [`eligible`] holds a pod against them, [`platform`] an image.

pub mod eligible;
pub mod object;
pub mod platform;
mod runtime;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

pub use self::eligible::{Class, Eligible};
pub use self::runtime::Runtime;
use crate::workload::Placement;

/// Placements whose answer is remembered; pods of one owner ask the same.
const MAX_REMEMBERED: usize = 200;

/// How many images a kubelet lists at most (kubernetes/kubernetes `pkg/kubelet/apis/config/v1beta1/defaults.go`,
/// `nodeStatusMaxImages`): what is missing from a list of that length may be there all the same.
pub const LISTED_AT_MOST: usize = 50;

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
        Self { all: nodes, by_name: Arc::new(by_name), remembered: Mutex::default() }
    }

    /// The nodes that a pod can land on. Worked out once for each placement.
    pub fn eligible(&self, placement: &Placement) -> Arc<Eligible> {
        if let Some(known) = self.remembered().get(placement) {
            return Arc::clone(known);
        }
        let eligible = Arc::new(Eligible::new(&self.all, placement, Arc::clone(&self.by_name)));
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

    /// Whether the list may have been cut, so that nothing follows from what is not in it.
    pub fn may_be_cut(&self) -> bool {
        self.listed.len() >= LISTED_AT_MOST
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
