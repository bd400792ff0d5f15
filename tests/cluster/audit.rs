//! What the API server's audit log keeps about a request.

use serde_json::Value;

use crate::Failure;
use crate::world::World;

/// The annotations by pullgate's validating webhook on the administrator's last write to an object, by name.
pub(crate) fn annotations(world: &World, namespace: &str, name: &str) -> Result<Vec<(String, String)>, Failure> {
    let events = world.stack.audit_events()?;
    let of_object = |event: &&Value| {
        let object = &event["objectRef"];
        object["namespace"] == namespace
            && object["name"] == name
            && event["user"]["username"] == "admin"
            && event["verb"] != "get"
    };
    let event = events.iter().rev().find(of_object).ok_or_else(|| format!("no audit event of {namespace}/{name}"))?;
    let annotations = event["annotations"].as_object().ok_or("an audit event without annotations")?;
    let own = annotations.iter().filter_map(|(key, value)| {
        let key = key.strip_prefix("validate.pullgate.dev/")?;
        Some((key.to_owned(), value.as_str().unwrap_or_default().to_owned()))
    });
    Ok(own.collect())
}

/// The annotation `key` of the last write to an object must hold these parts.
pub(crate) fn annotated(
    world: &World,
    namespace: &str,
    name: &str,
    key: &str,
    parts: &[&str],
) -> Result<String, Failure> {
    let annotations = annotations(world, namespace, name)?;
    let value = annotations.iter().find(|(is, _)| is == key).map(|(_, value)| value);
    match value {
        Some(value) if parts.iter().all(|part| value.contains(part)) => Ok(value.clone()),
        _ => {
            Err(format!("audit annotation {key} of {namespace}/{name} does not hold {parts:?}: {annotations:?}").into())
        }
    }
}
