//! The keys of the cache, and the level that replicas share where the policy names one.

use crate::cli::CommandError;
use crate::credentials::IdentityKey;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::resolver::shared::Shared;
use crate::time::Clock;

/// A random key where nothing is shared: nothing outlives the process. Otherwise the keys that the shared secret gives,
/// and a level whose server need not be there yet.
#[cfg_attr(not(feature = "redis"), expect(clippy::unnecessary_wraps, reason = "no file can be unusable"))]
pub(super) fn level(
    policy: &Policy,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<(IdentityKey, Option<Shared>), CommandError> {
    #[cfg(feature = "redis")]
    if let Some(cache) = &policy.shared_cache {
        let (identity, shared) = server::level(cache, policy, clock, metrics)?;
        return Ok((identity, Some(shared)));
    }
    #[cfg(not(feature = "redis"))]
    let _ = (policy, clock, metrics);
    let mut key = [0; 32];
    // A failing random source leaves a key that is known; keys guard against other processes, and none is shared here.
    _ = aws_lc_rs::rand::fill(&mut key);
    Ok((IdentityKey::new(&key), None))
}

#[cfg(feature = "redis")]
mod server {
    use std::path::Path;

    use secrecy::SecretString;

    use super::{Clock, CommandError, IdentityKey, Metrics, Policy, Shared};
    use crate::policy::SharedCache;
    use crate::resolver::shared::seal;
    use crate::resolver::shared::{Place, Server};

    pub(super) fn level(
        cache: &SharedCache,
        policy: &Policy,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Result<(IdentityKey, Shared), CommandError> {
        // Replicas that reach registries otherwise have other facts. No login is in this text.
        let hosts = policy.nodes.hosts.as_ref().map(|hosts| &hosts.fingerprint);
        let ways = format!("{:?} {:?} {hosts:?}", policy.registries, policy.guard);
        let secret = read("keyFile", &cache.key_file)?;
        let refused = |key: &'static str, path: &Path, reason: String| {
            let path = path.display().to_string();
            CommandError::SharedCache { key, path, reason }
        };
        let (identity, seal) =
            seal::keys(&secret, &ways).map_err(|error| refused("keyFile", &cache.key_file, error.to_string()))?;
        let password = cache.password_file.as_deref().map(|file| {
            let text = String::from_utf8(read("passwordFile", file)?)
                .map_err(|_| refused("passwordFile", file, "is not text".to_owned()))?;
            Ok::<_, CommandError>(SecretString::from(text.trim_end_matches(['\r', '\n'])))
        });
        let place = Place {
            host: cache.host.clone(),
            port: cache.port,
            database: cache.database,
            tls: cache.tls,
            ca: cache.ca_file.as_deref().map(|file| read("caFile", file)).transpose()?,
            username: cache.username.clone(),
            password: password.transpose()?,
        };
        let server = Server::connect(place, clock.clone()).map_err(|error| {
            let path = cache.ca_file.as_deref().unwrap_or(Path::new("-"));
            refused("caFile", path, error.to_string())
        })?;
        Ok((identity, Shared::new(seal, server, metrics.clone())))
    }

    fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, CommandError> {
        std::fs::read(path).map_err(|error| CommandError::SharedCache {
            key,
            path: path.display().to_string(),
            reason: error.to_string(),
        })
    }
}
