//! Turns a mount plan into a sealed, signed mount script.
//!
//! The crate is a pure function from [`Plan`], [`Secrets`], [`Password`] and random bytes to the text of a script; it
//! opens no file, asks no clock and runs nothing. The way of a script through the modules:
//!
//! ```text
//! Plan ──► plan (checked) ──► linux: header + Python modules + plan ──► sign: CMS block ──► Script
//! Secrets + Password ──► seal ────────────┘                                        │
//!                                        verify ◄── a script that came back ◄──────┘
//! ```
//!
//! The Python lives as ordinary modules in `linux/`; [`linux_script`] puts them together into one file.
#![forbid(unsafe_code)]

mod certificate;
mod civil_time;
mod cms;
mod der;
mod linux;
mod password;
mod plan;
mod portal;
mod quote;
mod seal;
mod sign;
mod verify;

pub use linux::{Script, ScriptError, linux_script};
pub use password::{Password, PasswordError};
pub use plan::{Plan, PlanDisk, PlanError, PlanNotServed};
pub use seal::{Randomness, Secrets};
pub use sign::{KeyError, SignError, SignFn, Signer};
pub use verify::{ScriptInfo, VerifyError, verify, verify_command};
