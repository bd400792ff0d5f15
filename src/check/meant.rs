//! A certain denial → what makes its words better: where the pull secrets are named; and for a name that is nowhere the names
//! that were probably meant, near ones among what pods of the same namespace got, and the same name at the registries that
//! the pod has logins for. Asked after the verdict, inside what is left of its time; no answer changes it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::{Instant, timeout_at};

use super::Engine;
use crate::cluster::Reading;
use crate::credentials::{Candidate, Keyring};
use crate::facts::{Attempt, Facts, ImageFacts, Meant, NamedBy, Secrets};
use crate::finding::Code;
use crate::policy::Policy;
use crate::reference::{self, Reference};
use crate::registry::failure::Failure;
use crate::registry::probes::plan;
use crate::resolver::Resolver;
use crate::suggest::names;
use crate::verdict::Verdict;
use crate::workload::{PullSecretNames, Workload};

/// What an account may be waited for.
const BESIDE: Duration = Duration::from_millis(500);

/// Images of one workload that are looked for.
const MAX_IMAGES: usize = 3;

/// Other names that are asked for in place of one image.
const MAX_PLACES: usize = 2;

/// What stands for more than itself in an entry's name, or hides something that does.
const WILD: [char; 6] = ['*', '?', '[', ']', '\\', '%'];

// === impl Engine ===

impl Engine {
    /// Adds to `facts` what helps to put `verdict`, a denial, into words. Says whether there is something new.
    pub(super) async fn find_words(
        &self,
        policy: &Policy,
        workload: &Workload,
        verdict: &Verdict,
        facts: &mut Facts,
        deadline: Instant,
    ) -> bool {
        let Secrets { named_by, named, .. } = &facts.secrets;
        let named =
            timeout_at(deadline.min(Instant::now() + BESIDE), self.named_by(workload, named_by.clone(), named.clone()));
        let named = async { named.await.ok().flatten() };
        let (named, meant) =
            join(named, self.look_for_what_was_meant(policy, workload, verdict, facts, deadline)).await;
        let told = named.is_some();
        if let Some(named) = named {
            facts.secrets.named_by = named;
        }
        told || meant
    }

    /// Whether the names in the object are its own or the account's, put there by the API server; nothing where the
    /// account cannot be read.
    async fn named_by(&self, workload: &Workload, now: NamedBy, names: Vec<String>) -> Option<NamedBy> {
        if !matches!(now, NamedBy::Object | NamedBy::ObjectNot { .. }) {
            return None;
        }
        let (namespace, account) = (&workload.object.namespace, workload.account.clone());
        let Reading::Found(mut theirs) = self.cluster.account_pull_secrets(namespace, &account, None).await else {
            return None;
        };
        theirs.retain(|name| !name.is_empty());
        let merged = matches!(workload.pull_secrets, PullSecretNames::Final(_)) && theirs == names;
        if merged {
            return Some(NamedBy::Account(account));
        }
        (!theirs.is_empty()).then_some(NamedBy::ObjectNot { account, theirs })
    }

    /// Adds to `facts` what the names were meant to be of images that `verdict` certainly denies. Says whether it did.
    async fn look_for_what_was_meant(
        &self,
        policy: &Policy,
        workload: &Workload,
        verdict: &Verdict,
        facts: &mut Facts,
        deadline: Instant,
    ) -> bool {
        let Ok(keyring) = &facts.secrets.keyring else { return false };
        let certainly = |image: &&mut ImageFacts| {
            verdict.findings.iter().any(|finding| finding.certain && finding.path == image.image.path)
        };
        let mut open: Vec<(&mut ImageFacts, Arc<Reference>, bool)> = facts
            .images
            .iter_mut()
            .filter(certainly)
            .filter_map(|image| {
                let reference = Arc::clone(image.reference.as_ref().ok()?);
                let bare = reference::image_was_docker_hub_by_default(&image.image.image);
                let missing = may_be_elsewhere(&image.attempts, false);
                (missing || may_be_elsewhere(&image.attempts, bare)).then_some((image, reference, missing))
            })
            .take(MAX_IMAGES)
            .collect();
        if open.is_empty() {
            return false;
        }
        let until = deadline.min(Instant::now() + plan::LIMIT);
        let resolver = &self.resolver.on_behalf_of(&workload.object.namespace);
        let known = resolver.neighbours(&workload.object.namespace, |name| keyring.matching(name)).await;
        join_all(open.iter_mut().map(|(image, reference, missing)| async {
            // What somebody here gets is there.
            let there = known.iter().any(|name| name == reference.name());
            let near = || names::nearest(reference.name(), known.iter().map(String::as_str));
            let near = if *missing && !there { near() } else { Vec::new() };
            let bare = reference::image_was_docker_hub_by_default(&image.image.image);
            image.meant = Meant {
                near: near.into_iter().map(str::to_owned).collect(),
                elsewhere: elsewhere(policy, resolver, reference, bare, keyring, until).await,
            };
        }))
        .await;
        open.iter().any(|(image, ..)| image.meant != Meant::default())
    }
}

