//! CHAP as iSCSI uses it, both roles, without I/O.
#![forbid(unsafe_code)]
