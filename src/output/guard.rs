//! A finding of the guard → the lines of a configuration that admit the address. Who runs the command line writes the
//! configuration, too.

use std::net::IpAddr;

use crate::finding::{Cause, Finding};
use crate::message::typed::below;
use crate::policy;
use crate::reference::Reference;
use crate::registry::guard::{Guard, Refused};
use crate::registry::host_port::{Host, HostPort};

/// The fix, and how a registry on loopback is admitted where the guard refuses it. No other range that the guard refuses
/// has registries in it.
pub(super) fn with_exception(finding: &Finding) -> String {
    let lines = (finding.cause == Some(Cause::Guard)).then(|| exception(finding.resolved.as_deref()?)).flatten();
    match lines {
        Some(lines) => {
            below(&format!("{}; if this registry is yours, write into the file of --config", finding.fix), &lines)
        }
        None => finding.fix.clone(),
    }
}

fn exception(resolved: &str) -> Option<Vec<String>> {
    let reference = Reference::parse(resolved).ok()?;
    let addresses = match HostPort::parse(reference.registry())?.host {
        Host::Name(name) if name == "localhost" || name.ends_with(".localhost") => "127.0.0.1, \"::1\"".to_owned(),
        Host::Address(address) if loopback(address) => match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("\"{address}\""),
        },
        Host::Name(_) | Host::Address(_) => return None,
    };
    Some(vec![
        format!("guard: {{ allowAddresses: [{addresses}] }}"),
        format!("registries: [{{ host: \"{}\", plainHTTP: true }}]  # plainHTTP: without TLS", reference.registry()),
    ])
}

fn loopback(address: IpAddr) -> bool {
    Guard::new(&policy::Guard::default()).check(address) == Err(Refused::Loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_on_loopback_is_admitted_by_two_lines_and_nothing_else_is() {
        for (image, addresses) in [
            ("127.0.0.1:5000/a:1", Some("[127.0.0.1]")),
            ("localhost:5000/a:1", Some("[127.0.0.1, \"::1\"]")),
            ("[::1]:5000/a:1", Some("[\"::1\"]")),
            ("169.254.169.254/a:1", None),
            ("registry.corp.io/a:1", None),
            ("0.0.0.0:5000/a:1", None),
        ] {
            let lines = exception(image);
            assert_eq!(lines.is_some(), addresses.is_some(), "{image}");
            if let (Some(lines), Some(addresses)) = (lines, addresses) {
                assert_eq!(lines[0], format!("guard: {{ allowAddresses: {addresses} }}"));
                let policy = crate::config::parse(&lines.join("\n"), "test").unwrap();
                let host = HostPort::parse(image.split('/').next().unwrap()).unwrap().host;
                let Host::Address(address) = host else { continue };
                assert_eq!(Guard::new(&policy.guard).check(address), Ok(()), "{image}");
            }
        }
    }
}
