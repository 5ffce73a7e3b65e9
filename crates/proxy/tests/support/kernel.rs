//! The kernel's table of sockets, asked as `ss` asks: by netlink (sock_diag(7)). `/proc/net/tcp` has a line for each of the tens of
//! thousands of connections that have ended lately, and takes as long to read.

use std::net::{IpAddr, SocketAddr};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

/// `TCP_*` of `net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
const CLOSE_WAIT: u8 = 8;
const LISTEN: u8 = 10;
/// All but LISTEN, TIME_WAIT, and those whose handshake is not complete.
const CONNECTED: u32 = 1 << ESTABLISHED | 1 << 4 | 1 << 5 | 1 << CLOSE_WAIT | 1 << 9 | 1 << 11;
/// `SOCK_DIAG_BY_FAMILY`, `NLM_F_REQUEST | NLM_F_DUMP`, and the end of a dump.
const BY_FAMILY: u16 = 20;
const DUMP: u16 = 0x301;
const DONE: u16 = 3;

/// How many connections are open at the end that has `local`: all that a process holds, in whatever state, and those that wait to be
/// accepted. What is left of others is the kernel's own affair.
pub fn open(local: SocketAddr) -> usize {
    count(local, CONNECTED)
}

/// How many sockets listen there.
pub fn listening(local: SocketAddr) -> usize {
    count(local, 1 << LISTEN)
}

fn count(local: SocketAddr, states: u32) -> usize {
    let IpAddr::V4(ip) = local.ip() else { panic!("tests use IPv4") };
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG)).expect("netlink");
    send(&socket, &request(local.port(), states), SendFlags::empty()).expect("the kernel listens");
    let (mut count, mut bytes) = (0, vec![0; 1 << 16]);
    loop {
        let (length, _) = recv(&socket, &mut bytes[..], RecvFlags::empty()).expect("the kernel answers");
        let mut rest = &bytes[..length];
        while rest.len() >= 16 {
            let word = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().unwrap());
            match u16::from_ne_bytes([rest[4], rest[5]]) {
                DONE => return count,
                BY_FAMILY => {
                    // `struct inet_diag_msg` behind the header: the state, the address, and the inode, which only an accepted socket has.
                    let (state, address, inode) = (rest[17], &rest[24..28], word(16 + 68));
                    count += usize::from(*address == ip.octets() && (inode != 0 || matches!(state, ESTABLISHED | CLOSE_WAIT)));
                }
                other => panic!("netlink says {other}: {rest:?}"),
            }
            rest = rest.get((word(0) as usize).next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`: TCP over IPv4, in these states, with this local port.
fn request(port: u16, states: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(72);
    bytes.extend(72u32.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([2, 6, 0, 0]);
    bytes.extend(states.to_ne_bytes());
    bytes.extend(port.to_be_bytes());
    bytes.resize(72, 0);
    bytes
}
