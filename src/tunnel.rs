//! `itemlift tunnel`: listens on loopback, carries iSCSI to the server over TLS.
