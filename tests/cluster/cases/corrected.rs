//! Denied, corrected, applied again: the very next `kubectl apply` must pass.

use crate::images;
use crate::objects::{ALICE, WRONG, pod, pod_with, pull_secret};
use crate::report::{Report, ensure};
use crate::world::{TEAM, World};

pub(super) fn cases(world: &mut World, report: &mut Report) {
    let world = &*world;
    let mut pins: Vec<(&str, String, String)> = Vec::new();
    report.case("corrected: a missing tag is pushed", |_| {
        let image = world.open("alice/late:v1");
        images::push(world.places.seed, "alice/late", "v0", "early")?;
        let pod = pod(TEAM, "late-tag", &image);
        world.kubectl.apply(&pod)?.refused("TagNotFound")?;
        let digest = images::push(world.places.seed, "alice/late", "v1", "late")?;
        world.kubectl.apply(&pod)?.soundly()?;
        pins.push(("late-tag", image, digest));
        Ok(String::new())
    });
    report.case("corrected: a wrong password is replaced", |_| {
        let image = world.basic("alice/app:v1");
        let host = world.places.basic.as_str();
        world.kubectl.apply(&pull_secret(TEAM, "renewed", &[(host, WRONG)]))?.succeeded()?;
        let pod = pod_with(TEAM, "late-password", &image, &["renewed"]);
        world.kubectl.apply(&pod)?.refused("CredentialsRejected")?;
        world.kubectl.apply(&pull_secret(TEAM, "renewed", &[(host, ALICE)]))?.succeeded()?;
        world.kubectl.apply(&pod)?.soundly()?;
        pins.push(("late-password", image, world.images.single.clone()));
        Ok(String::new())
    });
    report.case("corrected: the command in the message, typed as it stands there", |_| {
        let image = world.basic("alice/app:v1");
        let pod = pod_with(TEAM, "late-secret", &image, &["regcred"]);
        let said = world.kubectl.apply(&pod)?.refused("CredentialsMissing")?;
        let command = said.stderr.lines().find_map(|line| line.split_once("kubectl ")).map(|(_, command)| command);
        let command = command.ok_or_else(|| format!("no command: {said}"))?;
        let typed = command.replace("'USER'", ALICE.0).replace("'PASSWORD'", ALICE.1);
        world.kubectl.run(&typed)?.succeeded()?;
        world.kubectl.apply(&pod)?.soundly()?;
        pins.push(("late-secret", image, world.images.single.clone()));
        Ok(command.to_owned())
    });
    report.case("corrected: a ServiceAccount gets its secret", |_| {
        let image = world.bearer("alice/app:v1");
        world.kubectl.run(&format!("-n {TEAM} create serviceaccount late"))?.succeeded()?;
        let mut pod = pod(TEAM, "late-account", &image);
        pod["spec"]["serviceAccountName"] = "late".into();
        world.kubectl.apply(&pod)?.refused("CredentialsMissing")?;
        let patch = r#"{"imagePullSecrets":[{"name":"bearer"}]}"#;
        world.kubectl.run_with(&["-n", TEAM, "patch", "serviceaccount", "late", "-p", patch], None)?.succeeded()?;
        world.kubectl.apply(&pod)?.soundly()?;
        pins.push(("late-account", image, world.images.single.clone()));
        Ok(String::new())
    });
    report.case("corrected: a malformed secret is made anew", |_| {
        let image = world.basic("alice/app:v1");
        let content = serde_json::json!({ "auths": { world.places.basic.as_str(): { "auth": "!" } } });
        let broken = crate::objects::secret(TEAM, "broken", "kubernetes.io/dockerconfigjson", &content);
        world.kubectl.apply(&broken)?.succeeded()?;
        let pod = pod_with(TEAM, "late-repair", &image, &["broken"]);
        let said = world.kubectl.apply(&pod)?.refused("PullSecretMalformed")?;
        ensure(said.stderr.contains("delete secret broken"), || format!("it does not say what to do: {said}"))?;
        world.kubectl.run(&format!("-n {TEAM} delete secret broken"))?.succeeded()?;
        let host = world.places.basic.as_str();
        world.kubectl.apply(&pull_secret(TEAM, "broken", &[(host, ALICE)]))?.succeeded()?;
        world.kubectl.apply(&pod)?.soundly()?;
        pins.push(("late-repair", image, world.images.single.clone()));
        Ok(String::new())
    });
    for (name, image, digest) in pins {
        report
            .case(&format!("corrected: {name} was pinned at once, too"), |_| world.pinned(TEAM, name, &image, &digest));
    }
}
