//! DATA PLANE: listener, TLS, driver of the protocol machine, reader.
