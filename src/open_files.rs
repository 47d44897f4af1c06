//! The system's limit on open files of this process.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one and tells the limit now in effect; [`u64::MAX`] if there is none.
///
/// Shells and service managers start programs with 1024, for the sake of select(2), which nothing here uses.
///
/// # Errors
/// The system does not let us; the limit is what it was.
pub fn raise_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                ..limit
            },
        )?;
    }
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
