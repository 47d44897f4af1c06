//! I_T nexuses: who sends commands, and the unit attentions that wait for each of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::condition::Condition;
use super::lun::Lun;

/// The initiator port of a session (RFC 7143 §4.4.2: the initiator's name and the ISID).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InitiatorPort {
    /// iSCSI name of the initiator.
    pub name: String,
    /// Initiator part of the session identifier.
    pub isid: [u8; 6],
}

impl InitiatorPort {
    /// The port name of RFC 7143 §4.4.2: `NAME,i,0xISID`, twelve hexadecimal digits.
    pub(super) fn port_name(&self) -> String {
        let isid: String = self.isid.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{},i,0x{isid}", self.name)
    }
}

/// One initiator port's relation to one target, from login to nexus loss. A session keeps it and
/// names itself by it in each command. Clones stand for the same nexus.
#[derive(Clone, Debug)]
pub struct Nexus(Arc<Relation>);

#[derive(Debug)]
struct Relation {
    id: u64,
    port: InitiatorPort,
    /// Bit n: a unit attention waits in logical unit n. Lets a read pass without the lock.
    waiting: [AtomicU64; 4],
    /// How often the commands of this nexus to each number were ended; the last one is for what is no number.
    aborts: [AtomicU32; 257],
}

impl Nexus {
    pub(super) fn new(id: u64, port: InitiatorPort) -> Self {
        let (waiting, aborts) = (Default::default(), [const { AtomicU32::new(0) }; 257]);
        Self(Arc::new(Relation {
            id,
            port,
            waiting,
            aborts,
        }))
    }

    /// Number of this nexus, never used again within the target.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The initiator's end.
    #[must_use]
    pub fn port(&self) -> &InitiatorPort {
        &self.0.port
    }

    /// Counts how often the commands that this nexus has in a logical unit were all ended, by a
    /// reset, CLEAR TASK SET or PREEMPT AND ABORT of any nexus. A command is to be dropped without
    /// an answer (TAS is zero) when the count is no longer what it was when the command came.
    #[must_use]
    pub fn aborts(&self, lun: Lun) -> u32 {
        let [numbers @ .., others] = &self.0.aborts;
        let counter = lun
            .number()
            .and_then(|number| numbers.get(usize::from(number)));
        counter.unwrap_or(others).load(Ordering::Acquire)
    }

    pub(super) fn abort(&self, number: u8) {
        if let Some(counter) = self.0.aborts.get(usize::from(number)) {
            counter.fetch_add(1, Ordering::Release);
        }
    }

    /// Ends the commands to all that is no logical unit: INQUIRY, REPORT LUNS and REQUEST SENSE are answered there.
    pub(super) fn abort_elsewhere(&self, is_unit: impl Fn(u8) -> bool) {
        for (number, counter) in self.0.aborts.iter().enumerate() {
            if !u8::try_from(number).is_ok_and(&is_unit) {
                counter.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Whether a unit attention waits in logical unit `number`.
    pub(super) fn has_attention(&self, number: u8) -> bool {
        self.word(number)
            .is_some_and(|word| word.load(Ordering::Acquire) & bit(number) != 0)
    }

    pub(super) fn mark_attention(&self, number: u8, waits: bool) {
        if let Some(word) = self.word(number) {
            if waits {
                word.fetch_or(bit(number), Ordering::Release);
            } else {
                word.fetch_and(!bit(number), Ordering::Release);
            }
        }
    }

    fn word(&self, number: u8) -> Option<&AtomicU64> {
        self.0.waiting.get(usize::from(number / 64))
    }
}

const fn bit(number: u8) -> u64 {
    1 << (number % 64)
}

/// Most unit attentions that wait for one nexus in one logical unit: the seven conditions there are.
const MAX_ATTENTIONS: usize = 7;

/// The unit attentions of one nexus in one logical unit, oldest first, then nothing. Each condition
/// waits at most once (SAM-5 5.14), so there is room for all of them, in as many bytes.
#[derive(Debug, Default)]
pub(super) struct Attentions([Option<Condition>; MAX_ATTENTIONS]);

impl Attentions {
    /// A reset takes the place of everything that happened before it.
    pub(super) fn push(&mut self, condition: Condition) {
        if matches!(
            condition,
            Condition::PowerOnOrReset | Condition::DeviceReset
        ) {
            self.0 = Default::default();
        }
        if self.0.contains(&Some(condition)) {
            return;
        }
        if let Some(free) = self.0.iter_mut().find(|place| place.is_none()) {
            *free = Some(condition);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Condition> {
        let [oldest, ..] = &mut self.0;
        let oldest = oldest.take();
        self.0.rotate_left(1);
        oldest
    }

    pub(super) fn is_empty(&self) -> bool {
        let [oldest, ..] = &self.0;
        oldest.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port() -> InitiatorPort {
        let isid = [0x40, 0x00, 0x01, 0x37, 0x00, 0x0A];
        InitiatorPort {
            name: "iqn.1993-08.org.debian:01:abc".into(),
            isid,
        }
    }

    #[test]
    fn a_port_name_has_the_isid_in_hexadecimal() {
        assert_eq!(
            port().port_name(),
            "iqn.1993-08.org.debian:01:abc,i,0x40000137000a"
        );
    }

    #[test]
    fn each_unit_has_its_own_mark() {
        let nexus = Nexus::new(1, port());
        for number in [0, 63, 64, 255] {
            nexus.mark_attention(number, true);
        }
        let marked: Vec<u8> = (0..=255)
            .filter(|number| nexus.has_attention(*number))
            .collect();
        assert_eq!(marked, [0, 63, 64, 255]);
        nexus.mark_attention(64, false);
        assert!(!nexus.has_attention(64) && nexus.has_attention(63));
    }

    #[test]
    fn a_condition_waits_once_and_a_reset_outranks() {
        let mut attentions = Attentions::default();
        attentions.push(Condition::ModeParametersChanged);
        attentions.push(Condition::ReservationsReleased);
        attentions.push(Condition::ModeParametersChanged);
        assert_eq!(attentions.pop(), Some(Condition::ModeParametersChanged));
        attentions.push(Condition::DeviceReset);
        assert_eq!(attentions.pop(), Some(Condition::DeviceReset));
        assert!(attentions.is_empty());
    }

    #[test]
    fn there_is_room_for_every_condition_in_a_byte_each() {
        let conditions = [
            Condition::PowerOnOrReset,
            Condition::ModeParametersChanged,
            Condition::CommandsCleared,
            Condition::ReservationsPreempted,
            Condition::ReservationsReleased,
            Condition::RegistrationsPreempted,
        ];
        let mut attentions = Attentions::default();
        for condition in conditions.iter().chain(&conditions[1..]) {
            attentions.push(*condition);
        }
        for condition in conditions {
            assert_eq!(attentions.pop(), Some(condition));
        }
        assert_eq!(attentions.pop(), None);
        assert_eq!(size_of::<Attentions>(), 7);
    }
}
