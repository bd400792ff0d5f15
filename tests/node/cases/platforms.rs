//! Images for other platforms, and what is no image at all.

use super::{Field, Right, Row};
use crate::scene::Places;
use crate::stock::Digests;

/// The first word of the rows about indexes and what is no image.
const SUBJECT: &str = "platforms";

pub(super) fn rows(places: &Places, digests: &Digests) -> Vec<Row> {
    const NO_MATCH: &str = "no match for platform in manifest";
    let host = places.open.as_str();
    let row = |name: &str, rest: &str| Row::new(name, format!("{host}/{rest}"));
    let single = |name: &str, rest: &str| row(&format!("one platform: {name}"), rest);
    let index = |name: &str, tag: &str| row(&format!("{SUBJECT}: {name}"), &format!("alice/app:{tag}"));
    vec![
        single("an image of another architecture is pulled", "alice/app:single-elsewhere").pulled(),
        single("the same by the digest of an index's child", &format!("alice/app@{}", digests.child_elsewhere))
            .pulled(),
        single("an index with an attestation beside", "alice/app:attested").runs(),
        single("an index entry that names no platform", "alice/app:no-platform").runs(),
        index("an index for another architecture only", "elsewhere-only").fails(NO_MATCH),
        index("a Docker manifest list for another architecture only", "elsewhere-only-list").fails(NO_MATCH),
        index("an index for another system only", "windows-only").fails(NO_MATCH),
        index("an index for another variant only", "variant-only").fails(NO_MATCH),
        index("an index with nothing but an attestation", "attestation-only").fails(NO_MATCH),
        index("an empty index", "empty").fails(NO_MATCH),
        row(&format!("{SUBJECT}: a Helm chart"), "alice/chart:v1")
            .stuck("no command specified")
            .right(Right::Unsupported),
        row(&format!("{SUBJECT}: an OCI artifact"), "alice/artifact:v1")
            .stuck("no command specified")
            .right(Right::Unsupported),
        row(&format!("{SUBJECT}: a model"), "alice/model:v1").stuck("no command specified").right(Right::Unsupported),
        // containerd before 2.3 unpacks by what the configuration says, whatever its type.
        single("an image whose configuration has another type", "alice/app:config-type").runs().right(Right::Uncertain),
        // Nothing in a volume has to run.
        single("a model as an image volume", "alice/model:v1").field(Field::Volume).runs(),
        single("a Helm chart as an image volume", "alice/chart:v1").field(Field::Volume).runs(),
        single("an OCI artifact as an image volume", "alice/artifact:v1").field(Field::Volume).runs(),
        single("another architecture as an image volume", "alice/app:single-elsewhere").field(Field::Volume).runs(),
        index("an index for another architecture only, as an image volume", "elsewhere-only")
            .field(Field::Volume)
            .fails(NO_MATCH),
    ]
}
