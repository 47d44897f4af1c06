//! What the sessions of one target share about its logical units.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::condition::Condition;
use super::nexus::{Attentions, InitiatorPort, Nexus};
use super::registrations::Effects;
use super::reservation::Reservations;
use super::sense::SenseForm;
use super::unit::LogicalUnit;
use crate::blocks::BlockCount;

/// A logical unit and those of its states that every command looks at, without a lock.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) unit: LogicalUnit,
    /// D_SENSE of the control mode page.
    descriptor_sense: AtomicBool,
    /// SWP of the control mode page.
    software_protection: AtomicBool,
    /// A reservation stands; only then is the lock taken to see whose.
    reserved: AtomicBool,
}

impl Device {
    pub(super) fn new(unit: LogicalUnit) -> Self {
        let descriptor_sense = AtomicBool::new(Self::default_form(&unit) == SenseForm::Descriptor);
        let software_protection = AtomicBool::new(false);
        let reserved = AtomicBool::new(false);
        Self {
            unit,
            descriptor_sense,
            software_protection,
            reserved,
        }
    }

    /// Only descriptors can hold an address above 32 bits, so a medium that has such addresses
    /// comes up with them.
    pub(super) fn default_form(unit: &LogicalUnit) -> SenseForm {
        if unit.geometry().blocks() > BlockCount(1 << 32) {
            SenseForm::Descriptor
        } else {
            SenseForm::Fixed
        }
    }

    /// Whether an initiator set SWP. The medium is protected anyway.
    pub(super) fn software_protection(&self) -> bool {
        self.software_protection.load(Ordering::Relaxed)
    }

    pub(super) fn set_modes(&self, descriptor_sense: bool, software_protection: bool) {
        self.descriptor_sense
            .store(descriptor_sense, Ordering::Relaxed);
        self.software_protection
            .store(software_protection, Ordering::Relaxed);
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.reserved.load(Ordering::Acquire)
    }

    pub(super) fn mark_reserved(&self, stands: bool) {
        self.reserved.store(stands, Ordering::Release);
    }

    /// Mode parameters as they came up.
    pub(super) fn reset(&self) {
        let descriptor = Self::default_form(&self.unit) == SenseForm::Descriptor;
        self.descriptor_sense.store(descriptor, Ordering::Relaxed);
        self.software_protection.store(false, Ordering::Relaxed);
    }

    pub(super) fn sense_form(&self) -> SenseForm {
        if self.descriptor_sense.load(Ordering::Relaxed) {
            SenseForm::Descriptor
        } else {
            SenseForm::Fixed
        }
    }
}

/// Everything that changes, behind the target's lock.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) nexuses: BTreeMap<u64, Nexus>,
    last_nexus: u64,
    units: BTreeMap<u8, UnitState>,
}

/// The shared state of one logical unit.
#[derive(Debug, Default)]
pub(super) struct UnitState {
    attentions: BTreeMap<u64, Attentions>,
    pub(super) reservations: Reservations,
}

impl UnitState {
    /// A unit attention for one nexus in logical unit `number`, which this is the state of.
    pub(super) fn establish(&mut self, number: u8, nexus: &Nexus, condition: Condition) {
        self.attentions
            .entry(nexus.id())
            .or_default()
            .push(condition);
        nexus.mark_attention(number, true);
    }
}

impl Shared {
    pub(super) fn unit(&mut self, device: &Device) -> &mut UnitState {
        self.units.entry(device.unit.number()).or_default()
    }

    /// Makes a nexus with a number of its own.
    pub(super) fn begin(&mut self, port: InitiatorPort) -> Nexus {
        self.last_nexus += 1;
        let nexus = Nexus::new(self.last_nexus, port);
        self.nexuses.insert(nexus.id(), nexus.clone());
        nexus
    }

    /// Forgets a nexus that is gone. RESERVE ends with it, persistent reservations do not.
    pub(super) fn lose(&mut self, nexus: &Nexus, devices: &BTreeMap<u8, Device>) {
        self.nexuses.remove(&nexus.id());
        for device in devices.values() {
            let state = self.unit(device);
            state.attentions.remove(&nexus.id());
            if state.reservations.reserved_by == Some(nexus.id()) {
                state.reservations.reserved_by = None;
            }
            device.mark_reserved(state.reservations.stand());
        }
    }

    /// Establishes a unit attention for every nexus that `which` picks.
    pub(super) fn attention(
        &mut self,
        device: &Device,
        condition: Condition,
        which: impl Fn(&Nexus) -> bool,
    ) {
        let number = device.unit.number();
        let state = self.units.entry(number).or_default();
        for nexus in self.nexuses.values().filter(|nexus| which(nexus)) {
            state.establish(number, nexus, condition);
        }
    }

    /// Takes the oldest unit attention of a nexus.
    pub(super) fn take_attention(&mut self, device: &Device, nexus: &Nexus) -> Option<Condition> {
        let attentions = &mut self.unit(device).attentions;
        let waiting = attentions.get_mut(&nexus.id())?;
        let condition = waiting.pop();
        if waiting.is_empty() {
            attentions.remove(&nexus.id());
            nexus.mark_attention(device.unit.number(), false);
        }
        condition
    }

    /// Ends the commands in one logical unit of every nexus that `which` picks.
    pub(super) fn abort(&self, device: &Device, which: impl Fn(&Nexus) -> bool) {
        for nexus in self.nexuses.values().filter(|nexus| which(nexus)) {
            nexus.abort(device.unit.number());
        }
    }

    /// LOGICAL UNIT RESET, for the state behind the lock.
    pub(super) fn reset(&mut self, device: &Device) {
        let reservations = &mut self.unit(device).reservations;
        reservations.reserved_by = None;
        device.mark_reserved(reservations.stand());
        self.abort(device, |_| true);
        self.attention(device, Condition::DeviceReset, |_| true);
    }

    /// Tells the other nexuses what PERSISTENT RESERVE OUT did to them.
    pub(super) fn tell(&mut self, device: &Device, effects: Effects) {
        self.abort(device, |nexus| effects.preempted.contains(nexus.port()));
        for (port, condition) in effects.attentions {
            self.attention(device, condition, |nexus| *nexus.port() == port);
        }
    }
}
