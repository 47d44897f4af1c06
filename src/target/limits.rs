//! Every limit of the data plane, with its unit and its reason.
//!
//! Memory is bounded by these limits times the number of connections; the limits of one connection's
//! protocol state are `iscsi_proto`'s.

use std::time::Duration;

/// Connections at one time of those who have proven that they hold a grant. Each costs a file descriptor and some tens of KiB.
/// Strangers and operators have places of their own, so that nobody with a grant can keep its revoke out.
pub const CONNECTIONS: usize = 4096;

/// [`CONNECTIONS`] at one time from one address (one /64 network for IPv6). A recovery machine needs one for
/// each grant; a proxy or NAT may hide hundreds of machines.
pub const CONNECTIONS_PER_ADDRESS: usize = 2048;

/// Connections that have not proven who they are: in the TLS handshake, before CHAP, or of HTTP clients that have not shown the
/// token. With [`HANDSHAKE_TIME`], the login deadline and [`INTRODUCTION_TIME`] this also bounds how long a flood can hold the
/// door. When all are taken, the oldest of the address that has most of them makes room for one that has fewer.
pub const STRANGERS: usize = 512;

/// Connections of one address that have not proven who they are, so that one address cannot use up [`STRANGERS`].
pub const STRANGERS_PER_ADDRESS: usize = 128;

/// When one address has [`STRANGERS_PER_ADDRESS`], the oldest makes room for the newest if it has been here for so long: a
/// handshake and a request take less, and machines behind one NAT that all begin at one time do not end each other.
pub const STRANGER_GRACE: Duration = Duration::from_millis(500);

/// Connections at one time of HTTP clients that have shown the token; one beyond is answered and then closed.
pub const CONTROL_CONNECTIONS: usize = 256;

/// [`CONTROL_CONNECTIONS`] from one address. What an operator or a script asks takes one for a moment.
pub const CONTROL_CONNECTIONS_PER_ADDRESS: usize = 64;

/// From TCP accept until an HTTP client has shown the token; who does not is closed then, also in the middle of an answer. The
/// client of a grant asks about it and goes.
pub const INTRODUCTION_TIME: Duration = Duration::from_secs(15);

/// From TCP accept to the end of the TLS handshake.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// How long an HTTP client may take to send the head of a request.
pub const HTTP_HEAD_TIME: Duration = Duration::from_secs(15);

/// How long a connection of the control plane may ask for nothing. A client that has more to ask connects again.
pub const HTTP_IDLE_TIME: Duration = Duration::from_secs(30);

/// HTTP/2 streams that one control connection may have open.
pub const HTTP_STREAMS: u32 = 32;

/// How long a peer may take to drain the last bytes and to close after we said that it is over.
pub const LINGER_TIME: Duration = Duration::from_secs(1);

/// Bytes read and thrown away while we linger, so that our last bytes are not lost to a reset.
pub const LINGER_BYTES: usize = 64 * 1024;

/// How long a peer may take for the last PDUs of a connection that ends.
pub const LAST_WORDS_TIME: Duration = Duration::from_millis(500);

/// From the end of a grant, or the server's stop, until its connections are closed whatever their peers do. SPEC §3 promises
/// 5 seconds; the rest is for [`LAST_WORDS_TIME`] and for scheduling.
pub const CLOSE_TIME: Duration = Duration::from_millis(4200);

/// How long a peer may leave what we have for it untaken. A working initiator that stalls this long has given up.
pub const SEND_STALL: Duration = Duration::from_secs(120);

/// Room made in the input buffer before a read from the socket, in bytes: 170 bare requests.
pub const INPUT_ROOM: usize = 8 * 1024;

/// Room for input of a connection that has said nothing for [`QUIET_TIME`], in bytes.
pub const QUIET_INPUT_ROOM: usize = 256;

/// Bytes taken from the protocol machine before they are written. What waits in the machine can still be overtaken by
/// control PDUs, what waits here cannot.
pub const WRITE_BATCH_BYTES: usize = 512 * 1024;

/// Bytes that the kernel takes for a connection beyond those that are on their way to the peer. It would take megabytes, and a
/// NOP-In would have to wait behind them. Together with [`WRITE_BATCH_BYTES`], the PDU that goes over it, and [`TLS_BUFFER`]
/// less than 100 ms at 100 Mbit/s.
pub const UNSENT_BYTES: u32 = 128 * 1024;

/// PDUs taken from the protocol machine before they are written.
pub const WRITE_BATCH_PDUS: usize = 128;

/// Slices in one vectored write: three for each PDU (head, data, tail).
pub const WRITE_SLICES: usize = 192;

