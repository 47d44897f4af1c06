//! Why an exchange ended.

/// Why an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// CHAP_A is not a list of numbers.
    #[error("CHAP_A is not a list of algorithm numbers")]
    MalformedList,
    /// No algorithm of the list is allowed here.
    #[error("no CHAP algorithm in common")]
    NoCommonAlgorithm,
    /// A key is missing, unexpected, or there twice.
    #[error("the CHAP keys are not those of this step")]
    WrongKeys,
    /// The initiator did not challenge us: one-way CHAP.
    #[error("the initiator did not ask for mutual CHAP")]
    OneWay,
    /// CHAP_I is not a number from 0 to 255.
    #[error("CHAP_I is not a number from 0 to 255")]
    MalformedIdentifier,
    /// CHAP_C is not one to 1024 bytes in hexadecimal or base64.
    #[error("CHAP_C is not a challenge of 1 to 1024 bytes")]
    MalformedChallenge,
    /// CHAP_R has another length than the algorithm's digest, or is no binary value.
    #[error("CHAP_R is not a response of the algorithm")]
    MalformedResponse,
    /// CHAP_N is empty.
    #[error("CHAP_N is empty")]
    MalformedName,
    /// Our own challenge came back.
    #[error("our own challenge was sent back")]
    Reflected,
    /// Both directions have one secret.
    #[error("the secrets of both directions are the same")]
    SameSecret,
    /// Another user than the credentials are for.
    #[error("the name is not the expected one")]
    WrongName,
    /// The response does not prove the secret.
    #[error("the response is wrong")]
    WrongResponse,
}

impl Error {
    /// Whether the keys or their values are not of the form that the step has (RFC 7143 §9.2), as
    /// opposed to a peer that cannot prove itself or offers what is not allowed here.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        match self {
            Self::MalformedList
            | Self::WrongKeys
            | Self::MalformedIdentifier
            | Self::MalformedChallenge
            | Self::MalformedResponse
            | Self::MalformedName => true,
            Self::NoCommonAlgorithm
            | Self::OneWay
            | Self::Reflected
            | Self::SameSecret
            | Self::WrongName
            | Self::WrongResponse => false,
        }
    }
}
