//! The one table of text keys (RFC 7143 §13): how each is negotiated, its default, where it may be.

use super::parameters::Parameters;

/// One key.
pub(crate) struct Key {
    /// As on the wire.
    pub(crate) name: &'static str,
    /// When the initiator may send it.
    pub(crate) allowed: Allowed,
    /// How the result comes about.
    pub(crate) rule: Rule,
    /// Whether a discovery session has a use for it; else the answer is `Irrelevant`.
    pub(crate) discovery: bool,
    /// Keeps the result, where anything depends on it.
    pub(crate) store: fn(&mut Parameters, u32),
    /// The result when nobody mentions the key.
    pub(crate) default: u32,
}

/// When an initiator may send a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Security stage only.
    Security,
    /// Any stage of login, also again.
    Login,
    /// Operational stage only.
    Operational,
    /// Operational stage and full feature phase.
    OperationalAndLater,
    /// Full feature phase only.
    FullFeature,
    /// Never: the target's to send.
    Never,
}

/// How a value is negotiated (RFC 7143 §6.2). A boolean result is 0 or 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// Handled by authentication.
    Chap,
    /// The initiator says who it is or what it wants; no answer.
    Names(Name),
    /// The first of the initiator's list that we know; the result is its place in ours.
    List(&'static [&'static str]),
    /// Yes if both say so; this is ours.
    And(bool),
    /// Yes if one says so; this is ours.
    Or(bool),
    /// The smaller number of the range; the last is ours.
    Min(u32, u32, u32),
    /// The same, and no more than MaxBurstLength (RFC 7143 §13.14).
    MinOfBurst(u32, u32, u32),
    /// The larger number of the range; the last is ours.
    Max(u32, u32, u32),
    /// The initiator's number of the range stands; we declare ours.
    Declare(u32, u32, u32),
    /// SendTargets.
    SendTargets,
    /// Always answered with `Reject`.
    Obsolete,
}

/// Declarations that are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Initiator,
    Target,
    SessionType,
    /// Free text, taken and not used.
    Alias,
}

/// The key of this name; case matters (RFC 7143 §6.1).
pub(crate) fn find(name: &str) -> Option<(usize, &'static Key)> {
    KEYS.iter().enumerate().find(|(_, key)| key.name == name)
}

const fn chap(name: &'static str) -> Key {
    Key {
        allowed: Allowed::Security,
        discovery: true,
        ..key(name, Rule::Chap, 0)
    }
}

const fn names(name: &'static str, which: Name) -> Key {
    Key {
        allowed: Allowed::Login,
        discovery: true,
        ..key(name, Rule::Names(which), 0)
    }
}

const fn targets_own(name: &'static str) -> Key {
    Key {
        allowed: Allowed::Never,
        discovery: true,
        ..key(name, Rule::Obsolete, 0)
    }
}

/// An operational key of normal sessions whose result changes nothing here.
const fn key(name: &'static str, rule: Rule, default: u32) -> Key {
    Key {
        name,
        allowed: Allowed::Operational,
        rule,
        discovery: false,
        store: |_, _| (),
        default,
    }
}

const DIGESTS: Rule = Rule::List(&["None", "CRC32C"]);

/// Bytes. The range of all lengths (RFC 7143 §13.12 to §13.14).
const MIN_LEN: u32 = 512;
const MAX_LEN: u32 = (1 << 24) - 1;
/// Bytes. Ours where the smaller length counts: no limit of our own beside [`crate::limits`].
const LONG_BURST: u32 = MAX_LEN;
/// Bytes. Ours for unsolicited data: none is of use to us, and InitialR2T forbids it.
const FIRST_BURST: u32 = 65_536;

