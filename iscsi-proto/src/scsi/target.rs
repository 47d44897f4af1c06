//! The target: logical units, the nexuses that use them, and the way of a command.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cdb::Cdb;
use super::commands::{self, Command, Found, Run};
use super::condition::Condition;
use super::lun::Lun;
use super::nexus::{InitiatorPort, Nexus};
use super::outcome::{Answer, Outcome};
use super::request::Request;
use super::sense::{Sense, SenseForm};
use super::state::{Device, Shared};
use super::unit::LogicalUnit;

/// Most nexuses, so sessions, of one target at a time: 200 readers of one grant, and room for those
/// that log in anew before their old session is found dead. Bounds the shared state: a nexus is 1 KiB
/// of counters, its names, and up to 40 bytes for each logical unit where a unit attention waits for
/// it (7 for the conditions, 8 for the key, the rest for the tree). With 255 units that is 12 KiB when
/// it begins and 2 KiB once it has looked at each of them; at most 3 MiB for all of a target.
const MAX_NEXUSES: usize = 256;

/// A SCSI target device with one port. Sessions share it; everything takes `&self`.
#[derive(Debug)]
pub struct Target {
    name: String,
    devices: BTreeMap<u8, Device>,
    shared: Mutex<Shared>,
}

/// Two logical units have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("logical unit number {0} is given twice")]
pub struct DuplicateUnit(pub u8);

/// The target has as many nexuses as it can keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the target has {MAX_NEXUSES} sessions already")]
pub struct TooManyNexuses;

impl Target {
    /// A target with the given iSCSI name and logical units.
    ///
    /// # Errors
    /// [`DuplicateUnit`] when a number occurs twice.
    pub fn new(name: &str, units: Vec<LogicalUnit>) -> Result<Self, DuplicateUnit> {
        let mut devices = BTreeMap::new();
        for unit in units {
            let number = unit.number();
            if devices.insert(number, Device::new(unit)).is_some() {
                return Err(DuplicateUnit(number));
            }
        }
        Ok(Self {
            name: name.to_owned(),
            devices,
            shared: Mutex::default(),
        })
    }

    /// The iSCSI name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The logical units, ascending by number.
    pub fn units(&self) -> impl Iterator<Item = &LogicalUnit> {
        self.devices.values().map(|device| &device.unit)
    }

    /// A session begins: the initiator port gets a nexus, whose first command to each logical unit
    /// ends in a unit attention (SAM-5 5.14). A nexus of the same port that is still there is lost.
    ///
    /// # Errors
    /// [`TooManyNexuses`] when there are 256 others.
    pub fn attach(&self, port: InitiatorPort) -> Result<Nexus, TooManyNexuses> {
        let mut shared = self.shared();
        if let Some(old) = shared
            .nexuses
            .values()
            .find(|nexus| *nexus.port() == port)
            .cloned()
        {
            shared.lose(&old, &self.devices);
        }
        if shared.nexuses.len() >= MAX_NEXUSES {
            return Err(TooManyNexuses);
        }
        let nexus = shared.begin(port);
        for device in self.devices.values() {
            let number = device.unit.number();
            shared
                .unit(device)
                .establish(number, &nexus, Condition::PowerOnOrReset);
        }
        Ok(nexus)
    }

    /// The session is gone, by logout or by a lost connection: I_T nexus loss (SAM-5 6.3.4).
    pub fn nexus_lost(&self, nexus: &Nexus) {
        self.shared().lose(nexus, &self.devices);
    }

    /// LOGICAL UNIT RESET (SAM-5 7.7): ends the commands of every nexus (see [`Nexus::aborts`]),
    /// gives up reservations of the RESERVE command, sets the mode parameters back and tells every
    /// nexus. `false`: no such unit.
    pub fn reset_unit(&self, lun: Lun) -> bool {
        let Some(device) = self.device(lun) else {
            return false;
        };
        self.reset_device(device);
        true
    }

