//! How PERSISTENT RESERVE OUT changes the reservations of a logical unit (SPC-4 5.13).

use super::condition::Condition;
use super::nexus::InitiatorPort;
use super::reservation::{Held, Kind, Registration, Reservations};
use super::sense::Sense;

/// Most registrations of one logical unit. Bounds the shared state, for they outlive sessions.
const MAX_REGISTRATIONS: usize = 64;

/// What a change means for other initiator ports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// Unit attentions to establish.
    pub(super) attentions: Vec<(InitiatorPort, Condition)>,
    /// Ports that were preempted, whose commands PREEMPT AND ABORT ends.
    pub(super) preempted: Vec<InitiatorPort>,
}

/// Why nothing was changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The key is not the nexus's, or another one holds the reservation.
    Conflict,
    /// CHECK CONDITION.
    Check(Sense),
}

type Change = Result<Effects, Refusal>;

impl Reservations {
    /// REGISTER: `key` must be the port's present one, zero if it has none.
    pub(super) fn register(&mut self, port: &InitiatorPort, key: u64, new_key: u64) -> Change {
        if self.key(port).unwrap_or(0) != key {
            return Err(Refusal::Conflict);
        }
        self.register_and_ignore(port, new_key)
    }

    /// REGISTER AND IGNORE EXISTING KEY. Zero takes the registration back.
    pub(super) fn register_and_ignore(&mut self, port: &InitiatorPort, new_key: u64) -> Change {
        let full = self.registrations.len() >= MAX_REGISTRATIONS;
        let known = self
            .registrations
            .iter_mut()
            .find(|known| known.port == *port);
        match (known, new_key) {
            (None, 0) => return Ok(Effects::default()),
            (Some(_), 0) => return Ok(self.unregister(port)),
            (Some(known), key) => known.key = key,
            (None, _) if full => {
                return Err(Refusal::Check(
                    Condition::InsufficientRegistrationResources.into(),
                ));
            }
            (None, key) => self.registrations.push(Registration {
                port: port.clone(),
                key,
            }),
        }
        self.count();
        Ok(Effects::default())
    }

    /// The reservation ends with its only holder's registration (SPC-4 5.13, unregistering).
    fn unregister(&mut self, port: &InitiatorPort) -> Effects {
        let held = self.held.clone().filter(|_| self.holds(port));
        self.registrations.retain(|known| known.port != *port);
        self.count();
        match held {
            Some(held) if !held.kind.held_by_all() || self.registrations.is_empty() => {
                self.held = None;
                self.released(held.kind, port)
            }
            _ => Effects::default(),
        }
    }

    /// RESERVE. "… shall not be considered an error" if the holder asks for what it has.
    pub(super) fn reserve(&mut self, port: &InitiatorPort, key: u64, kind: Kind) -> Change {
        self.authorize(port, key)?;
        match &self.held {
            None => {
                self.held = Some(Held {
                    holder: port.clone(),
                    kind,
                })
            }
            Some(held) if held.kind == kind && self.holds(port) => {}
            Some(_) => return Err(Refusal::Conflict),
        }
        Ok(Effects::default())
    }

    /// RELEASE. No error where the port holds nothing.
    pub(super) fn release(&mut self, port: &InitiatorPort, key: u64, kind: Option<Kind>) -> Change {
        self.authorize(port, key)?;
        let Some(held) = self.held.clone().filter(|_| self.holds(port)) else {
            return Ok(Effects::default());
        };
        if kind != Some(held.kind) {
            return Err(Refusal::Check(Condition::InvalidRelease.into()));
        }
        self.held = None;
        Ok(self.released(held.kind, port))
    }

    /// CLEAR: neither reservation nor registrations remain.
    pub(super) fn clear(&mut self, port: &InitiatorPort, key: u64) -> Change {
        self.authorize(port, key)?;
        let attentions = self.others(port, Condition::ReservationsPreempted);
        self.registrations.clear();
        self.held = None;
        self.count();
        Ok(Effects {
            attentions,
            preempted: Vec::new(),
        })
    }

    /// PREEMPT (SPC-4 5.13): removes the registrations under `victim`; takes the reservation
    /// over when `victim` is its holder's key, or zero where all registrants hold it. `kind` is
    /// looked at only then.
    pub(super) fn preempt(
        &mut self,
        port: &InitiatorPort,
        key: u64,
        victim: u64,
        kind: Result<Kind, Sense>,
    ) -> Change {
        self.authorize(port, key)?;
        match self.held.clone() {
            Some(held) if held.kind.held_by_all() && victim == 0 => {
                self.take_over(port, &held, kind, |_| true)
            }
            Some(held) if !held.kind.held_by_all() && self.key(&held.holder) == Some(victim) => {
                self.take_over(port, &held, kind, |known| known.key == victim)
            }
            // "SERVICE ACTION RESERVATION KEY field set to zero": bytes 8 to 15 of the list.
            _ if victim == 0 => Err(Refusal::Check(Sense::parameter_field(8))),
            _ => self.remove(port, victim),
        }
    }

    fn take_over(
        &mut self,
        port: &InitiatorPort,
        old: &Held,
        kind: Result<Kind, Sense>,
        falls: impl Fn(&Registration) -> bool,
    ) -> Change {
        let kind = kind.map_err(Refusal::Check)?;
        let mut effects = self.strike(|known| known.port != *port && falls(known));
        // SPC-4 5.13: "if the type or scope has changed", those whose registration stays
        // are told.
        if old.kind != kind {
            effects
                .attentions
                .extend(self.others(port, Condition::ReservationsReleased));
        }
        self.held = Some(Held {
            holder: port.clone(),
            kind,
        });
        self.count();
        Ok(effects)
    }

    /// Only registrations fall, the preempting port's own among them if it has that key.
    fn remove(&mut self, port: &InitiatorPort, victim: u64) -> Change {
        if !self.registrations.iter().any(|known| known.key == victim) {
            return Err(Refusal::Conflict);
        }
        let mut effects = self.strike(|known| known.key == victim);
        effects.attentions.retain(|(told, _)| told != port);
        effects.preempted.retain(|lost| lost != port);
        if self.registrations.is_empty() {
            self.held = None;
        }
        self.count();
        Ok(effects)
    }

    fn strike(&mut self, falls: impl Fn(&Registration) -> bool) -> Effects {
        let (fallen, rest) = self.registrations.drain(..).partition(|known| falls(known));
        self.registrations = rest;
        let fallen: Vec<Registration> = fallen;
        let told = |known: &Registration| (known.port.clone(), Condition::RegistrationsPreempted);
        Effects {
            attentions: fallen.iter().map(told).collect(),
            preempted: fallen.into_iter().map(|known| known.port).collect(),
        }
    }

    /// Those who shared a released reservation are told (SPC-4 5.13, releasing).
    fn released(&self, kind: Kind, port: &InitiatorPort) -> Effects {
        let attentions = if kind.shared() {
            self.others(port, Condition::ReservationsReleased)
        } else {
            Vec::new()
        };
        Effects {
            attentions,
            preempted: Vec::new(),
        }
    }

    fn others(
        &self,
        port: &InitiatorPort,
        condition: Condition,
    ) -> Vec<(InitiatorPort, Condition)> {
        let others = self
            .registrations
            .iter()
            .filter(|known| known.port != *port);
        others
            .map(|known| (known.port.clone(), condition))
            .collect()
    }

    fn authorize(&self, port: &InitiatorPort, key: u64) -> Result<(), Refusal> {
        if self.key(port) == Some(key) {
            Ok(())
        } else {
            Err(Refusal::Conflict)
        }
    }

    fn count(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }
}
