//! Every limit of the protocol machine: unit and reason.

use std::time::Duration;

/// Bytes. Largest data segment we take: what login uses before anything is negotiated (RFC 7143
/// §13.12). Nothing bigger has to come in: the disks are read-only.
pub const MAX_RECV_DATA_SEGMENT: u32 = 8192;

/// Bytes. Largest data segment we send, whatever the initiator would take. More gains nothing, and one PDU
/// is what a NOP-In may have to wait for.
pub const MAX_SEND_DATA_SEGMENT: u32 = 262_144;

/// Bytes. Additional header segments of one PDU: the length field counts at most 255 words.
pub const MAX_AHS: usize = 255 * 4;

/// Bytes. Largest single [`Effect::Read`](crate::Effect::Read): big enough for full speed, small enough that a
/// slow disk holds up little.
pub const READ_CHUNK: u32 = 262_144;

/// Bytes. Reads outstanding and read data not yet sent, for each connection; further reads wait.
pub const READ_BUDGET: u32 = 16 * READ_CHUNK;

/// Commands. Width of the CmdSN window: the most tasks of one session, and the most PDUs kept because
/// one before them is missing (128 × 8192 bytes of data). open-iscsi queues 128 by default.
pub const COMMAND_WINDOW: u32 = 128;

/// Commands. Immediate SCSI commands outstanding beside the window, and task management requests that
/// wait for commands before them; more of either are rejected (RFC 7143 §4.2.2.1).
pub const IMMEDIATE_COMMANDS: usize = 16;

/// PDUs. Answers not yet sent before input is left unread: a peer that asks without reading the
/// answers waits for itself.
pub const MAX_QUEUED_ANSWERS: usize = 2 * COMMAND_WINDOW as usize;

/// Bytes. Data of answers not yet sent, and of commands that give something else than blocks, before input is left unread. One
/// answer goes over it, or those of the PDUs that were kept for one before them.
pub const MAX_QUEUED_ANSWER_BYTES: usize = 8 * MAX_RECV_DATA_SEGMENT as usize;

/// Bytes. Data of commands that is being received, or waits for blocks to be compared with, for each
/// connection; further R2Ts wait. One command has at most
/// [`MAX_DATA_OUT_BYTES`](crate::scsi::MAX_DATA_OUT_BYTES), so at least two fit.
pub const DATA_OUT_BUDGET: u32 = 2 * crate::scsi::MAX_DATA_OUT_BYTES;

/// Bytes. Text of one negotiation step over all PDUs of a C-bit chain.
pub const MAX_TEXT: usize = 16_384;

/// Keys in one negotiation step. RFC 7143 knows fewer than 40.
pub const MAX_KEYS: usize = 64;

/// Bytes. Longest key name (RFC 7143 §6.1).
pub const MAX_KEY_NAME: usize = 63;

/// Bytes. Longest value but for CHAP's binary ones (RFC 7143 §6.1).
pub const MAX_VALUE: usize = 255;

/// Bytes. Longest value at all: a CHAP challenge of 1024 bytes in hexadecimal with its `0x`.
pub const MAX_BINARY_VALUE: usize = 2 + 2 * 1024;

/// PDUs. Login requests of one login. Seven are usual with CHAP.
pub const MAX_LOGIN_PDUS: u32 = 32;

/// Time for the whole login, from the moment that [`Connection::new`](crate::Connection::new) is given. open-iscsi gives up after
/// 15 s itself.
pub const LOGIN_DEADLINE: Duration = Duration::from_secs(15);

/// Time without a PDU after which we ask whether the initiator is still there.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Time it has for the answer. Our question may have to wait behind data in the buffers of a slow line:
/// 5 MiB at 1 Mbit/s take 40 s.
pub const KEEPALIVE_DEADLINE: Duration = Duration::from_secs(60);

/// Time that an initiator has to log out when asked to.
pub const LOGOUT_DEADLINE: Duration = Duration::from_secs(5);
