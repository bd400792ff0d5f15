//! What can be pulled is admitted, and pinned to what its tag names now.

use serde_json::{Value, json};

use crate::Failure;
use crate::objects::{self, pod, pod_with};
use crate::report::{Report, ensure};
use crate::stack;
use crate::world::{TEAM, World};

pub(super) fn cases(world: &mut World, report: &mut Report) {
    let world = &*world;
    let one = &world.images.single;
    let basic = world.basic("alice/app:v1");
    let mut admitted = |name: &str, pod: Value, digest: &str| {
        report.case(&format!("admitted: {name}"), |_| {
            world.kubectl.apply(&pod)?.silently()?;
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (name, image) = (text(&pod["metadata"]["name"]), text(&pod["spec"]["containers"][0]["image"]));
            world.pinned(TEAM, &name, &image, digest)
        });
    };
    admitted("a public image", pod(TEAM, "public", &world.open("alice/app:v1")), one);
    admitted("a private image with the pod's secret", pod_with(TEAM, "own-secret", &basic, &["basic"]), one);
    let bearer = world.bearer("alice/app:v1");
    admitted("the same behind a token server", pod_with(TEAM, "own-token", &bearer, &["bearer"]), one);
    let mut through = pod(TEAM, "through-account", &world.bearer("alice/deep/nested/app:v1"));
    through["spec"]["serviceAccountName"] = json!("puller");
    admitted("a private image with the ServiceAccount's secret", through, &world.images.nested);
    let secrets = ["not-there", "opaque", "other-registry", "wrong", "basic"];
    report.case("admitted: five secrets, the right one last", |_| {
        let said = world.kubectl.apply(&pod_with(TEAM, "right-last", &basic, &secrets))?;
        said.warned(&["PullSecretMissing", "not-there"])?;
        world.pinned(TEAM, "right-last", &basic, one)
    });
    report.case("admitted: an index is pinned as a whole, not to a child of it", |_| {
        let image = world.open("alice/app:multi");
        world.kubectl.apply(&pod(TEAM, "index", &image))?.silently()?;
        world.pinned(TEAM, "index", &image, &world.images.index)
    });
    report.case("admitted: a tag that moves is pinned to what it names now", |_| tag_moves(world));
    report.case("admitted: init containers, sidecars and image volumes are pinned too", |_| everywhere(world));
    report.case("admitted: a pod of a foreign owner kind is judged, not pinned", |_| foreign(world));
}

/// `Always`, so a pin rests on what the registry says at this moment.
fn tag_moves(world: &World) -> Result<String, Failure> {
    let image = world.open("alice/moving:v1");
    let mut digests = Vec::new();
    for (name, words) in [("moving-1", "first"), ("moving-2", "second")] {
        let digest = crate::images::push(world.places.seed, "alice/moving", "v1", words)?;
        let mut pod = pod(TEAM, name, &image);
        pod["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
        // As old as a fact may be that a pin under Always rests on.
        if !digests.is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5200));
        }
        world.kubectl.apply(&pod)?.silently()?;
        world.pinned(TEAM, name, &image, &digest)?;
        digests.push(digest);
    }
    ensure(digests[0] != digests[1], || "the tag did not move".to_owned())?;
    Ok("two digests".to_owned())
}

fn everywhere(world: &World) -> Result<String, Failure> {
    let image = world.open("solo:v1");
    let mut pod = pod(TEAM, "everywhere", &image);
    pod["spec"]["initContainers"] =
        json!([{ "name": "first", "image": image }, { "name": "beside", "image": image, "restartPolicy": "Always" }]);
    pod["spec"]["volumes"] = json!([{ "name": "data", "image": { "reference": image, "pullPolicy": "IfNotPresent" } }]);
    world.kubectl.apply(&pod)?.silently()?;
    let spec: Value = serde_json::from_str(&world.kubectl.get(&format!("-n {TEAM} get pod everywhere -o json"))?)?;
    let spec = &spec["spec"];
    let pinned = format!("{image}@{}", world.images.solo);
    let mut images =
        vec![&spec["containers"][0]["image"], &spec["initContainers"][0]["image"], &spec["initContainers"][1]["image"]];
    // Older servers drop the field.
    if stack::line().as_deref() != Some("1.34") {
        images.push(&spec["volumes"][0]["image"]["reference"]);
    }
    ensure(images.iter().all(|image| **image == pinned), || format!("not all are {pinned}: {images:?}"))?;
    Ok(format!("{} fields", images.len()))
}

fn foreign(world: &World) -> Result<String, Failure> {
    objects::widgets(&world.kubectl)?;
    let widget = json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "namespace": TEAM, "name": "owner" },
    });
    world.kubectl.apply(&widget)?.succeeded()?;
    let uid = world.field(TEAM, "widget/owner", "{.metadata.uid}")?;
    let owned = |name: &str, image: &str| {
        let mut pod = pod(TEAM, name, image);
        pod["metadata"]["ownerReferences"] = json!([
            { "apiVersion": "example.com/v1", "kind": "Widget", "name": "owner", "uid": uid, "controller": true },
        ]);
        pod
    };
    let image = world.open("alice/app:v1");
    world.kubectl.apply(&owned("owned", &image))?.succeeded()?;
    let is = world.field(TEAM, "pod/owned", "{.spec.containers[0].image}")?;
    ensure(is == image, || format!("it was written to: {is}"))?;
    world.kubectl.apply(&owned("owned-badly", &world.open("alice/app:none")))?.refused("TagNotFound")?;
    Ok("left as it was; a wrong tag is refused".to_owned())
}
