//! A Valkey or Redis server as the store: one connection, 50 ms an operation, and none at all for a while after a failure.
//!
//! Connections are made beside the reviews: a review uses the one that is there or none. (The connection manager of the
//! `redis` crate makes every command after a loss wait for the next connection.)

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisError, TlsCertificates};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::metrics::Metrics;
use crate::resolver::shared::Silence;
use crate::resolver::shared::seal::{HELD, MAX_ENTRY};
use crate::time::{Clock, since};

/// Limit for one operation: this level must never cost more than it saves.
const OPERATION: Duration = Duration::from_millis(50);

/// Limit for a connection, handshakes and login included. No review waits for it.
const CONNECT: Duration = Duration::from_secs(2);

/// How long the server is left alone after a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// Writes under way at once; one more is dropped.
const MAX_WRITES: usize = 256;

/// Where a server is and how it is logged in to.
pub struct Place {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Number of the database.
    pub database: u32,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// PEM text with the only authorities to trust; the system's otherwise.
    pub ca: Option<Vec<u8>>,
    /// User of the server's access list, where it is not the default one.
    pub username: Option<String>,
    /// Password.
    pub password: Option<SecretString>,
}

/// A place that no connection can be made to.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PlaceError(String);

/// A handle to the one connection. Cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    client: Client,
    address: String,
    clock: Clock,
    link: Mutex<Link>,
    writes: Arc<Semaphore>,
}

/// The connection and what is known about it.
struct Link {
    state: State,
    /// Counts connections, so that the failure of an old one does not end a new one.
    number: u64,
    /// Failing since the last success: said once.
    failing: bool,
}

enum State {
    Up(MultiplexedConnection),
    Connecting,
    Down { since: Timestamp },
}

// === impl Server ===

impl Server {
    /// A handle, and a first connection under way. A server that cannot be reached is no error: it is tried again.
    ///
    /// # Errors
    /// When the certificates are not usable.
    pub fn connect(place: Place, clock: Clock) -> Result<Self, PlaceError> {
        let address = format!("{}:{}", place.host, place.port);
        let client = place.client()?;
        let link = Link { state: State::Connecting, number: 0, failing: false };
        let writes = Arc::new(Semaphore::new(MAX_WRITES));
        let server = Self(Arc::new(Inner { client, address, clock, link: Mutex::new(link), writes }));
        tokio::spawn(server.clone().open());
        Ok(server)
    }

    /// What lies under a name; more than an entry may have is not fetched.
    pub(super) async fn read(&self, name: &str, now: Timestamp) -> Result<Vec<u8>, Silence> {
        let (mut connection, number) = self.connection(now).ok_or(Silence::Resting)?;
        let mut command = redis::cmd("GETRANGE");
        command.arg(name).arg(0).arg(MAX_ENTRY);
        self.ended(number, timeout(OPERATION, command.query_async(&mut connection)).await)
    }

    /// Sets or deletes in a task of its own.
    pub(super) fn write(&self, name: String, entry: Option<Vec<u8>>, now: Timestamp, metrics: Metrics) {
        let Some((mut connection, number)) = self.connection(now) else {
            return metrics.shared_write(Silence::Resting.as_str());
        };
        let Ok(turn) = Arc::clone(&self.0.writes).try_acquire_owned() else {
            return metrics.shared_write(Silence::Busy.as_str());
        };
        let server = self.clone();
        tokio::spawn(async move {
            let command = match entry {
                Some(entry) => redis::cmd("SET").arg(name).arg(entry).arg("EX").arg(HELD.as_secs()).take(),
                None => redis::cmd("DEL").arg(name).take(),
            };
            let done = timeout(OPERATION, command.exec_async(&mut connection)).await;
            metrics.shared_write(server.ended(number, done).err().map_or("ok", Silence::as_str));
            drop(turn);
        });
    }

    /// The connection, if there is one. After a pause one caller has the next one made, and does not wait for it.
    fn connection(&self, now: Timestamp) -> Option<(MultiplexedConnection, u64)> {
        let mut link = self.link();
        match &link.state {
            State::Up(connection) => return Some((connection.clone(), link.number)),
            State::Connecting => return None,
            // A clock that stepped back must not keep it waiting.
            State::Down { since: at } if now >= *at && since(*at, now) < PAUSE => return None,
            State::Down { .. } => link.state = State::Connecting,
        }
        drop(link);
        tokio::spawn(self.clone().open());
        None
    }

    async fn open(self) {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(CONNECT))
            .set_pipeline_buffer_size(MAX_WRITES);
        let open = async {
            let mut connection = self.0.client.get_multiplexed_async_connection_with_config(&config).await?;
            // Says whether the login is good enough.
            redis::cmd("PING").exec_async(&mut connection).await?;
            Ok::<_, RedisError>(connection)
        };
        let outcome = match timeout(CONNECT, open).await {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no connection within {CONNECT:?}")),
        };
        let mut link = self.link();
        match outcome {
            Ok(connection) => {
                link.state = State::Up(connection);
                link.number += 1;
                let again = std::mem::take(&mut link.failing);
                drop(link);
                info!(server = self.0.address, again, "Sharing facts with other replicas");
            }
            Err(why) => self.down(link, &why),
        }
    }

    /// Takes note of how an operation ended: a failure ends the connection, and with it whatever still waits for it.
    fn ended<T>(&self, number: u64, outcome: Result<Result<T, RedisError>, impl fmt::Display>) -> Result<T, Silence> {
        let (why, silence) = match outcome {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => (error.to_string(), Silence::Error),
            Err(_) => (format!("no answer within {OPERATION:?}"), Silence::Timeout),
        };
        let link = self.link();
        if link.number == number && matches!(link.state, State::Up(_)) {
            self.down(link, &why);
        }
        Err(silence)
    }

    fn down(&self, mut link: MutexGuard<'_, Link>, why: &str) {
        link.state = State::Down { since: (self.0.clock)() };
        let first = !std::mem::replace(&mut link.failing, true);
        drop(link);
        if first {
            warn!(
                server = self.0.address,
                error = why,
                "Facts are not shared with other replicas; this one asks for itself"
            );
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.0.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.0.address).finish()
    }
}

// === impl Place ===

impl Place {
    fn client(self) -> Result<Client, PlaceError> {
        let Self { host, port, database, tls, ca, username, password } = self;
        let refused = |error: RedisError| PlaceError(error.to_string());
        if ca.as_deref().is_some_and(|pem| !CertificateDer::pem_slice_iter(pem).any(|found| found.is_ok())) {
            return Err(PlaceError("holds no certificate in PEM".to_owned()));
        }
        let address = if tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let info = address.into_connection_info().map_err(refused)?;
        let mut login = info.redis_settings().clone().set_db(database.into());
        if let Some(username) = username {
            login = login.set_username(username);
        }
        if let Some(password) = password {
            login = login.set_password(password.expose_secret());
        }
        let info = info.set_redis_settings(login);
        if tls {
            let certificates = TlsCertificates { client_tls: None, root_cert: ca };
            Client::build_with_tls(info, certificates).map_err(refused)
        } else {
            Client::open(info).map_err(refused)
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}
