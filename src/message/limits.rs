//! The words about limits of registries: what is left, and the two ways out of one.

use super::secrets::attached;
use super::typed::below;
use crate::verdict::Draft;

/// What Docker Hub lets pull (docker/docs `content/manuals/docker-hub/usage/pulls.md`). What its answers say goes first.
const DOCKER_HUB: &str = "Docker Hub lets an address without a login pull 100 times in 6 hours, a free account 200 times, a paid one without limit";

/// Where nodes are told of a mirror.
const MIRROR: &str = "let nodes pull through a mirror (containerd: a hosts.toml in certs.d)";

/// What to do about a limit: log in, or go elsewhere.
pub(crate) fn ways_out(draft: &Draft<'_>) -> String {
    let host = draft.reference.map_or("", |reference| reference.registry());
    let hub = host == "docker.io";
    let figures = if hub { format!("; {DOCKER_HUB}") } else { String::new() };
    if draft.sends_login() {
        let paid = if hub { ", pay for the account" } else { "" };
        return format!("wait{paid} or {MIRROR}{figures}");
    }
    let (lines, rest) = attached(draft, host);
    format!("{}{rest}", below(&format!("{MIRROR}{figures}; or log in"), &lines))
}

/// What follows the name of an image that is there and cannot be pulled any more. `left` is what the registry says;
/// without a login it counts by address.
pub(crate) fn nothing_left(left: &str, login: bool) -> String {
    let whose = if login { "" } else { " (nodes with another address have their own)" };
    format!("exists, but {left}{whose}: where it has to be pulled, the pull is refused")
}
