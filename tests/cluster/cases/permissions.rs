//! What each mode of the chart's permissions lets pullgate and its keeper do, asked of the API server; and that the roles
//! which `rbac generate` writes are enough and no more.

use std::process::Command;

use serde_json::json;

use crate::Failure;
use crate::objects::{ALICE, account, list, pod_with, pull_secret};
use crate::report::{Report, ensure};
use crate::stack;
use crate::world::{OTHER_TEAM, OWN_NAMESPACE, TEAM, World};

const NO: bool = false;
const YES: bool = true;

/// What a mode grants: `named` and `other` in the team, `named` in another team, `ServiceAccounts` of the team.
const MODES: [(&str, [bool; 4]); 4] = [
    ("cluster", [YES, YES, YES, YES]),
    ("namespaced", [YES, YES, NO, YES]),
    ("named", [YES, NO, NO, YES]),
    ("none", [NO, NO, NO, NO]),
];

/// What neither may do in any mode, beside `list` and `watch` on Secrets anywhere.
const NEVER: [&str; 8] = [
    "create pods",
    "get configmaps",
    "list serviceaccounts",
    "update secrets/named",
    "delete secrets/named",
    "create serviceaccounts --subresource=token",
    "escalate clusterroles",
    "list namespaces",
];

/// Upgrades the release through all modes; `none` is the last.
pub(super) fn cases(world: &World, report: &mut Report) {
    for (mode, granted) in MODES {
        report.case(&format!("permissions: {mode} grants what it says, and never list or watch"), |_| {
            let permissions = json!({ "secrets": mode, "namespaces": [TEAM], "named": { TEAM: ["named"] } });
            world
                .chart(&["upgrade", "--no-hooks", "pullgate"], OWN_NAMESPACE, &json!({ "permissions": permissions }))?
                .succeeded()?;
            let mut asked = 0;
            let lines = [
                (TEAM, "secrets/named"),
                (TEAM, "secrets/other"),
                (OTHER_TEAM, "secrets/named"),
                (TEAM, "serviceaccounts/a"),
            ];
            for ((namespace, object), may) in lines.into_iter().zip(granted) {
                asked += answered(world, "pullgate", &format!("get {object} -n {namespace}"), may)?;
            }
            for user in ["pullgate", "pullgate-keeper"] {
                for verb in ["list", "watch"] {
                    for place in ["-A".to_owned(), format!("-n {TEAM}"), format!("-n {OWN_NAMESPACE}")] {
                        asked += answered(world, user, &format!("{verb} secrets {place}"), NO)?;
                    }
                }
                for line in NEVER {
                    asked += answered(world, user, &format!("{line} -n {TEAM}"), NO)?;
                }
            }
            Ok(format!("{asked} questions"))
        });
    }
    report.case("permissions: the keeper writes its own Secrets and two webhook configurations", |_| keeper(world));
    report
        .case("permissions: an expired login is told to log in, one without rights which it lacks", |_| refused(world));
    report.case("permissions: rbac generate writes roles for the Secrets in use, and no others", |_| generated(world));
}

/// Asks the API server, and says that it asked.
fn answered(world: &World, account: &str, question: &str, may: bool) -> Result<usize, Failure> {
    let said =
        world.kubectl.run(&format!("auth can-i {question} --as=system:serviceaccount:{OWN_NAMESPACE}:{account}"))?;
    let expected = if may { "yes" } else { "no" };
    // A reason may follow.
    ensure(said.stdout.split_whitespace().next() == Some(expected), || format!("expected {expected}: {said}"))?;
    Ok(1)
}

fn keeper(world: &World) -> Result<String, Failure> {
    let webhooks = ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"];
    let mut asked = 0;
    for (account, question, may) in [
        ("pullgate-keeper", format!("update secrets/pullgate-path -n {OWN_NAMESPACE}"), YES),
        ("pullgate-keeper", format!("create secrets -n {OWN_NAMESPACE}"), YES),
        ("pullgate-keeper", format!("get secrets/of-somebody-else -n {OWN_NAMESPACE}"), NO),
        ("pullgate-keeper", format!("create secrets -n {TEAM}"), NO),
        ("pullgate-keeper", format!("get secrets/named -n {TEAM}"), NO),
        ("pullgate-keeper", format!("update leases/pullgate-keeper -n {OWN_NAMESPACE}"), YES),
        ("pullgate-keeper", format!("update leases/another -n {OWN_NAMESPACE}"), NO),
        ("pullgate-keeper", format!("list endpointslices -n {OWN_NAMESPACE}"), YES),
        ("pullgate", format!("get secrets/pullgate-path -n {OWN_NAMESPACE}"), NO),
    ] {
        asked += answered(world, account, &question, may)?;
    }
    for kind in webhooks {
        for (account, verb, may) in [
            ("pullgate-keeper", "patch", YES),
            ("pullgate-keeper", "delete", NO),
            ("pullgate", "get", YES),
            ("pullgate", "patch", NO),
        ] {
            asked += answered(world, account, &format!("{verb} {kind}/pullgate"), may)?;
            asked += answered(world, account, &format!("{verb} {kind}/another"), NO)?;
        }
    }
    Ok(format!("{asked} questions"))
}

