//! Reservations of one logical unit: persistent ones (SPC-4 5.13) and those of the RESERVE command
//! (SPC-2 5.5).

use super::commands::Access;
use super::nexus::{InitiatorPort, Nexus};

/// The persistent reservation types (SPC-4 6.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    WriteExclusive,
    ExclusiveAccess,
    WriteExclusiveRegistrants,
    ExclusiveAccessRegistrants,
    WriteExclusiveAll,
    ExclusiveAccessAll,
}

impl Kind {
    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0x1 => Some(Self::WriteExclusive),
            0x3 => Some(Self::ExclusiveAccess),
            0x5 => Some(Self::WriteExclusiveRegistrants),
            0x6 => Some(Self::ExclusiveAccessRegistrants),
            0x7 => Some(Self::WriteExclusiveAll),
            0x8 => Some(Self::ExclusiveAccessAll),
            _ => None,
        }
    }

    pub(super) const fn code(self) -> u8 {
        match self {
            Self::WriteExclusive => 0x1,
            Self::ExclusiveAccess => 0x3,
            Self::WriteExclusiveRegistrants => 0x5,
            Self::ExclusiveAccessRegistrants => 0x6,
            Self::WriteExclusiveAll => 0x7,
            Self::ExclusiveAccessAll => 0x8,
        }
    }

    /// Every registered nexus holds the reservation.
    pub(super) const fn held_by_all(self) -> bool {
        matches!(self, Self::WriteExclusiveAll | Self::ExclusiveAccessAll)
    }

    /// Registered nexuses share the access.
    pub(super) const fn shared(self) -> bool {
        !matches!(self, Self::WriteExclusive | Self::ExclusiveAccess)
    }

    /// Others may not even read.
    const fn excludes_reading(self) -> bool {
        matches!(
            self,
            Self::ExclusiveAccess | Self::ExclusiveAccessRegistrants | Self::ExclusiveAccessAll
        )
    }
}

/// A registered initiator port and its reservation key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) port: InitiatorPort,
    pub(super) key: u64,
}

/// A persistent reservation. For the types that all registrants hold, `holder` is who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) holder: InitiatorPort,
    pub(super) kind: Kind,
}

/// All reservations of one logical unit. Nothing is kept through a power loss.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    /// The nexus that sent RESERVE.
    pub(super) reserved_by: Option<u64>,
    /// PRGENERATION: counts changes of registrations.
    pub(super) generation: u32,
    pub(super) registrations: Vec<Registration>,
    pub(super) held: Option<Held>,
}

impl Reservations {
    /// Whether any command of any nexus may have to be refused.
    pub(super) const fn stand(&self) -> bool {
        self.reserved_by.is_some() || self.held.is_some()
    }

    /// The key under which a port is registered.
    pub(super) fn key(&self, port: &InitiatorPort) -> Option<u64> {
        self.registrations
            .iter()
            .find(|known| known.port == *port)
            .map(|known| known.key)
    }

    /// Whether a port holds the persistent reservation.
    pub(super) fn holds(&self, port: &InitiatorPort) -> bool {
        self.held.as_ref().is_some_and(|held| {
            if held.kind.held_by_all() {
                self.key(port).is_some()
            } else {
                held.holder == *port
            }
        })
    }

    /// Whether a command of that nexus conflicts: the tables named at [`Access`].
    pub(super) fn conflict(&self, nexus: &Nexus, access: Access) -> bool {
        if self.reserved_by.is_some_and(|owner| owner != nexus.id()) {
            return access != Access::Always;
        }
        let Some(held) = &self.held else { return false };
        let port = nexus.port();
        if self.holds(port) || (held.kind.shared() && self.key(port).is_some()) {
            return false;
        }
        match access {
            Access::Always | Access::Free => false,
            Access::Reading => held.kind.excludes_reading(),
            Access::Changing | Access::AlwaysIf(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nexus(id: u64) -> Nexus {
        let isid = [0x80, 0, 0, 0, 0, id as u8];
        Nexus::new(
            id,
            InitiatorPort {
                name: "iqn.2026-11.test:host".into(),
                isid,
            },
        )
    }

    fn held(code: u8) -> Reservations {
        let registration = |id, key| Registration {
            port: nexus(id).port().clone(),
            key,
        };
        Reservations {
            registrations: vec![registration(1, 0xA), registration(2, 0xB)],
            held: Some(Held {
                holder: nexus(1).port().clone(),
                kind: Kind::from_code(code).unwrap(),
            }),
            ..Reservations::default()
        }
    }

    /// SPC-4 5.13: type; may a registered nexus read, change; may an unregistered one.
    #[test]
    fn six_types_against_three_nexuses() {
        let table = [
            (0x1, [true, false], [true, false]),
            (0x3, [false, false], [false, false]),
            (0x5, [true, true], [true, false]),
            (0x6, [true, true], [false, false]),
            (0x7, [true, true], [true, false]),
            (0x8, [true, true], [false, false]),
        ];
        for (code, registered, stranger) in table {
            let reservations = held(code);
            let may = |id, access| !reservations.conflict(&nexus(id), access);
            let both = |id| [may(id, Access::Reading), may(id, Access::Changing)];
            assert_eq!(both(1), [true, true], "holder, type {code}");
            assert_eq!(both(2), registered, "registered, type {code}");
            assert_eq!(both(3), stranger, "stranger, type {code}");
            assert!(may(3, Access::Free) && may(3, Access::Always));
        }
    }

    #[test]
    fn all_registrants_hold_types_7_and_8() {
        for (code, second_holds) in [(0x1, false), (0x6, false), (0x7, true), (0x8, true)] {
            assert!(held(code).holds(nexus(1).port()));
            assert_eq!(held(code).holds(nexus(2).port()), second_holds);
            assert!(!held(code).holds(nexus(3).port()));
        }
    }

    #[test]
    fn type_codes_go_both_ways() {
        let known: Vec<u8> = (0..=255)
            .filter(|code| Kind::from_code(*code).is_some())
            .collect();
        assert_eq!(known, [1, 3, 5, 6, 7, 8]);
        for code in known {
            assert_eq!(Kind::from_code(code).map(Kind::code), Some(code));
        }
    }

    #[test]
    fn the_old_reservation_stops_all_but_a_few() {
        let reservations = Reservations {
            reserved_by: Some(1),
            ..Reservations::default()
        };
        assert!(!reservations.conflict(&nexus(1), Access::Changing));
        assert!(reservations.conflict(&nexus(2), Access::Free));
        assert!(!reservations.conflict(&nexus(2), Access::Always));
    }
}
