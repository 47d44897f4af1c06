//! The conditions that sense data reports, and their one table of codes.

/// What a CHECK CONDITION reports. The one table of sense key, ASC and ASCQ is [`Condition::codes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Nothing to report.
    NoSense,
    /// The medium has no readable data there.
    UnrecoveredReadError,
    /// A parameter list is cut off, or its length does not fit its content.
    ParameterListLengthError,
    /// No such command.
    InvalidOperationCode,
    /// The range reaches beyond the last block.
    LbaOutOfRange,
    /// A bit or field of the descriptor block.
    InvalidFieldInCdb,
    /// No logical unit has that number.
    LogicalUnitNotSupported,
    /// A bit or field of the parameter list.
    InvalidFieldInParameterList,
    /// PERSISTENT RESERVE OUT released with another scope or type than the reservation's.
    InvalidRelease,
    /// The page has no saved values.
    SavingParametersNotSupported,
    /// There is no room for another registration.
    InsufficientRegistrationResources,
    /// The medium is write protected.
    WriteProtected,
    /// VERIFY found other data on the medium.
    Miscompare,
    /// First command of an initiator port after the target came up.
    PowerOnOrReset,
    /// A LOGICAL UNIT RESET or TARGET RESET was carried out.
    DeviceReset,
    /// Another initiator port changed the mode parameters.
    ModeParametersChanged,
    /// Another initiator port cleared the task set.
    CommandsCleared,
    /// Another initiator port preempted this one's reservation.
    ReservationsPreempted,
    /// Another initiator port released the reservation.
    ReservationsReleased,
    /// Another initiator port removed this one's registration.
    RegistrationsPreempted,
    /// Data of the initiator did not match its digest on the way.
    ProtocolCrcError,
    /// Data of the initiator came that was not asked for (RFC 7143 §11.4.7.2).
    UnexpectedUnsolicitedData,
    /// Data of the initiator was more or less than was asked for (RFC 7143 §11.4.7.2).
    IncorrectAmountOfData,
    /// Data of the initiator was for another place than was asked for.
    DataPhaseError,
}

impl Condition {
    /// Sense key, additional sense code, additional sense code qualifier (SPC-4 4.5, the
    /// tables of sense keys and of additional sense codes).
    #[must_use]
    pub const fn codes(self) -> (u8, u8, u8) {
        match self {
            Self::NoSense => (0x0, 0x00, 0x00),
            Self::UnrecoveredReadError => (0x3, 0x11, 0x00),
            Self::ParameterListLengthError => (0x5, 0x1A, 0x00),
            Self::InvalidOperationCode => (0x5, 0x20, 0x00),
            Self::LbaOutOfRange => (0x5, 0x21, 0x00),
            Self::InvalidFieldInCdb => (0x5, 0x24, 0x00),
            Self::LogicalUnitNotSupported => (0x5, 0x25, 0x00),
            Self::InvalidFieldInParameterList => (0x5, 0x26, 0x00),
            Self::InvalidRelease => (0x5, 0x26, 0x04),
            Self::SavingParametersNotSupported => (0x5, 0x39, 0x00),
            Self::InsufficientRegistrationResources => (0x5, 0x55, 0x04),
            Self::PowerOnOrReset => (0x6, 0x29, 0x00),
            Self::DeviceReset => (0x6, 0x29, 0x03),
            Self::ModeParametersChanged => (0x6, 0x2A, 0x01),
            Self::ReservationsPreempted => (0x6, 0x2A, 0x03),
            Self::ReservationsReleased => (0x6, 0x2A, 0x04),
            Self::RegistrationsPreempted => (0x6, 0x2A, 0x05),
            Self::CommandsCleared => (0x6, 0x2F, 0x00),
            Self::WriteProtected => (0x7, 0x27, 0x00),
            Self::UnexpectedUnsolicitedData => (0xB, 0x0C, 0x0C),
            Self::IncorrectAmountOfData => (0xB, 0x0C, 0x0D),
            Self::ProtocolCrcError => (0xB, 0x47, 0x05),
            Self::DataPhaseError => (0xB, 0x4B, 0x00),
            Self::Miscompare => (0xE, 0x1D, 0x00),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names and numbers of SPC-4's tables.
    #[test]
    fn codes_are_those_of_the_standard() {
        let table = [
            (Condition::NoSense, 0x0, 0x0000),
            (Condition::UnrecoveredReadError, 0x3, 0x1100),
            (Condition::ParameterListLengthError, 0x5, 0x1A00),
            (Condition::InvalidOperationCode, 0x5, 0x2000),
            (Condition::LbaOutOfRange, 0x5, 0x2100),
            (Condition::InvalidFieldInCdb, 0x5, 0x2400),
            (Condition::LogicalUnitNotSupported, 0x5, 0x2500),
            (Condition::InvalidFieldInParameterList, 0x5, 0x2600),
            (Condition::InvalidRelease, 0x5, 0x2604),
            (Condition::SavingParametersNotSupported, 0x5, 0x3900),
            (Condition::InsufficientRegistrationResources, 0x5, 0x5504),
            (Condition::PowerOnOrReset, 0x6, 0x2900),
            (Condition::DeviceReset, 0x6, 0x2903),
            (Condition::ModeParametersChanged, 0x6, 0x2A01),
            (Condition::ReservationsPreempted, 0x6, 0x2A03),
            (Condition::ReservationsReleased, 0x6, 0x2A04),
            (Condition::RegistrationsPreempted, 0x6, 0x2A05),
            (Condition::CommandsCleared, 0x6, 0x2F00),
            (Condition::WriteProtected, 0x7, 0x2700),
            (Condition::UnexpectedUnsolicitedData, 0xB, 0x0C0C),
            (Condition::IncorrectAmountOfData, 0xB, 0x0C0D),
            (Condition::ProtocolCrcError, 0xB, 0x4705),
            (Condition::DataPhaseError, 0xB, 0x4B00),
            (Condition::Miscompare, 0xE, 0x1D00),
        ];
        for (condition, key, code) in table {
            let [additional, qualifier] = u16::to_be_bytes(code);
            assert_eq!(condition.codes(), (key, additional, qualifier));
        }
    }
}
