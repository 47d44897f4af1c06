//! RFC 7143 and SCSI for a read-only target, as a machine without I/O.
#![forbid(unsafe_code)]
