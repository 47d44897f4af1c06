//! Who may hold a connection. Strangers have few places, on both planes, and make room for each other; whoever has proven who
//! they are has a place that no stranger can take.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::task::AbortHandle;

use super::limits::{Limits, STRANGER_GRACE};
use crate::metrics::{Metrics, Refused};

/// Counts connections and refuses those beyond the limits.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    metrics: Arc<Metrics>,
    counts: Mutex<Counts>,
}

/// Why a connection was not let in, or may not stay.
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
}

impl From<Full> for Refused {
    fn from(full: Full) -> Self {
        match full {
            Full::Connections => Self::Connections,
            Full::Address => Self::Address,
            Full::Strangers => Self::Strangers,
            Full::AddressStrangers => Self::AddressStrangers,
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
    Operator,
}

#[derive(Debug, Default)]
struct Counts {
    strangers: usize,
    initiators: usize,
    operators: usize,
    by_network: HashMap<IpAddr, Network>,
    last_number: u64,
}

/// The connections of one address.
#[derive(Debug, Default)]
struct Network {
    /// Those that have not proven who they are, by number.
    strangers: BTreeMap<u64, Stranger>,
    initiators: usize,
    operators: usize,
}

/// A connection that has not proven who it is.
#[derive(Debug)]
struct Stranger {
    since: Instant,
    /// What ends it.
    task: Option<AbortHandle>,
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
        let now = Instant::now();
        let mut counts = self.lock();
        let here = counts.by_network.get_mut(&network);
        let strangers = here.as_ref().map_or(0, |here| here.strangers.len());
        let made_room = if strangers >= self.limits.strangers_per_address {
            let made_room = here.and_then(|here| here.make_room(Some(now)));
            counts.strangers -= usize::from(made_room.is_some());
            Some(made_room.ok_or(Full::AddressStrangers)?)
        } else if counts.strangers >= self.limits.strangers {
            Some(counts.make_room(strangers).ok_or(Full::Strangers)?)
        } else {
            None
        };
        let place = counts.enter(network, now);
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
        if let Some(stranger) = here.and_then(|here| here.strangers.get_mut(&place.number)) {
            stranger.task = Some(task);
        }
    }

    /// Shows the counts to whoever looks at the metrics.
    fn show(&self, counts: &Counts) {
        let now = &self.metrics.connections;
        now.strangers.store(counts.strangers as u64, Relaxed);
        now.initiators.store(counts.initiators as u64, Relaxed);
        now.operators.store(counts.operators as u64, Relaxed);
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

    /// The peer has proven that it holds a grant: it no longer counts as a stranger, and may stay if the others who have leave
    /// room.
    pub(super) fn initiator(&mut self) -> Result<(), Full> {
        if self.kind == Kind::Stranger {
            let limits = &self.gate.limits;
            let mut counts = self.gate.lock();
            if counts.initiators >= limits.connections {
                return Err(Full::Connections);
            }
            let here = counts.by_network.entry(self.place.network).or_default();
            if here.initiators >= limits.connections_per_address {
                return Err(Full::Address);
            }
            here.initiators += 1;
            counts.initiators += 1;
            counts.acquainted(self.place);
            self.gate.show(&counts);
            drop(counts);
            self.kind = Kind::Initiator;
        }
        Ok(())
    }

    /// The client has shown the token: it no longer counts as a stranger. `false`: so many have that it is to be answered and
    /// then let go.
    pub(super) fn operator(&mut self) -> bool {
        let limits = &self.gate.limits;
        let mut counts = self.gate.lock();
        let here = counts.by_network.entry(self.place.network).or_default();
        if self.kind == Kind::Stranger {
            here.operators += 1;
            let of_address = here.operators;
            counts.operators += 1;
            counts.acquainted(self.place);
            self.gate.show(&counts);
            self.kind = Kind::Operator;
            return counts.operators <= limits.control_connections
                && of_address <= limits.control_connections_per_address;
        }
        true
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.gate.lock();
        counts.leave(self.place, self.kind);
        self.gate.show(&counts);
    }
}

impl Counts {
    fn enter(&mut self, network: IpAddr, since: Instant) -> Place {
        self.last_number += 1;
        let number = self.last_number;
        self.strangers += 1;
        let here = self.by_network.entry(network).or_default();
        let stranger = Stranger { since, task: None };
        here.strangers.insert(number, stranger);
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
        let task = crowd.make_room(None)?;
        self.strangers -= 1;
        Some(task)
    }

    /// No stranger any more; perhaps it had to make room before.
    fn acquainted(&mut self, place: Place) {
        let here = self.by_network.get_mut(&place.network);
        let was = here.is_some_and(|here| here.strangers.remove(&place.number).is_some());
        self.strangers -= usize::from(was);
    }

    fn leave(&mut self, place: Place, kind: Kind) {
        self.acquainted(place);
        self.initiators -= usize::from(kind == Kind::Initiator);
        self.operators -= usize::from(kind == Kind::Operator);
        if let Some(here) = self.by_network.get_mut(&place.network) {
            here.initiators -= usize::from(kind == Kind::Initiator);
            here.operators -= usize::from(kind == Kind::Operator);
            if here.strangers.is_empty() && here.initiators + here.operators == 0 {
                self.by_network.remove(&place.network);
            }
        }
    }
}

impl Network {
    /// Takes the place of the oldest stranger that can be ended and, if `now` is given, has had [`STRANGER_GRACE`].
    fn make_room(&mut self, now: Option<Instant>) -> Option<AbortHandle> {
        let mut strangers = self.strangers.iter();
        let (number, task) = strangers.find_map(|(number, stranger)| {
            let age = now.map(|now| now.saturating_duration_since(stranger.since));
            let had_its_time = age.is_none_or(|age| age >= STRANGER_GRACE);
            let task = stranger.task.clone().filter(|_| had_its_time)?;
            Some((*number, task))
        })?;
        self.strangers.remove(&number);
        Some(task)
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