/// Where else the image is, of the places that the pod has logins for.
async fn elsewhere(
    policy: &Policy,
    resolver: &Resolver,
    wanted: &Reference,
    bare: bool,
    keyring: &Keyring,
    until: Instant,
) -> Vec<String> {
    let places = places(wanted, bare, keyring)
        .into_iter()
        .filter(|(reference, _)| policy.registry_allowed(reference.registry()))
        .take(MAX_PLACES);
    let asked = places.map(|(reference, candidate)| async move {
        let reference = Arc::new(reference);
        let rule = policy.registry(reference.registry());
        let has = resolver.has(rule, &reference, &candidate, until).await;
        has.filter(|has| *has).map(|_| reference.name().to_owned())
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Whether the image may be under another name: its repository may be missing. A bare name is easily another one's, whatever
/// Docker Hub has under it.
fn may_be_elsewhere(attempts: &[Attempt], bare: bool) -> bool {
    let failure = |attempt: &Attempt| attempt.outcome.as_ref().err().is_some_and(|failure| nowhere(failure, bare));
    attempts.iter().any(failure)
}

fn nowhere(failure: &Failure, bare: bool) -> bool {
    let probed = failure.probed.unwrap_or_default();
    match failure.code {
        Code::RepositoryNotFound => true,
        Code::NotFoundOrNoAccess => probed.public != Some(true),
        Code::TagNotFound | Code::DigestNotFound => {
            bare || (probed.repository != Some(true) && failure.nearest.is_none())
        }
        Code::CredentialsMissing => bare,
        _ => false,
    }
}

/// The same tag or digest under the names that the entries of the pod's pull secrets stand for, each with the login that a
/// node would present there first. An entry's path comes in front of the image's, unless that begins with it.
fn places(wanted: &Reference, bare: bool, keyring: &Keyring) -> Vec<(Reference, Candidate)> {
    let path = wanted.repository();
    let path = path.strip_prefix("library/").filter(|_| bare).unwrap_or(path);
    let object = match wanted.digest() {
        Some(digest) => format!("@{digest}"),
        None => format!(":{}", wanted.object()),
    };
    let mut places: Vec<(Reference, Candidate)> = Vec::new();
    for (key, _) in keyring.keys() {
        if key.contains(WILD) {
            continue;
        }
        let (host, above) = key.split_once('/').unwrap_or((key, ""));
        let above = above.trim_end_matches('/');
        let below = above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'));
        let name = if below { format!("{host}/{path}{object}") } else { format!("{host}/{above}/{path}{object}") };
        let Ok(reference) = Reference::parse(&name) else { continue };
        // A host without a dot is the beginning of a path, and a path is asked of Docker Hub.
        let same_host = reference.registry() == host || host == "index.docker.io";
        let new = reference.name() != wanted.name() && places.iter().all(|(known, _)| known.name() != reference.name());
        if let (true, true, Some(candidate)) = (same_host, new, keyring.matching(reference.name()).into_iter().next()) {
            places.push((reference, candidate));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::credentials::PullSecret;

    /// A keyring with a login for each of these.
    fn keyring(names: &[&str]) -> Keyring {
        let entry = |name: &&str| ((*name).to_owned(), serde_json::json!({ "username": "ann", "password": *name }));
        let auths: serde_json::Map<_, _> = names.iter().map(entry).collect();
        let text = serde_json::json!({ "auths": auths }).to_string();
        let data = BTreeMap::from([(".dockerconfigjson".to_owned(), text.into_bytes())]);
        Keyring::from_pull_secrets([&PullSecret::new("regcred", "kubernetes.io/dockerconfigjson", data)]).unwrap()
    }

    #[test]
    fn an_image_is_looked_for_where_entries_of_the_pods_pull_secrets_lead() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("encoder", &["r.io"], &["r.io/encoder:latest"]),
            ("encoder:v1", &["https://r.io/v2/"], &["r.io/encoder:v1"]),
            ("encoder:v1", &["r.io/team"], &["r.io/team/encoder:v1"]),
            ("encoder:v1", &["r.io/team/"], &["r.io/team/encoder:v1"]),
            ("team/api:v1", &["r.io/team"], &["r.io/team/api:v1"]),
            ("teams/api:v1", &["r.io/team"], &["r.io/team/teams/api:v1"]),
            ("r.io/api:v1", &["r.io", "r.io/team"], &["r.io/team/api:v1"]),
            ("r.io/team/api:v1", &["s.io:5000", "r.io"], &["s.io:5000/team/api:v1"]),
            ("r.io/nginx:1", &["https://index.docker.io/v1/"], &["docker.io/library/nginx:1"]),
            ("nginx:1", &["https://index.docker.io/v1/"], &[]),
            ("docker.io/library/nginx:1", &["r.io"], &["r.io/library/nginx:1"]),
            ("encoder", &["*.io", "r?.io", "r.io/t*", "myregistry", "%72.io"], &[]),
            ("encoder", &["localhost:5000", "LOCAL"], &["LOCAL/encoder:latest", "localhost:5000/encoder:latest"]),
            ("encoder", &["r.io/UPPER"], &[]),
            ("encoder", &[], &[]),
        ];
        for (image, names, expected) in table {
            let wanted = Reference::parse(image).unwrap();
            let bare = reference::image_was_docker_hub_by_default(image);
            let found: Vec<String> =
                places(&wanted, bare, &keyring(names)).iter().map(|(reference, _)| reference.to_string()).collect();
            assert_eq!(found, *expected, "{image} with {names:?}");
        }
        let digest = format!("r.io/a@sha256:{}", "0".repeat(64));
        let found = places(&Reference::parse(&digest).unwrap(), false, &keyring(&["s.io"]));
        assert_eq!(found.first().unwrap().0.to_string(), digest.replace("r.io", "s.io"));
    }

    #[test]
    fn each_place_is_asked_with_the_login_of_its_own_entry() {
        use secrecy::ExposeSecret as _;
        let keyring = keyring(&["r.io", "r.io/team", "s.io"]);
        for (reference, candidate) in places(&Reference::parse("api:v1").unwrap(), true, &keyring) {
            let login = candidate.credential.as_deref().and_then(crate::credentials::Credential::login).unwrap();
            let key = reference.name().strip_suffix("/api").unwrap();
            assert_eq!(login.password.expose_secret(), key);
        }
    }

    #[test]
    fn only_a_repository_that_may_be_missing_is_looked_for_elsewhere() {
        use crate::finding::Probed;
        let there = Some(Probed { repository: Some(true), ..Probed::default() });
        let public = Some(Probed { public: Some(true), ..Probed::default() });
        for (code, probed, named, bare) in [
            (Code::RepositoryNotFound, None, true, true),
            (Code::NotFoundOrNoAccess, None, true, true),
            (Code::NotFoundOrNoAccess, public, false, false),
            (Code::TagNotFound, None, true, true),
            (Code::TagNotFound, there, false, true),
            (Code::DigestNotFound, there, false, true),
            (Code::CredentialsMissing, None, false, true),
            (Code::CredentialsRejected, None, false, false),
            (Code::AccessDenied, None, false, false),
            (Code::RateLimited, None, false, false),
        ] {
            let failure = Failure { code, probed, ..Failure::nonsense("", None) };
            assert_eq!((nowhere(&failure, false), nowhere(&failure, true)), (named, bare), "{code} {probed:?}");
        }
    }
}