fn generated(world: &World) -> Result<String, Failure> {
    let of = |name: &str| pull_secret(TEAM, name, &[("registry.example", ALICE)]);
    let pod = pod_with(TEAM, "granted", &world.open("alice/app:v1"), &["in-use"]);
    world
        .kubectl
        .apply(&list([of("in-use"), of("of-account"), of("unused"), account(TEAM, "granted", &["of-account"]), pod]))?
        .succeeded()?;
    let generate = |arguments: &[&str]| -> Result<(Option<i32>, String, String), Failure> {
        let kubeconfig = stack::shown(&world.kubectl.kubeconfig);
        let said = Command::new(env!("CARGO_BIN_EXE_pullgate"))
            .args(["rbac", "generate", "--kubeconfig", &kubeconfig, "--release-namespace", OWN_NAMESPACE])
            .args(arguments)
            .output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((said.status.code(), text(said.stdout), text(said.stderr)))
    };
    let (code, roles, complaints) = generate(&["-n", TEAM])?;
    ensure(code == Some(0) && complaints.is_empty(), || format!("{code:?} {complaints}"))?;
    let apply = |verb: &str| world.kubectl.run_with(&[verb, "-f", "-"], Some(&roles))?.succeeded();
    apply("apply")?;
    let mut asked = 0;
    for (question, may) in [
        ("get secrets/in-use", YES),
        ("get secrets/of-account", YES),
        ("get secrets/unused", NO),
        ("list secrets", NO),
        ("watch secrets", NO),
        ("get serviceaccounts/granted", YES),
    ] {
        asked += answered(world, "pullgate", &format!("{question} -n {TEAM}"), may)?;
    }
    answered(world, "pullgate", &format!("get secrets/in-use -n {OTHER_TEAM}"), NO)?;
    apply("delete")?;
    let (code, all, _) = generate(&["-A", "--mode=namespaced"])?;
    ensure(code == Some(0) && all.contains("kind: ClusterRole") && all.contains(TEAM), || all.clone())?;
    Ok(format!("{asked} questions"))
}

/// The real API server's 401 and 403, and what each command makes of them.
fn refused(world: &World) -> Result<String, Failure> {
    let image = world.basic("alice/app:v1");
    let pod = world.workshop.file("refused.json", pod_with(TEAM, "refused", &image, &["regcred"]).to_string())?;
    let pod = stack::shown(&pod);
    let config = stack::shown(&world.workshop.file("refused-config.json", world.config().to_string())?);
    let check = ["check", "-f", &pod, "-o", "github", "--config", &config];
    let token = world.kubectl.get(&format!("create token default -n {OTHER_TEAM}"))?;
    let mut asked = 0;
    for (name, token, code, commands) in [
        // A login that is accepted and has no rights is told what was not seen, or which right it lacks.
        (
            "unprivileged",
            token.trim(),
            3,
            [
                (vec!["rbac", "generate", "-n", TEAM], "not seen: pods in namespace \"team\""),
                (check.to_vec(), "pullgate may not get Secret \"regcred\""),
                (vec!["doctor"], "you may not read"),
            ],
        ),
        // One that is not accepted is told to log in.
        (
            "expired",
            "no-longer-valid",
            2,
            [
                (vec!["rbac", "generate", "-n", TEAM], "did not accept your login (401 Unauthorized)"),
                (check.to_vec(), "does not accept the login (401 Unauthorized)"),
                (vec!["doctor"], "does not accept your login (401 Unauthorized)"),
            ],
        ),
    ] {
        let kubeconfig = stack::kubeconfig(&world.stack.server, &world.authority, &json!({ "token": token }));
        let kubeconfig = stack::shown(&world.workshop.file(&format!("{name}.kubeconfig"), kubeconfig.to_string())?);
        for (command, expected) in commands {
            let said = Command::new(env!("CARGO_BIN_EXE_pullgate"))
                .args(&command)
                .args(["--kubeconfig", &kubeconfig])
                .output()?;
            let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
            ensure(text.contains(expected), || format!("{name}, {command:?}: {text}"))?;
            let may_not = text.contains("may not");
            ensure(name == "unprivileged" || !may_not, || format!("{name}, {command:?}: {text}"))?;
            if command[0] == "rbac" {
                ensure(said.status.code() == Some(code), || format!("{name}: {:?}: {text}", said.status.code()))?;
            }
            asked += 1;
        }
    }
    Ok(format!("{asked} commands"))
}
