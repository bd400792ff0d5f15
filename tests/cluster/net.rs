//! The network of a company, on loopback: a proxy behind which real registries have the names that people give them, and
//! the clouds' hosts answer with recorded exchanges; a few addresses where nobody answers; a name server that knows
//! nobody. Every address is fixed, so that what is printed of it is the same in every run.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use crate::Failure;
use crate::exchanges::Stage;

/// The proxy.
pub(crate) const PROXY: &str = "127.77.0.1:3128";
/// The name server, on the port that no `resolv.conf` can change.
pub(crate) const NAME_SERVER: &str = "127.77.0.53";
/// Nobody listens.
pub(crate) const REFUSED: &str = "127.77.0.2:5050";
/// Somebody listens whose queue is full, so that no connection comes to be.
pub(crate) const TIMEOUT: &str = "127.77.0.3:5050";
/// No name server knows it.
pub(crate) const UNKNOWN: &str = "registry.corp.example";
/// The proxy lets nobody go there.
pub(crate) const BLOCKED: &str = "registry.partner.example";

/// What has to live for as long as the network.
pub(crate) struct Net {
    _full: (tokio::net::TcpListener, Vec<TcpStream>),
    // The listener is its own.
    _runtime: Runtime,
}

// === impl Net ===

impl Net {
    /// Opens everything; `named` are the hosts (with their ports, `:443` too) that are ports on loopback.
    pub(crate) fn open(named: Vec<(String, SocketAddr)>, stage: &Stage) -> Result<Self, Failure> {
        let listener = TcpListener::bind(PROXY).map_err(|error| format!("{PROXY}: {error}"))?;
        let named = Arc::new(named);
        let beyond = stage.proxy().trim_start_matches("http://").parse()?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let named = Arc::clone(&named);
                // A client that goes away is no failure.
                thread::spawn(move || tunnel(stream, &named, beyond).ok());
            }
        });
        let runtime = Runtime::new()?;
        let entered = runtime.enter();
        let full = full(TIMEOUT.parse()?)?;
        drop(entered);
        Ok(Self { _full: full, _runtime: runtime })
    }
}

/// Answers every question with "no such name", on a port that only root may have, to whoever has a mount namespace and so
/// a `resolv.conf` of its own.
pub(crate) fn knows_nobody() -> io::Result<()> {
    let status = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status()?;
    if !status.success() {
        return Err(io::Error::other("no mount namespace is given"));
    }
    let socket = UdpSocket::bind((NAME_SERVER, 53))?;
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            if let Some(answer) = packet.get_mut(..length).filter(|packet| packet.len() >= 12) {
                // A response, recursion available, NXDOMAIN (RFC 1035, section 4.1.1).
                answer[2] |= 0x80;
                answer[3] = 0x83;
                socket.send_to(answer, from).ok();
            }
        }
    });
    Ok(())
}

/// A listener whose queue holds all that it can.
fn full(address: SocketAddr) -> io::Result<(tokio::net::TcpListener, Vec<TcpStream>)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(0)?;
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
    Ok((listener, (0..3).filter_map(connect).collect()))
}

/// `CONNECT host:port`, and from then on whatever goes to and fro.
fn tunnel(mut client: TcpStream, named: &[(String, SocketAddr)], beyond: SocketAddr) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8192 {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let target = String::from_utf8_lossy(&head);
    let target = target.split(' ').nth(1).unwrap_or_default();
    if target.starts_with(BLOCKED) {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let upstream = if let Some((_, at)) = named.iter().find(|(name, _)| name == target) {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        TcpStream::connect(at)?
    } else {
        let mut stage = TcpStream::connect(beyond)?;
        stage.write_all(&head)?;
        stage
    };
    let (mut from, mut to) = (client.try_clone()?, upstream.try_clone()?);
    let there = thread::spawn(move || {
        io::copy(&mut from, &mut to).ok();
        to.shutdown(std::net::Shutdown::Write).ok();
    });
    let (mut from, mut to) = (upstream, client);
    io::copy(&mut from, &mut to).ok();
    to.shutdown(std::net::Shutdown::Write).ok();
    there.join().ok();
    Ok(())
}
