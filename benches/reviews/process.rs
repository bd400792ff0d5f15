//! The built binary: how soon it is ready, what it weighs, and what ten thousand images weigh in it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::bed::{Bed, review_of};
use crate::load::{self, Connection};
use crate::table::{Row, quantile};
use crate::{Failure, runtime};

const BINARY: &str = env!("CARGO_BIN_EXE_pullgate");

const STARTS: usize = 7;
const READY_WITHIN: Duration = Duration::from_secs(10);

const IMAGES: usize = 10_000;
const TAGS_EACH: usize = 10;
const IMAGES_EACH: usize = 5;
const CONNECTIONS: usize = 16;

/// `pullgate serve` over the bed's files; it ends when this is dropped.
struct Serving {
    child: Child,
    address: SocketAddr,
    ready_after: Duration,
}

pub(crate) fn measure(bed: &Bed) -> Result<Vec<Row>, Failure> {
    let mut starts = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        starts.push(Serving::start(bed)?.ready_after);
    }
    starts.sort_unstable();
    let (usual, slowest) = (quantile(&starts, 0.5), quantile(&starts, 1.0));
    let mut rows = vec![Row::held(
        format!("start to ready, median of {STARTS}"),
        format!("{:.1} ms (slowest {:.1} ms)", usual.as_secs_f64() * 1e3, slowest.as_secs_f64() * 1e3),
        "<= 150 ms",
        usual <= Duration::from_millis(150),
    )];

    let serving = Serving::start(bed)?;
    let empty = serving.memory("VmRSS")?;
    let clients = runtime("clients", 1)?;
    clients.block_on(fill(bed, serving.address))?;
    clients.shutdown_background();
    let (full, most) = (serving.memory("VmRSS")?, serving.memory("VmHWM")?);
    rows.push(Row::held(
        format!("resident memory, {IMAGES} images of {} repositories cached", IMAGES / TAGS_EACH),
        format!("{full:.1} MiB (peak {most:.1}, at the start {empty:.1})"),
        "<= 48 MiB",
        full <= 48.0,
    ));
    let bytes = u32::try_from(std::fs::metadata(BINARY)?.len() / 1024)?;
    let size = f64::from(bytes) / 1024.0;
    rows.push(Row::held("binary, as built for this run", format!("{size:.1} MiB"), "<= 16 MiB", size <= 16.0));
    Ok(rows)
}

/// Reviews that name every image once.
async fn fill(bed: &Bed, address: SocketAddr) -> Result<(), Failure> {
    let images: Vec<String> = (0..IMAGES)
        .map(|number| bed.push(&format!("service-{}", number / TAGS_EACH), &format!("v1.{}", number % TAGS_EACH)))
        .collect();
    let requests: Result<Vec<_>, Failure> =
        images.chunks(IMAGES_EACH).map(|images| Ok(load::request("/validate", &review_of(images)?))).collect();
    let requests = Arc::new(requests?);
    let next = Arc::new(AtomicUsize::new(0));
    let tls = load::tls(bed.ca_pem())?;
    bed.registry.clear_log();
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(address, &tls).await?;
        let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
        tasks.spawn(async move {
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let answer = std::str::from_utf8(connection.exchange(request).await?)?;
                if answer.contains("findings") {
                    return Err(format!("a good image gets {answer}").into());
                }
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let asked = bed.registry.requests().iter().filter(|request| request.status == Some(200)).count();
    if asked < IMAGES { Err(format!("{asked} answers cannot be {IMAGES} images").into()) } else { Ok(()) }
}

// === impl Serving ===

impl Serving {
    fn start(bed: &Bed) -> Result<Self, Failure> {
        // Ports that were free a moment ago.
        let free = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [address, admin] = [free[0].local_addr()?, free[1].local_addr()?];
        drop(free);
        let files = bed.tls_files();
        let began = Instant::now();
        let child = Command::new(BINARY)
            .env_clear()
            .args(["serve", "--log", "error", "--shutdown-delay", "0s"])
            .args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string()])
            .arg("--config")
            .arg(bed.config_file())
            .arg("--cluster-from")
            .arg(bed.cluster_file())
            .arg("--tls-cert-file")
            .arg(files.cert)
            .arg("--tls-private-key-file")
            .arg(files.key)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut serving = Self { child, address, ready_after: Duration::ZERO };
        while !ready(admin) {
            if let Some(status) = serving.child.try_wait()? {
                return Err(format!("pullgate serve ended with {status}").into());
            }
            if began.elapsed() > READY_WITHIN {
                return Err("pullgate serve is not ready in time".into());
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        serving.ready_after = began.elapsed();
        Ok(serving)
    }

    /// A line of `/proc/PID/status` in MiB.
    fn memory(&self, name: &str) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib =
            line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no memory in the status of a process")?;
        Ok(f64::from(kib.parse::<u32>()?) / 1024.0)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // A child that has ended already is as good as one that is ended here.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

fn ready(admin: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut connection = TcpStream::connect(admin)?;
        connection.set_read_timeout(Some(Duration::from_secs(1)))?;
        connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}
