//! Who may hold a connection: counts in all, for each address, and of strangers.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limits::Limits;

/// Counts connections and refuses those beyond the limits.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    counts: Mutex<Counts>,
}

/// Why a connection was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("too many connections")]
    Connections,
    #[error("too many connections from this address")]
    Address,
    #[error("too many connections that have not logged in")]
    Strangers,
    #[error("too many connections from this address that have not logged in")]
    AddressStrangers,
    #[error("too many connections of the control plane")]
    Control,
    #[error("too many connections of the control plane from this address")]
    AddressControl,
}

/// A connection's place. Dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Admitted {
    gate: Arc<Gate>,
    network: IpAddr,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stranger,
    Initiator,
    Control,
}

#[derive(Debug, Default)]
struct Counts {
    all: Tally,
    by_network: HashMap<IpAddr, Tally>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    connections: usize,
    strangers: usize,
    control: usize,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            counts: Mutex::default(),
        })
    }

    /// Lets a stranger in, or says which limit is reached.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, Full> {
        let network = network_of(address);
        let mut counts = self.lock();
        let here = counts.by_network.get(&network).copied().unwrap_or_default();
        if counts.all.connections >= self.limits.connections {
            return Err(Full::Connections);
        }
        if counts.all.strangers >= self.limits.strangers {
            return Err(Full::Strangers);
        }
        if here.connections >= self.limits.connections_per_address {
            return Err(Full::Address);
        }
        if here.strangers >= self.limits.strangers_per_address {
            return Err(Full::AddressStrangers);
        }
        counts.all.enter();
        counts.by_network.entry(network).or_default().enter();
        drop(counts);
        Ok(Admitted {
            gate: Arc::clone(self),
            network,
            kind: Kind::Stranger,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counting cannot be left half done, so a panic elsewhere does not spoil it.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// The peer has logged in: it no longer counts as a stranger.
    pub(super) fn logged_in(&mut self) {
        if self.kind == Kind::Stranger {
            self.gate.lock().acquainted(self.network);
            self.kind = Kind::Initiator;
        }
    }

    /// The connection belongs to the control plane, which has limits of its own.
    pub(super) fn control(&mut self) -> Result<(), Full> {
        if self.kind == Kind::Stranger {
            let limits = &self.gate.limits;
            let mut counts = self.gate.lock();
            if counts.all.control >= limits.control_connections {
                return Err(Full::Control);
            }
            let here = counts.by_network.entry(self.network).or_default();
            if here.control >= limits.control_connections_per_address {
                return Err(Full::AddressControl);
            }
            here.control += 1;
            counts.all.control += 1;
            counts.acquainted(self.network);
            drop(counts);
            self.kind = Kind::Control;
        }
        Ok(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.gate.lock();
        match self.kind {
            Kind::Stranger => counts.acquainted(self.network),
            Kind::Initiator => {}
            Kind::Control => counts.control_ended(self.network),
        }
        counts.leave(self.network);
    }
}

impl Counts {
    fn acquainted(&mut self, network: IpAddr) {
        self.all.strangers = self.all.strangers.saturating_sub(1);
        if let Some(here) = self.by_network.get_mut(&network) {
            here.strangers = here.strangers.saturating_sub(1);
        }
    }

    fn control_ended(&mut self, network: IpAddr) {
        self.all.control = self.all.control.saturating_sub(1);
        if let Some(here) = self.by_network.get_mut(&network) {
            here.control = here.control.saturating_sub(1);
        }
    }

    fn leave(&mut self, network: IpAddr) {
        self.all.connections = self.all.connections.saturating_sub(1);
        if let Some(here) = self.by_network.get_mut(&network) {
            here.connections = here.connections.saturating_sub(1);
            if here.connections == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

impl Tally {
    fn enter(&mut self) {
        self.connections += 1;
        self.strangers += 1;
    }
}

/// One IPv4 address, or one IPv6 /64 network: the least that one machine can be given.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Arc<Gate> {
        Gate::new(Limits {
            connections: 5,
            connections_per_address: 4,
            strangers: 3,
            strangers_per_address: 2,
            control_connections: 2,
            control_connections_per_address: 1,
            ..Limits::default()
        })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn strangers_are_counted_for_each_address_and_in_all() {
        let gate = gate();
        let first = gate.admit(address("192.0.2.1")).unwrap();
        let _second = gate.admit(address("192.0.2.1")).unwrap();
        assert_eq!(
            gate.admit(address("::ffff:192.0.2.1")).unwrap_err(),
            Full::AddressStrangers
        );
        let _third = gate.admit(address("192.0.2.2")).unwrap();
        assert_eq!(
            gate.admit(address("192.0.2.3")).unwrap_err(),
            Full::Strangers
        );
        drop(first);
        assert!(gate.admit(address("192.0.2.3")).is_ok());
    }

    #[test]
    fn a_login_frees_the_strangers_place_but_not_the_connections() {
        let gate = gate();
        let mut held = Vec::new();
        for _ in 0..4 {
            let mut admitted = gate.admit(address("2001:db8::1")).unwrap();
            admitted.logged_in();
            held.push(admitted);
        }
        assert_eq!(
            gate.admit(address("2001:db8::2")).unwrap_err(),
            Full::Address
        );
        let _fifth = gate.admit(address("2001:db8:0:1::2")).unwrap();
        assert_eq!(
            gate.admit(address("192.0.2.3")).unwrap_err(),
            Full::Connections
        );
        held.clear();
        assert_eq!(gate.lock().by_network.len(), 1);
    }

    #[test]
    fn the_control_plane_has_limits_of_its_own() {
        let gate = gate();
        let mut first = gate.admit(address("192.0.2.1")).unwrap();
        let mut second = gate.admit(address("192.0.2.1")).unwrap();
        first.control().unwrap();
        assert_eq!(second.control(), Err(Full::AddressControl));
        let mut other = gate.admit(address("192.0.2.2")).unwrap();
        other.control().unwrap();
        drop(first);
        assert_eq!(second.control(), Ok(()));
        let mut third = gate.admit(address("192.0.2.3")).unwrap();
        assert_eq!(third.control(), Err(Full::Control));
        drop((second, other, third));
        let counts = gate.lock();
        let all = counts.all;
        assert_eq!((all.connections, all.strangers, all.control), (0, 0, 0));
        assert!(counts.by_network.is_empty());
    }
}
