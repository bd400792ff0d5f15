//! Where replicas share what they learnt: a Valkey or Redis server, by address and by the files with its secrets.

use std::path::PathBuf;

use url::{Host, Url};

/// A server that replicas share. It holds no secret: those are in the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedCache {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Number of the database.
    pub database: u32,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// User of the server's access list, where it is not the default one.
    pub username: Option<String>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// PEM file with the only authorities to trust; the system's otherwise.
    pub ca_file: Option<PathBuf>,
    /// File with the secret that the replicas share.
    pub key_file: PathBuf,
}

// === impl SharedCache ===

impl SharedCache {
    /// A server by its URL, `rediss://host[:port][/database]` or `redis://…`; `valkeys` and `valkey` mean the same.
    ///
    /// # Errors
    /// One sentence. The URL may hold a password, so it does not repeat it.
    pub fn at(url: &str, key_file: PathBuf) -> Result<Self, &'static str> {
        const NO_URL: &str =
            "the URL is not one of a Valkey or Redis server: write it like rediss://cache.corp.io:6379";
        let url = Url::parse(url).map_err(|_| NO_URL)?;
        let tls = match url.scheme() {
            "rediss" | "valkeys" => true,
            "redis" | "valkey" => false,
            _ => return Err(NO_URL),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("no login belongs into the URL: use username and passwordFile");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("the URL ends with the number of the database: nothing is read after it");
        }
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(Host::Domain(_)) | None => return Err(NO_URL),
        };
        let database = match url.path().trim_start_matches('/') {
            "" => 0,
            number => number.parse().map_err(|_| "the path of the URL is the number of a database, such as /0")?,
        };
        let port = url.port().unwrap_or(6379);
        Ok(Self { host, port, database, tls, username: None, password_file: None, ca_file: None, key_file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_nothing_secret() {
        let at = |url| SharedCache::at(url, PathBuf::from("key")).map(|it| (it.host, it.port, it.database, it.tls));
        for (url, host, port, database, tls) in [
            ("rediss://cache.corp.io", "cache.corp.io", 6379, 0, true),
            ("valkeys://cache.corp.io:6380/3", "cache.corp.io", 6380, 3, true),
            ("redis://127.0.0.1:7000/", "127.0.0.1", 7000, 0, false),
            ("valkey://[::1]", "::1", 6379, 0, false),
        ] {
            assert_eq!(at(url), Ok((host.to_owned(), port, database, tls)), "{url}");
        }
        for url in [
            "",
            "cache.corp.io:6379",
            "https://cache.corp.io",
            "redis://",
            "redis:///3",
            "rediss://:hunter2@cache.corp.io",
            "rediss://me@cache.corp.io",
            "rediss://cache.corp.io/x",
            "rediss://cache.corp.io/0?password=hunter2",
            "unix:/run/redis.sock",
        ] {
            let refusal = at(url).expect_err(url);
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
    }
}
