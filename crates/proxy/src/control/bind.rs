//! Binding, and saying why it failed and what to do.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// How many connections may wait to be accepted.
pub(crate) const BACKLOG: i32 = 4096;

/// Binds `address` once for each worker. Tried without SO_REUSEPORT first, unless the address is `ours` already: with it, another process
/// of the same user would share the traffic and nobody would notice.
pub(crate) fn bind(address: SocketAddr, workers: usize, ours: bool) -> io::Result<Vec<TcpListener>> {
    if !ours {
        socket(address)?.bind(&SockAddr::from(address))?;
    }
    (0..workers)
        .map(|_| {
            let socket = socket(address)?;
            socket.set_reuse_port(true)?;
            socket.bind(&SockAddr::from(address))?;
            // Accepted connections have it from the start.
            socket.set_tcp_nodelay(true)?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Why `address` could not be bound, and the ways out.
pub(crate) fn explain(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "no permission to bind {address}: ports below 1024 are privileged. Use `--port-offset 8000`, or allow it with \
             `sysctl net.ipv4.ip_unprivileged_port_start=0` or the capability CAP_NET_BIND_SERVICE"
        ),
        io::ErrorKind::AddrInUse => {
            let holder = holder(address).map_or_else(|| "another process".to_owned(), |(pid, name)| format!("process {pid} ({name})"));
            format!("{address} is taken by {holder}. End it, or use another port or `--port-offset`; binding is tried again by itself")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{} is not an address of this machine, so port {port} cannot be bound on it", address.ip())
        }
        _ => format!("cannot bind {address}: {error}"),
    }
}

/// The process that listens on `address`, where /proc shows it (its own user's processes only, without privileges).
fn holder(address: SocketAddr) -> Option<(u32, String)> {
    let inode = listening_inode(address)?;
    let target = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(descriptors) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let holds = |it: std::fs::DirEntry| std::fs::read_link(it.path()).is_ok_and(|link| link.as_os_str() == target.as_str());
        if descriptors.flatten().any(holds) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().to_owned()));
        }
    }
    None
}

/// The inode of the socket that listens on `address`, or on all addresses with its port.
fn listening_inode(address: SocketAddr) -> Option<u64> {
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(|path| std::fs::read_to_string(path).ok()).find_map(|table| {
        table.lines().skip(1).find_map(|line| {
            let mut columns = line.split_ascii_whitespace().skip(1);
            let (local, state) = (columns.next()?, columns.nth(1)?);
            let (ip, port) = local.split_once(':')?;
            let same = state == "0A" && u16::from_str_radix(port, 16).ok()? == address.port() && covers(ip, address.ip());
            same.then(|| columns.nth(5)?.parse().ok()).flatten()
        })
    })
}

/// Whether a socket bound to `ip`, as /proc/net/tcp writes it, takes connections to `address`.
fn covers(ip: &str, address: IpAddr) -> bool {
    if ip.bytes().all(|byte| byte == b'0') {
        return true;
    }
    // 32-bit words, each in the processor's own byte order.
    let words: Vec<u32> =
        ip.as_bytes().chunks(8).filter_map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()).collect();
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    match address {
        IpAddr::V4(address) => bytes == address.octets() || bytes == address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => bytes == address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_noticed_and_its_holder_named() {
        let other = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = other.local_addr().expect("an address");
        let error = bind(address, 2, false).expect_err("it is taken");
        let text = explain(address, &error);
        assert!(text.contains(&format!("{address} is taken by process {}", std::process::id())), "{text}");
    }

    #[test]
    fn a_port_that_another_shares_is_noticed_too() {
        let other = bind("127.0.0.1:0".parse().expect("an address"), 1, false).expect("a port");
        let address = other[0].local_addr().expect("an address");
        assert_eq!(bind(address, 1, false).expect_err("it is taken").kind(), io::ErrorKind::AddrInUse);
        assert_eq!(bind(address, 2, true).expect("it is ours").len(), 2);
    }

    #[test]
    fn causes_have_ways_out() {
        let address = "192.0.2.1:80".parse().expect("an address");
        let error = bind(address, 1, false).expect_err("a documentation address");
        assert!(explain(address, &error).starts_with("192.0.2.1 is not an address of this machine"));
        let text = explain(address, &io::ErrorKind::PermissionDenied.into());
        assert!(
            ["--port-offset 8000", "ip_unprivileged_port_start=0", "CAP_NET_BIND_SERVICE"].iter().all(|way| text.contains(way)),
            "{text}"
        );
    }
}
