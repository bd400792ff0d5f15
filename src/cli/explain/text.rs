//! An explanation → a page for people, in the order in which things happen.

use super::Explanation;
use super::page::{Page, Style};
use crate::credentials::{Candidate, Source};
use crate::facts::{Attempt, Facts, Secrets, Unreadable};
use crate::nodes::content::{Content, ReadContent};
use crate::reference;
use crate::registry::trace::{Caller, Exchange};
use crate::verdict::{Decision, Verdict};

/// Logins that are listed at most: a docker configuration may have many.
const MAX_KEYS: usize = 50;

/// The page.
pub(super) fn text(explanation: &Explanation, colours: bool) -> String {
    let mut page = Page::new(colours);
    name(&mut page, explanation);
    secrets(&mut page, explanation);
    candidates(&mut page, explanation);
    if let Some((verdict, facts, report)) = &explanation.judged {
        exchanges(&mut page, &explanation.exchanges);
        attempts(&mut page, explanation, facts);
        platforms(&mut page, facts);
        answer(&mut page, verdict);
        for line in report.table().lines() {
            page.plain(line);
        }
    }
    page.into_text()
}

fn name(page: &mut Page, Explanation { image, reference, .. }: &Explanation) {
    page.heading("reference");
    page.plain(format!("  as written  {image}"));
    let hub = if reference::image_was_docker_hub_by_default(image) { " (not written: Docker Hub)" } else { "" };
    page.plain(format!("  registry    {}{hub}", reference.registry()));
    page.plain(format!("  repository  {}", reference.repository()));
    if let Some(tag) = reference.tag() {
        page.plain(format!("  tag         {tag}{}", if reference.implicit_latest() { " (not written)" } else { "" }));
    }
    if let Some(digest) = reference.digest() {
        page.plain(format!("  digest      {digest}"));
    }
    page.plain(format!("  normal form {reference}"));
}

fn secrets(page: &mut Page, explanation: &Explanation) {
    let Explanation { pod, secrets, candidates, passed_over, suppressed, .. } = explanation;
    page.heading(format!("pull secrets in namespace {}", pod.object.namespace));
    let Secrets { account, missing, ignored, unreadable, keyring, .. } = secrets;
    if let Some(account) = account {
        page.plain(format!("  named by ServiceAccount \"{account}\""));
    }
    if !suppressed.is_empty() {
        let named: Vec<String> = suppressed.iter().map(|name| format!("Secret \"{name}\"")).collect();
        page.line(
            Style::Bad,
            format!(
                "  {}: not used; ServiceAccount \"{}\" names it, but the pod has a list of its own (--docker-config and --pull-secret make one)",
                named.join(", "),
                pod.account
            ),
        );
    }
    for name in missing {
        page.line(Style::Bad, format!("  Secret \"{name}\": not there"));
    }
    for (name, why) in ignored {
        page.line(Style::Bad, format!("  Secret \"{name}\": passed over, {why}"));
    }
    for (what, why) in unreadable {
        let why = match why {
            Unreadable::Forbidden => "may not be read",
            Unreadable::Unauthenticated => "not read: the API server does not accept your login (401 Unauthorized)",
            Unreadable::Unavailable(why) => why,
            Unreadable::NoCluster => "not looked up: no cluster was given",
        };
        page.line(Style::Bad, format!("  {what}: {why}"));
    }
    let keys = match keyring {
        Ok(keyring) => keyring.keys(),
        Err(malformed) => {
            let name = &malformed.secret;
            page.line(Style::Bad, format!("  Secret \"{name}\": no kubelet can decode it: {malformed}"));
            page.line(Style::Bad, "  every image of the pod fails");
            Vec::new()
        }
    };
    for (key, source) in keys.iter().take(MAX_KEYS) {
        let of_it = |candidate: &Candidate| candidate.source == **source && *candidate.key == **key;
        if candidates.iter().any(of_it) {
            page.plain(format!("  {source}: a login for {key}"));
        } else {
            page.line(Style::Aside, format!("  {source}: a login for {key}, which does not match"));
        }
    }
    if keys.len() > MAX_KEYS {
        page.line(Style::Aside, format!("  and {} more", keys.len() - MAX_KEYS));
    }
    for line in passed_over {
        page.line(Style::Bad, format!("  --docker-config: {line}"));
    }
    let nothing = missing.is_empty() && ignored.is_empty() && unreadable.is_empty() && passed_over.is_empty();
    if nothing && keyring.is_ok() && keys.is_empty() {
        page.line(Style::Aside, "  none");
    }
}

fn candidates(page: &mut Page, explanation: &Explanation) {
    page.heading("candidates, in the kubelet's order");
    if explanation.candidates.is_empty() {
        page.line(Style::Bad, "  none, not even an anonymous one");
    }
    for (number, candidate) in explanation.candidates.iter().enumerate() {
        let mut style = Style::Plain;
        let mut line = format!("  {}. {}", number + 1, candidate.source);
        if let Some(credential) = &candidate.credential {
            line.push_str(&format!(
                ", key {}, user {:?}, password not shown",
                candidate.key,
                credential.shown_username()
            ));
            if credential.login().is_none() {
                style = Style::Bad;
                line.push_str("; user or password is empty, so the node asks anonymously");
            }
            if let Some(expiry) = credential.expiry() {
                let over = expiry.over(explanation.now).is_some();
                let when = if over { "expired at" } else { "ends at" };
                line.push_str(&format!("; the {} {when} {}", expiry.kind.in_words(), expiry.at));
                style = if over { Style::Bad } else { style };
            }
        }
        page.line(style, line);
    }
}

