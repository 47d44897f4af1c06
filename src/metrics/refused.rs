//! Why a connection got no further than the door.

/// A connection was turned away, or its TLS handshake came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Refused {
    /// Too many connections.
    Connections,
    /// Too many of one address.
    Address,
    /// Too many that have not logged in.
    Strangers,
    /// Too many of one address that have not logged in.
    AddressStrangers,
    /// Let in, and sent away for a newer one.
    MadeRoom,
    /// The TLS handshake took too long.
    TlsSlow,
    /// No version or cipher suite in common.
    TlsIncompatible,
    /// No ALPN protocol in common.
    TlsAlpn,
    /// No client certificate.
    TlsNoCertificate,
    /// A certificate of a grant that was revoked.
    TlsRevoked,
    /// A certificate of a grant that has expired.
    TlsExpired,
    /// A stranger's certificate.
    TlsUnknownIssuer,
    /// A certificate that cannot be read, or without the key to it.
    TlsBadCertificate,
    /// The client refused us.
    TlsAlert,
    /// What came is no TLS, or breaks its rules.
    TlsBroken,
    /// The client went away.
    TlsLost,
}

impl Refused {
    /// All reasons, by their number.
    pub(super) const ALL: [Self; 16] = [
        Self::Connections,
        Self::Address,
        Self::Strangers,
        Self::AddressStrangers,
        Self::MadeRoom,
        Self::TlsSlow,
        Self::TlsIncompatible,
        Self::TlsAlpn,
        Self::TlsNoCertificate,
        Self::TlsRevoked,
        Self::TlsExpired,
        Self::TlsUnknownIssuer,
        Self::TlsBadCertificate,
        Self::TlsAlert,
        Self::TlsBroken,
        Self::TlsLost,
    ];

    /// For people: where, and why.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Connections => ("admission", "connections"),
            Self::Address => ("admission", "connections of an address"),
            Self::Strangers => ("admission", "strangers"),
            Self::AddressStrangers => ("admission", "strangers of an address"),
            Self::MadeRoom => ("admission", "made room for another"),
            Self::TlsSlow => ("TLS", "too slow"),
            Self::TlsIncompatible => ("TLS", "no common version or cipher suite"),
            Self::TlsAlpn => ("TLS", "no common ALPN protocol"),
            Self::TlsNoCertificate => ("TLS", "no certificate"),
            Self::TlsRevoked => ("TLS", "certificate revoked"),
            Self::TlsExpired => ("TLS", "certificate expired"),
            Self::TlsUnknownIssuer => ("TLS", "unknown CA"),
            Self::TlsBadCertificate => ("TLS", "bad certificate"),
            Self::TlsAlert => ("TLS", "alert by the client"),
            Self::TlsBroken => ("TLS", "broken"),
            Self::TlsLost => ("TLS", "connection lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_number_and_its_name() {
        for (number, refused) in Refused::ALL.into_iter().enumerate() {
            assert_eq!(refused as usize, number);
            let same = Refused::ALL
                .into_iter()
                .filter(|other| other.names() == refused.names());
            assert_eq!(same.count(), 1, "{refused:?}");
        }
    }
}