/// Every key of RFC 7143 §13 but the extensions (X), and those of §12 that CHAP has. What is not here is
/// answered with `NotUnderstood`.
pub(crate) static KEYS: [Key; 34] = [
    chap("AuthMethod"),
    chap("CHAP_A"),
    chap("CHAP_I"),
    chap("CHAP_C"),
    chap("CHAP_N"),
    chap("CHAP_R"),
    names("InitiatorName", Name::Initiator),
    names("TargetName", Name::Target),
    names("SessionType", Name::SessionType),
    names("InitiatorAlias", Name::Alias),
    targets_own("TargetAlias"),
    targets_own("TargetAddress"),
    targets_own("TargetPortalGroupTag"),
    Key {
        allowed: Allowed::FullFeature,
        discovery: true,
        ..key("SendTargets", Rule::SendTargets, 0)
    },
    Key {
        discovery: true,
        store: |parameters, chosen| parameters.digests.header = chosen == 1,
        ..key("HeaderDigest", DIGESTS, 0)
    },
    Key {
        discovery: true,
        store: |parameters, chosen| parameters.digests.data = chosen == 1,
        ..key("DataDigest", DIGESTS, 0)
    },
    Key {
        allowed: Allowed::OperationalAndLater,
        discovery: true,
        store: |parameters, length| parameters.max_send_data_segment = length,
        ..key(
            "MaxRecvDataSegmentLength",
            Rule::Declare(MIN_LEN, MAX_LEN, crate::limits::MAX_RECV_DATA_SEGMENT),
            8192,
        )
    },
    Key {
        store: |parameters, length| parameters.max_burst = length,
        ..key(
            "MaxBurstLength",
            Rule::Min(MIN_LEN, MAX_LEN, LONG_BURST),
            262_144,
        )
    },
    key(
        "FirstBurstLength",
        Rule::MinOfBurst(MIN_LEN, MAX_LEN, FIRST_BURST),
        65_536,
    ),
    key("MaxConnections", Rule::Min(1, 65_535, 1), 1),
    key("InitialR2T", Rule::Or(true), 1),
    key("ImmediateData", Rule::And(false), 1),
    key("MaxOutstandingR2T", Rule::Min(1, 65_535, 1), 1),
    key("DataPDUInOrder", Rule::Or(true), 1),
    key("DataSequenceInOrder", Rule::Or(true), 1),
    Key {
        discovery: true,
        ..key("ErrorRecoveryLevel", Rule::Min(0, 2, 0), 0)
    },
    Key {
        discovery: true,
        store: |parameters, seconds| parameters.time2wait = seconds,
        ..key("DefaultTime2Wait", Rule::Max(0, 3600, 2), 2)
    },
    // At error recovery level 0 nothing is retained.
    Key {
        discovery: true,
        ..key("DefaultTime2Retain", Rule::Min(0, 3600, 0), 20)
    },
    key("TaskReporting", Rule::List(&["RFC3720"]), 0),
    key("iSCSIProtocolLevel", Rule::Min(0, 31, 1), 1),
    // RFC 7143 §13.25: `No` to these two ...
    Key {
        discovery: true,
        ..key("IFMarker", Rule::And(false), 0)
    },
    Key {
        discovery: true,
        ..key("OFMarker", Rule::And(false), 0)
    },
    // ... and `Reject` to these.
    Key {
        discovery: true,
        ..key("IFMarkInt", Rule::Obsolete, 0)
    },
    Key {
        discovery: true,
        ..key("OFMarkInt", Rule::Obsolete, 0)
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_case_counts() {
        for (at, key) in KEYS.iter().enumerate() {
            assert_eq!(find(key.name).map(|(found, _)| found), Some(at));
        }
        assert!(find("SendTargets").is_some());
        assert!(find("sENDtARGETS").is_none());
        assert!(find("X-com.example").is_none());
    }

    /// RFC 7143 §13.1 to §13.20 as literals.
    #[test]
    fn defaults_of_the_standard() {
        let default = |name| find(name).map(|(_, key)| key.default);
        assert_eq!(default("MaxRecvDataSegmentLength"), Some(8192));
        assert_eq!(default("MaxBurstLength"), Some(262_144));
        assert_eq!(default("FirstBurstLength"), Some(65_536));
        assert_eq!(default("DefaultTime2Wait"), Some(2));
        assert_eq!(default("DefaultTime2Retain"), Some(20));
        assert_eq!(default("InitialR2T"), Some(1));
        assert_eq!(default("ImmediateData"), Some(1));
        assert_eq!(default("ErrorRecoveryLevel"), Some(0));
        assert_eq!(default("HeaderDigest"), Some(0));
    }
}