fn exchanges(page: &mut Page, exchanges: &[Exchange]) {
    page.heading("requests, in order");
    if exchanges.is_empty() {
        page.line(Style::Aside, "  none: nobody had to be asked");
    }
    for (number, exchange) in exchanges.iter().enumerate() {
        let Exchange { method, url, caller, only_to_explain, status, error, headers, said, redirected_to, millis } =
            exchange;
        let only = if *only_to_explain { " (only to explain: no node asks this)" } else { "" };
        let style = if *only_to_explain { Style::Aside } else { Style::Plain };
        page.line(style, format!("{:>3}. > {method} {url} as {caller}{only}", number + 1));
        match (status, error) {
            (Some(status), _) => {
                let challenged = *status == 401 && headers.iter().any(|(name, _)| *name == "www-authenticate");
                let style = match status {
                    ..400 => Style::Good,
                    // How each login begins: the registry says whom to ask for a token.
                    _ if challenged && *caller == Caller::Nobody => Style::Plain,
                    _ => Style::Bad,
                };
                page.line(style, format!("     < {status} in {millis} ms"));
            }
            (None, Some(error)) => page.line(Style::Bad, format!("     < no answer in {millis} ms: {error}")),
            (None, None) => page.line(Style::Bad, "     < no answer in time"),
        }
        if let Some(host) = redirected_to {
            page.plain(format!("     < redirected to {host}"));
        }
        for (name, value) in headers {
            page.plain(format!("     < {name}: {value}"));
        }
        if let Some(said) = said {
            page.plain(format!("     < says: {said}"));
        }
    }
}

fn attempts(page: &mut Page, explanation: &Explanation, facts: &Facts) {
    let Some(image) = facts.images.first() else { return };
    page.heading("attempts, as a node makes them");
    for Attempt { source, outcome, expiry: _, login, age: _, stale: _, nothing_left, id: _ } in &image.attempts {
        let who = if *login || *source == Source::Anonymous { "" } else { " (anonymously)" };
        match outcome {
            Ok(manifest) => page.line(Style::Good, format!("  {source}{who}: {}", manifest.digest)),
            Err(failure) => {
                let words = [&failure.registry, &failure.detail].into_iter().flatten().next();
                let words = words.map(|words| format!(", \"{words}\"")).unwrap_or_default();
                page.line(Style::Bad, format!("  {source}{who}: {}{words}", failure.code));
            }
        }
        if let Some(words) = nothing_left {
            page.line(Style::Bad, format!("  {words}"));
        }
    }
    let pulled = image.attempts.last().is_some_and(|attempt| attempt.outcome.is_ok());
    for candidate in explanation.candidates.iter().skip(image.attempts.len()).filter(|_| pulled) {
        page.line(Style::Aside, format!("  {}: not needed", candidate.source));
    }
    for broken in &image.unusable {
        page.line(Style::Bad, format!("  {}: of no use, {}", broken.part, broken.why));
    }
    if image.attempts.is_empty() {
        page.line(Style::Aside, "  none");
    }
}

fn platforms(page: &mut Page, facts: &Facts) {
    let (classes, image) = (&facts.eligible.classes, facts.images.first());
    if classes.is_empty() {
        return;
    }
    page.heading("platforms");
    let behind = image.map(|image| &image.behind);
    let Some(ReadContent { content, .. }) = behind.and_then(|behind| behind.content.as_deref()) else {
        let refused = behind.is_some_and(|behind| behind.refused.is_some());
        let what =
            if refused { "the registry does not serve the digest" } else { "what the image offers is not known" };
        page.line(Style::Aside, format!("  {what}"));
        return;
    };
    let names = content.names().join(", ");
    match content {
        Content::Index(_) => page.plain(format!("  the image offers {names}")),
        Content::Single(_) => page.plain(format!("  the image is for {names}; no runtime looks before it runs it")),
        Content::Artifact(artifact) => {
            page.plain(format!("  the image is an artifact with a configuration of type {}", artifact.config_type));
        }
        Content::Other(what) => page.plain(format!("  the image is {what}")),
    }
    for missing in behind.iter().flat_map(|behind| &behind.missing) {
        page.line(Style::Bad, format!("  the registry does not have its entry {}", missing.digest));
    }
    for class in classes {
        let known = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
        let (style, fits) = if content.fits(class) {
            (Style::Good, "it has one for them")
        } else {
            (Style::Bad, "it has nothing for them")
        };
        let (os, architecture) = (known(&class.os), known(&class.architecture));
        let nodes = if class.count == 1 {
            format!("1 node (\"{}\")", class.first)
        } else {
            format!("{} nodes (\"{}\" and others)", class.count, class.first)
        };
        page.line(style, format!("  {nodes}, {os}/{architecture} with {}: {fits}", class.runtime.as_str()));
    }
}

fn answer(page: &mut Page, verdict: &Verdict) {
    let style = match verdict.decision {
        Decision::Allow => Style::Good,
        Decision::Warn => Style::Heading,
        Decision::Deny => Style::Bad,
    };
    page.line(style, format!("answer: {}", verdict.decision.as_str()));
}
