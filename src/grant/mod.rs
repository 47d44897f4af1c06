//! GRANTS: their life, credentials, certificates and state database.
