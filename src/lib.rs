//! itemlift gets single files back out of VM backups.

pub mod api;
pub mod cli;
pub mod config;
pub mod demo;
pub mod grant;
pub mod init;
pub mod initiator;
pub mod interrupt;
pub mod point;
pub mod server;
pub mod state_dir;
pub mod target;
pub mod telemetry;
pub mod tunnel;
