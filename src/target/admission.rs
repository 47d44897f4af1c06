//! Who may hold a connection: counts in all, for each address, and of strangers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use super::limits::Limits;
use crate::metrics::{Metrics, Refused};

/// Counts connections and refuses those beyond the limits.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    metrics: Arc<Metrics>,
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

impl From<Full> for Refused {
    fn from(full: Full) -> Self {
        match full {
            Full::Connections => Self::Connections,
            Full::Address => Self::Address,
            Full::Strangers => Self::Strangers,
            Full::AddressStrangers => Self::AddressStrangers,
            Full::Control => Self::Control,
            Full::AddressControl => Self::AddressControl,
        }
    }
}

/// A connection's place. Dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Admitted {
    gate: Arc<Gate>,
    place: Place,
    kind: Kind,
}

/// Names an admitted connection. Numbers grow, so the lowest is the oldest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    network: IpAddr,
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stranger,
    Initiator,
    Control,
}

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    strangers: usize,
    control: usize,
    by_network: HashMap<IpAddr, Network>,
    last_number: u64,
}

/// The connections of one address.
#[derive(Debug, Default)]
struct Network {
    connections: usize,
    /// Those that have not proven who they are, by number, with what ends them.
    strangers: BTreeMap<u64, Option<AbortHandle>>,
    control: usize,
}

impl Gate {
    pub(super) fn new(limits: Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            metrics,
            counts: Mutex::default(),
        })
    }

    /// Lets a stranger in, or says which limit is reached.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, Full> {
        let network = network_of(address);
        let mut counts = self.lock();
        let here = counts.by_network.get(&network);
        let (connections, strangers) =
            here.map_or((0, 0), |here| (here.connections, here.strangers.len()));
        if counts.connections >= self.limits.connections {
            return Err(Full::Connections);
        }
        if connections >= self.limits.connections_per_address {
            return Err(Full::Address);
        }
        if strangers >= self.limits.strangers_per_address {
            return Err(Full::AddressStrangers);
        }
        let made_room = if counts.strangers >= self.limits.strangers {
            Some(counts.make_room(strangers).ok_or(Full::Strangers)?)
        } else {
            None
        };
        let place = counts.enter(network);
        self.show(&counts);
        drop(counts);
        if let Some(task) = made_room {
            self.metrics.refused(Refused::MadeRoom);
            task.abort();
        }
        Ok(Admitted {
            gate: Arc::clone(self),
            place,
            kind: Kind::Stranger,
        })
    }

    /// The connection at `place` is ended by `task` should it have to make room.
    pub(super) fn may_end(&self, place: Place, task: AbortHandle) {
        let mut counts = self.lock();
        let here = counts.by_network.get_mut(&place.network);
        if let Some(entry) = here.and_then(|here| here.strangers.get_mut(&place.number)) {
            *entry = Some(task);
        }
    }

    /// Shows the counts to whoever looks at the metrics.
    fn show(&self, counts: &Counts) {
        let now = &self.metrics.connections;
        let proven = counts.connections.saturating_sub(counts.strangers);
        let initiators = proven.saturating_sub(counts.control);
        now.strangers.store(counts.strangers as u64, Relaxed);
        now.initiators.store(initiators as u64, Relaxed);
        now.control.store(counts.control as u64, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counting cannot be left half done, so a panic elsewhere does not spoil it.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// The connection's number since the server started, for logs.
    pub(super) fn number(&self) -> u64 {
        self.place.number
    }

    /// The name of this connection.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The peer has logged in: it no longer counts as a stranger.
    pub(super) fn logged_in(&mut self) {
        if self.kind == Kind::Stranger {
            let mut counts = self.gate.lock();
            counts.acquainted(self.place);
            self.gate.show(&counts);
            drop(counts);
            self.kind = Kind::Initiator;
        }
    }

    /// The connection belongs to the control plane, which has limits of its own.
    pub(super) fn control(&mut self) -> Result<(), Full> {
        if self.kind == Kind::Stranger {
            let limits = &self.gate.limits;
            let mut counts = self.gate.lock();
            if counts.control >= limits.control_connections {
                return Err(Full::Control);
            }
            let here = counts.by_network.entry(self.place.network).or_default();
            if here.control >= limits.control_connections_per_address {
                return Err(Full::AddressControl);
            }
            here.control += 1;
            counts.control += 1;
            counts.acquainted(self.place);
            self.gate.show(&counts);
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
            Kind::Stranger => counts.acquainted(self.place),
            Kind::Initiator => {}
            Kind::Control => counts.control_ended(self.place.network),
        }
        counts.leave(self.place.network);
        self.gate.show(&counts);
    }
}

impl Counts {
    fn enter(&mut self, network: IpAddr) -> Place {
        self.last_number += 1;
        let number = self.last_number;
        self.connections += 1;
        self.strangers += 1;
        let here = self.by_network.entry(network).or_default();
        here.connections += 1;
        here.strangers.insert(number, None);
        Place { network, number }
    }

    /// Takes the place of the oldest stranger of the address that has most of them, if that has more than `fewer`: whoever
    /// fills the house makes room for one who does not. Returns what ends it.
    fn make_room(&mut self, fewer: usize) -> Option<AbortHandle> {
        let crowd = self.by_network.values_mut();
        // Of addresses with as many, the one that has had its oldest the longest: it had its chance to say who it is.
        let crowd = crowd.max_by_key(|here| {
            let oldest = here.strangers.keys().next().copied();
            (here.strangers.len(), Reverse(oldest))
        })?;
        if crowd.strangers.len() <= fewer {
            return None;
        }
        let (number, task) = crowd
            .strangers
            .iter()
            .find_map(|(number, task)| Some((*number, task.clone()?)))?;
        crowd.strangers.remove(&number);
        self.strangers = self.strangers.saturating_sub(1);
        Some(task)
    }

    /// No stranger any more; perhaps it had to make room before.
    fn acquainted(&mut self, place: Place) {
        let here = self.by_network.get_mut(&place.network);
        if here.is_some_and(|here| here.strangers.remove(&place.number).is_some()) {
            self.strangers = self.strangers.saturating_sub(1);
        }
    }

    fn control_ended(&mut self, network: IpAddr) {
        self.control = self.control.saturating_sub(1);
        if let Some(here) = self.by_network.get_mut(&network) {
            here.control = here.control.saturating_sub(1);
        }
    }

    fn leave(&mut self, network: IpAddr) {
        self.connections = self.connections.saturating_sub(1);
        if let Some(here) = self.by_network.get_mut(&network) {
            here.connections = here.connections.saturating_sub(1);
            if here.connections == 0 {
                self.by_network.remove(&network);
            }
        }
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
mod tests;
