//! What login has settled for the session.

use super::keys::KEYS;
use crate::digest::Digests;

/// Results of negotiation that something depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// Both directions.
    pub(crate) digests: Digests,
    /// Bytes. Longest data segment that the initiator takes.
    pub(crate) max_send_data_segment: u32,
    /// Bytes. Longest sequence of Data-In, or of Data-Out after one R2T.
    pub(crate) max_burst: u32,
    /// Seconds before another login, told at logout.
    pub(crate) time2wait: u32,
}

impl Default for Parameters {
    /// The defaults of the table of keys.
    fn default() -> Self {
        let mut parameters = Self {
            digests: Digests::default(),
            max_send_data_segment: 0,
            max_burst: 0,
            time2wait: 0,
        };
        for key in &KEYS {
            (key.store)(&mut parameters, key.default);
        }
        parameters
    }
}
