//! Loopback addresses: one /16 of 127.0.0.0/8 per node, cut into parts for the node, load balancers, services and pods.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use sha2::{Digest, Sha256};

/// Which part of the node's /16 an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Pool {
    LoadBalancer,
    Service,
    Pod,
}

/// Bound on every address that only one node may hand out: a second node on the machine sees it taken. UDP, so that it is in nobody's way.
const CLAIM_PORT: u16 = 65533;

/// An address that no other node on this machine hands out while this lives.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) ip: Ipv4Addr,
    _socket: Option<UdpSocket>,
}

impl Claim {
    /// Claims an address. `AddrInUse` if another process has done so; anything else is so for every address.
    pub(crate) fn take(ip: Ipv4Addr) -> io::Result<Claim> {
        UdpSocket::bind((ip, CLAIM_PORT)).map(|socket| Claim { ip, _socket: Some(socket) })
    }

    /// Claims an address that was given out elsewhere, as far as that is possible.
    pub(crate) fn adopt(ip: Ipv4Addr) -> Claim {
        Claim::take(ip).unwrap_or(Claim { ip, _socket: None })
    }
}

/// The node's addresses and which of them are used.
pub(crate) struct Addresses {
    second: u8,
    used: BTreeSet<Ipv4Addr>,
    /// Pods get the next address rather than the lowest, so that what a dead pod left behind (TIME_WAIT, a client's cache) meets nobody.
    next_pod: u16,
    /// Pools of which every address is in use here: nothing is looked for in them until one is released.
    full: HashSet<Pool>,
}

impl Addresses {
    /// How many pods can have an address: 128 times 256 without those that end in .0 and .255.
    pub(crate) const PODS: usize = 128 * 254;

    pub(crate) fn new(seed: &str) -> Addresses {
        let digest = Sha256::digest(seed.as_bytes());
        // 127.0/16 is left out: programs of all kinds listen there. 1 to 254 remain.
        let byte = u16::from_be_bytes([digest[0], digest[1]]) % 254;
        Addresses { second: byte as u8 + 1, used: BTreeSet::new(), next_pod: 1, full: HashSet::new() }
    }

    /// The node's own address.
    pub(crate) fn node(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, self.second, 0, 1)
    }

    /// Third and fourth byte, first and last, of a pool.
    fn bounds(pool: Pool) -> (u16, u16) {
        match pool {
            Pool::LoadBalancer => (0x0002, 0x0fff),
            Pool::Service => (0x1000, 0x7fff),
            Pool::Pod => (0x8000, 0xffff),
        }
    }

    fn at(&self, low: u16) -> Ipv4Addr {
        let [third, fourth] = low.to_be_bytes();
        Ipv4Addr::new(127, self.second, third, fourth)
    }

    /// A free address of the pool, claimed. `claim` is asked at most once per address, and no more once it fails with anything but `AddrInUse`.
    pub(crate) fn allocate<T>(&mut self, pool: Pool, mut claim: impl FnMut(Ipv4Addr) -> io::Result<T>) -> io::Result<(Ipv4Addr, T)> {
        let none = || io::Error::new(io::ErrorKind::AddrInUse, format!("every address of {:?} is in use", pool));
        if self.full.contains(&pool) {
            return Err(none());
        }
        let mut full = true;
        let (first, last) = Self::bounds(pool);
        let size = u32::from(last - first) + 1;
        let start = if pool == Pool::Pod { u32::from(self.next_pod) } else { 0 };
        for step in 0..size {
            let low = first + ((start + step) % size) as u16;
            let ip = self.at(low);
            // .0 and .255 look like networks to some tools.
            if matches!(ip.octets()[3], 0 | 255) || self.used.contains(&ip) {
                continue;
            }
            full = false;
            let value = match claim(ip) {
                Ok(value) => value,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                Err(error) => return Err(error),
            };
            self.used.insert(ip);
            if pool == Pool::Pod {
                self.next_pod = ((start + step + 1) % size) as u16;
            }
            return Ok((ip, value));
        }
        if full {
            self.full.insert(pool);
        }
        Err(none())
    }

    /// Notes that an address is in use, as found in an object.
    pub(crate) fn mark(&mut self, ip: Ipv4Addr) {
        self.used.insert(ip);
    }

    pub(crate) fn release(&mut self, ip: Ipv4Addr) {
        self.used.remove(&ip);
        self.full.clear();
    }

    /// Whether this node would hand out the address from this pool.
    pub(crate) fn owns(&self, pool: Pool, ip: Ipv4Addr) -> bool {
        let (first, last) = Self::bounds(pool);
        (self.at(first)..=self.at(last)).contains(&ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_do_not_meet_and_addresses_come_back() {
        let mut addresses = Addresses::new("/var/lib/weir");
        let (lb, ()) = addresses.allocate(Pool::LoadBalancer, |_| Ok(())).unwrap();
        let (service, ()) = addresses.allocate(Pool::Service, |_| Ok(())).unwrap();
        let (pod, ()) = addresses.allocate(Pool::Pod, |_| Ok(())).unwrap();
        assert_ne!(lb, addresses.node());
        assert!(addresses.owns(Pool::LoadBalancer, lb) && addresses.owns(Pool::Service, service) && addresses.owns(Pool::Pod, pod));
        assert!(!addresses.owns(Pool::Pod, lb));
        addresses.release(lb);
        assert_eq!(addresses.allocate(Pool::LoadBalancer, |_| Ok(())).unwrap().0, lb, "the lowest free one");
        addresses.release(pod);
        assert_ne!(addresses.allocate(Pool::Pod, |_| Ok(())).unwrap().0, pod, "the next one");
    }

    #[test]
    fn seeds_spread() {
        let seconds: BTreeSet<u8> = (0..100).map(|n| Addresses::new(&format!("/data/{n}")).second).collect();
        assert!(seconds.len() > 60, "{}", seconds.len());
        assert!(!seconds.contains(&0) && !seconds.contains(&255));
    }

    #[test]
    fn a_claim_is_exclusive_while_it_lives() {
        let ip = Ipv4Addr::new(127, 254, 253, 1);
        let claim = Claim::take(ip).unwrap();
        assert_eq!(Claim::take(ip).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(claim);
        assert!(Claim::take(ip).is_ok());
    }

    #[test]
    fn addresses_of_others_are_passed_over_and_any_other_failure_ends_the_search() {
        for (kind, most) in [(io::ErrorKind::AddrInUse, usize::MAX), (io::ErrorKind::Other, 1)] {
            let mut asked = 0;
            let answer = Addresses::new("x").allocate::<()>(Pool::LoadBalancer, |_| {
                asked += 1;
                Err(kind.into())
            });
            assert_eq!(answer.unwrap_err().kind(), kind);
            assert!(if most == 1 { asked == 1 } else { asked > 4000 }, "{asked}");
        }
    }

    #[test]
    fn a_full_pool_is_looked_through_again_when_an_address_comes_back() {
        let mut addresses = Addresses::new("x");
        let mut count = 0;
        while addresses.allocate(Pool::Pod, |_| Ok(())).is_ok() {
            count += 1;
        }
        assert_eq!((count, addresses.full.contains(&Pool::Pod)), (Addresses::PODS, true));
        let ip = addresses.at(0x8001);
        addresses.release(ip);
        assert_eq!(addresses.allocate(Pool::Pod, |_| Ok(())).unwrap().0, ip);
    }
}
