//! The initiator side of iSCSI, as far as the demo and the tests need it.
