//! One command on its way through the device server.

use bytes::Bytes;

use super::cdb::Cdb;
use super::lun::Lun;
use super::nexus::Nexus;
use super::outcome::Outcome;
use super::state::Device;
use super::target::Target;

/// Everything that a handler may look at.
pub(super) struct Request<'a> {
    pub(super) target: &'a Target,
    pub(super) nexus: &'a Nexus,
    pub(super) lun: Lun,
    pub(super) device: Option<&'a Device>,
    pub(super) cdb: &'a Cdb,
    pub(super) data_out: Option<&'a [u8]>,
}

/// Parameter data cut to the allocation length (SPC-4 4.2.5.6: "The device server shall terminate
/// transfers … when the number of bytes … specified … have been transferred").
pub(super) fn data_in(mut data: Vec<u8>, allocation: usize) -> Outcome {
    data.truncate(allocation);
    Outcome::Data(Bytes::from(data))
}