/// Plain text that rustls may hold encrypted for one connection, in bytes.
pub const TLS_BUFFER: usize = 256 * 1024;

/// Bytes read in place before the connection lets others of its worker run.
pub const TURN_BYTES: usize = 1024 * 1024;

/// Largest read in one piece, in bytes: the size that the protocol machine cuts requests to.
pub const READ_BYTES: usize = iscsi_proto::limits::READ_CHUNK as usize;

/// Reads of one disk that may block at one time. A source that hangs then holds this many threads, not all.
pub const BLOCKING_READS_PER_DISK: usize = 16;

/// Reads of the disks of one source, and openings of its recovery points, that may block at one time: four disks with all of their
/// reads. Four sources that hang hold all that there are.
pub const BLOCKING_READS_PER_SOURCE: usize = BLOCKING_READS / 4;

/// Reads of all disks, and openings of recovery points, that may block at one time: threads of the runtime's blocking pool.
pub const BLOCKING_READS: usize = 256;

/// Bytes that are read ahead of one stream of reads, at most: what comes from afar at 200 MB/s in 80 ms. It is less while the
/// stream is young, and where the cache throws it out before it is used.
pub const READ_AHEAD_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes that are read ahead in one go, on one thread.
pub const READ_AHEAD_STEP_BYTES: u64 = 1024 * 1024;

/// Steps of reading ahead that one connection has under way on one disk. With the places that have to be left for reads that
/// somebody waits for, this keeps a copy from taking every thread and every core.
pub const READ_AHEAD_STEPS: usize = 4;

/// Read data that one connection may hold whatever others do, in bytes: one read of the largest size.
pub const OWN_BYTES: u32 = iscsi_proto::limits::READ_CHUNK;

/// Read data that all connections may hold beyond their [`OWN_BYTES`], in bytes: 256 of them their full
/// [`READ_BUDGET`](iscsi_proto::limits::READ_BUDGET) of 4 MiB. With the own bytes of all [`CONNECTIONS`] it makes 2 GiB.
pub const IN_FLIGHT_BYTES: u64 = 256 * iscsi_proto::limits::READ_BUDGET as u64;

/// A connection is lent at most this part of what is free of [`IN_FLIGHT_BYTES`]: one 64th, so that each gets its full budget
/// until 3/4 are lent, and those that hold what they were lent for long leave something for the others.
pub const POOL_SHARE: u64 = 64;

/// A connection that has used less memory for so long gives back what it did not use.
pub const QUIET_TIME: Duration = Duration::from_secs(1);

/// Spare read buffers that one connection keeps, in bytes: as much as it can have in use, so that a full pipeline does not map and
/// unmap memory all the time. Let go when they were not used for [`QUIET_TIME`].
pub const SPARE_BUFFER_BYTES: usize = iscsi_proto::limits::READ_BUDGET as usize;

/// How long an old session may take to end when its initiator logs in again (reinstatement).
pub const REINSTATEMENT_TIME: Duration = Duration::from_secs(2);

/// Sessions at one time. TSIH is 16 bits wide and 0 is reserved (RFC 7143 §11.12.6).
pub const SESSIONS: usize = 65_535;

/// The limits that an operator or a test may set. [`Limits::default`] gives the constants of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`CONNECTIONS`].
    pub connections: usize,
    /// See [`CONNECTIONS_PER_ADDRESS`].
    pub connections_per_address: usize,
    /// See [`STRANGERS`].
    pub strangers: usize,
    /// See [`STRANGERS_PER_ADDRESS`].
    pub strangers_per_address: usize,
    /// See [`CONTROL_CONNECTIONS`].
    pub control_connections: usize,
    /// See [`CONTROL_CONNECTIONS_PER_ADDRESS`].
    pub control_connections_per_address: usize,
    /// See [`HANDSHAKE_TIME`].
    pub handshake_time: Duration,
    /// See [`INTRODUCTION_TIME`].
    pub introduction_time: Duration,
    /// See [`HTTP_IDLE_TIME`].
    pub http_idle_time: Duration,
    /// See [`IN_FLIGHT_BYTES`].
    pub in_flight_bytes: u64,
    /// See [`SEND_STALL`].
    pub send_stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            strangers: STRANGERS,
            strangers_per_address: STRANGERS_PER_ADDRESS,
            control_connections: CONTROL_CONNECTIONS,
            control_connections_per_address: CONTROL_CONNECTIONS_PER_ADDRESS,
            handshake_time: HANDSHAKE_TIME,
            introduction_time: INTRODUCTION_TIME,
            http_idle_time: HTTP_IDLE_TIME,
            in_flight_bytes: IN_FLIGHT_BYTES,
            send_stall: SEND_STALL,
        }
    }
}