    /// TARGET WARM RESET and TARGET COLD RESET (RFC 7143 11.5.1): every logical unit is reset, and every command ends.
    pub fn reset(&self) {
        self.devices
            .values()
            .for_each(|device| self.reset_device(device));
        let is_unit = |number| self.devices.contains_key(&number);
        let shared = self.shared();
        let nexuses = shared.nexuses.values();
        nexuses.for_each(|nexus| nexus.abort_elsewhere(is_unit));
    }

    fn reset_device(&self, device: &Device) {
        device.reset();
        self.shared().reset(device);
    }

    /// CLEAR TASK SET (SAM-5 7.5): ends the commands of every nexus in the unit; the other nexuses
    /// are told. `false`: no such unit.
    pub fn clear_task_set(&self, nexus: &Nexus, lun: Lun) -> bool {
        let Some(device) = self.device(lun) else {
            return false;
        };
        let mut shared = self.shared();
        shared.abort(device, |_| true);
        let others = |other: &Nexus| other.id() != nexus.id();
        shared.attention(device, Condition::CommandsCleared, others);
        true
    }

    /// The form of sense data that this logical unit's D_SENSE bit asks for.
    #[must_use]
    pub fn sense_form(&self, lun: Lun) -> SenseForm {
        self.device(lun)
            .map_or(SenseForm::Fixed, Device::sense_form)
    }

    /// Carries out one command. `data_out` is what the initiator sent for it; give `None` at first,
    /// the outcome says if data is needed. Never blocks on I/O; takes the target's lock only for
    /// commands on shared state, or while a unit attention or reservation stands in the way.
    #[must_use]
    pub fn execute(&self, nexus: &Nexus, lun: Lun, cdb: &Cdb, data_out: Option<&[u8]>) -> Outcome {
        let device = self.device(lun);
        let request = Request {
            target: self,
            nexus,
            lun,
            device,
            cdb,
            data_out,
        };
        self.answer(&request).into()
    }

    /// The checks in the order of precedence of SAM-5 5.3.3, then the command itself.
    fn answer(&self, request: &Request<'_>) -> Answer {
        let command = match (commands::find(request.cdb), request.device) {
            (Found::Command(command), _) => command,
            (_, None) => return Err(Condition::LogicalUnitNotSupported.into()),
            (Found::UnknownOpcode, Some(_)) => return Err(Condition::InvalidOperationCode.into()),
            (Found::UnknownServiceAction, Some(_)) => return Err(Sense::cdb_bit(1, 4)),
        };
        if let Some(answer) = request
            .device
            .and_then(|device| self.gate(request, device, command))
        {
            return answer;
        }
        match (command.run, request.device) {
            (Run::Target(run), _) => command.check(request.cdb).and_then(|()| run(request)),
            (Run::Unit(run), Some(device)) => command
                .check(request.cdb)
                .and_then(|()| run(request, device)),
            (Run::Unit(_), None) => Err(Condition::LogicalUnitNotSupported.into()),
        }
    }

    /// What may stand in the way of a command, whatever it is: a waiting unit attention (SAM-5
    /// 5.14.5), then a reservation of another nexus. Takes the lock only if there is one.
    fn gate(&self, request: &Request<'_>, device: &Device, command: &Command) -> Option<Answer> {
        let nexus = request.nexus;
        let reports = matches!(command.run, Run::Unit(_));
        if reports
            && nexus.has_attention(device.unit.number())
            && let Some(condition) = self.shared().take_attention(device, nexus)
        {
            return Some(Err(condition.into()));
        }
        if device.is_reserved() {
            let conflict = self
                .shared()
                .unit(device)
                .reservations
                .conflict(nexus, command.access(request.cdb));
            if conflict {
                return Some(Ok(Outcome::ReservationConflict));
            }
        }
        None
    }

    pub(super) fn device(&self, lun: Lun) -> Option<&Device> {
        self.devices.get(&lun.number()?)
    }

    /// The shared state. A thread that panicked with the lock leaves nothing half done that a
    /// later command could not live with.
    pub(super) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
