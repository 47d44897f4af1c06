//! itemlift gets single files back out of VM backups.

pub mod config;
pub mod grant;
pub mod initiator;
pub mod point;
pub mod state_dir;
pub mod target;
pub mod telemetry;
pub mod tunnel;
