//! itemlift gets single files back out of VM backups.
//!
//! An operator asks for a *grant* to read one *recovery point* of one VM. The answer is a signed, sealed mount script (or a
//! bundle for initiators of one's own). Through it, a recovery machine logs in over TLS and mutual CHAP to a read-only
//! iSCSI target that is the recovery point, until the grant ends.
//!
//! # The map
//!
//! Three crates are machines without I/O: [`iscsi_proto`] (RFC 7143 and SCSI), [`chap`] (CHAP, both roles) and
//! [`recovery_mount`] (a plan in, a script out). They have no sockets, files, clock or randomness of their own.
//! [`disk_image`] reads image files as the disks that they hold, and knows files only by an interface. This crate is
//! everything else that touches the world:
//!
//! - [`point`]: what the sources hold, opened as [`disk_image::Disk`]s. Synchronous; knows nothing of the rest.
//! - [`grant`]: who may read which recovery point, until when. Keeps all grants in memory and in the state database;
//!   its authority issues certificates and signs scripts. Knows nothing of points, API or data plane.
//! - [`target`], the data plane: from the listening socket to the disk and back. It feeds bytes to
//!   [`iscsi_proto::Connection`], does the reads that this asks for, and asks [`grant`] at each handshake and login.
//! - [`api`], the control plane: the HTTPS API, one resource a file. It comes in by the same listeners, as a router that
//!   [`target`] is handed and does not know; it is never on the path of a read.
//! - [`server`] puts these together as [`config`] says, in the [`state_dir`] that [`init`] made.
//! - [`cli`]: the `itemlift` command, one file for each subcommand. What concerns grants it asks of the API.
//! - [`verify`] reads everything of a recovery point and tells what is damaged. Asked by [`api`], beside the data plane.
//! - [`tunnel`]: the client end, for initiators that do not speak TLS.
//! - [`demo`] proves the whole path on one machine, with [`initiator`] as its client. The tests use that one, too.
//! - [`mod@bench`] is a load of many sessions, to measure a server with.
//! - [`telemetry`] is for logs, [`metrics`] for Prometheus, [`interrupt`] for the signals that end a program, [`open_files`] for
//!   the system's limit on them.
//!
//! # The path of one read
//!
//! ```text
//!  TCP/TLS ──► target/driver ──► iscsi-proto: framing ─► pdu ─► connection ─► session ─► scsi
//!                   ▲                                                            │ read of a byte range of one LUN
//!                   │                                                            ▼
//!                   │                                  target/reader ──► disk_image::Disk::read_at ──► raw | qcow2 | …
//!                   │                                        │ read_done(id, bytes)
//!                   └── transmit ◄── session/data_in ◄───────┘
//! ```
//!
//! Only the driver and the reader are asynchronous. What is in the page cache is read in place; what is not, on a thread
//! that may block. The README lists the limits, and the invariants with the tests that hold them.

pub mod api;
pub mod bench;
pub mod cli;
pub mod config;
pub mod demo;
pub mod grant;
pub mod init;
pub mod initiator;
pub mod interrupt;
pub mod metrics;
pub mod open_files;
pub mod point;
pub mod server;
pub mod state_dir;
pub mod target;
pub mod telemetry;
pub mod tunnel;
pub mod verify;
