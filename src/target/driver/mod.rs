//! One connection: carries bytes, time and completions to the protocol machine, and does what it asks.
//!
//! One task for each connection. Each turn: 1. give the machine its input, 2. do its effects, 3. take its PDUs; then wait for
//! whatever comes first. Nothing in a turn waits.

mod close;
mod effects;
mod events;
mod machine;
mod memory;
mod meter;
mod outbox;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use iscsi_proto::{Connection, ReadFault, ReadId, ShutDown};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use self::close::{End, Ending, ending};
use self::events::Event;
use self::machine::Machine;
use self::memory::Memory;
use self::meter::Meter;
use self::outbox::Outbox;
use super::DataPlane;
use super::admission::Admitted;
use super::ahead::Ahead;
use super::exports::{Export, Media};
use super::in_flight::Lease;
use super::limits::{CLOSE_TIME, LAST_WORDS_TIME, SEND_STALL, TURN_BYTES};
use super::orders::Order;
use super::sessions::Session;
use crate::grant::LiveGrant;

/// Who is at the other end.
pub(super) struct Peer {
    address: SocketAddr,
    /// The grant whose certificate was shown; `None` without TLS.
    certified: Option<Arc<LiveGrant>>,
    admitted: Admitted,
    /// When it was let in: the login's time has run since then.
    since: Instant,
}

impl Peer {
    pub(super) fn new(
        address: SocketAddr,
        certified: Option<Arc<LiveGrant>>,
        admitted: Admitted,
        since: tokio::time::Instant,
    ) -> Self {
        Self {
            address,
            certified,
            admitted,
            since: since.into_std(),
        }
    }
}

/// Work that was done beside the connection.
enum Done {
    /// With the moment when the read was asked for.
    Read(ReadId, Result<Bytes, ReadFault>, Instant),
    Established(Option<Session>, Arc<Media>),
}

/// Drives one connection from its first byte to its last.
pub(super) async fn drive<S>(stream: S, peer: Peer, plane: Arc<DataPlane>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let nonce = match plane.nonce() {
        Ok(nonce) => nonce,
        Err(error) => {
            tracing::error!(%error, "a connection was refused");
            return;
        }
    };
    let now = Instant::now();
    let memory = Memory::new(Lease::of(&plane.pool));
    let meter = Meter::new(Arc::clone(&plane.metrics));
    let machine = Connection::new(plane.policy.clone(), nonce, peer.since);
    let mut driver = Driver {
        machine: Machine::new(machine, Arc::clone(&plane.metrics)),
        ending: Box::pin(ending(peer.certified.as_deref(), stop.clone())),
        grant: peer.certified.clone(),
        timer: Box::pin(tokio::time::sleep(SEND_STALL)),
        rung: false,
        stream,
        peer,
        plane,
        stop,
        inbox: BytesMut::new(),
        outbox: Outbox::default(),
        unflushed: false,
        last_sent: now,
        work: JoinSet::new(),
        memory,
        meter,
        export: None,
        media: None,
        ahead: Ahead::default(),
        session: None,
        shut_down: None,
    };
    let end = driver.run().await;
    driver.finish(end).await;
}

struct Driver<S> {
    stream: S,
    machine: Machine,
    peer: Peer,
    plane: Arc<DataPlane>,
    stop: CancellationToken,
    /// The grant that is read: the certificate's, or the one that CHAP named.
    grant: Option<Arc<LiveGrant>>,
    inbox: BytesMut,
    outbox: Outbox,
    /// TLS may hold records that the socket has not taken.
    unflushed: bool,
    last_sent: Instant,
    work: JoinSet<Done>,
    memory: Memory,
    meter: Meter,
    export: Option<Arc<Export>>,
    media: Option<Arc<Media>>,
    ahead: Ahead,
    session: Option<Session>,
    ending: Ending,
    /// Why and until when the connection has to be closed.
    shut_down: Option<(ShutDown, Instant)>,
    timer: Pin<Box<Sleep>>,
    /// The timer has come to its end and was not set since.
    rung: bool,
}

impl<S> Driver<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    async fn run(&mut self) -> End {
        loop {
            let busy = match self.turn() {
                Ok(busy) => busy,
                Err(error) => return End::Protocol(error),
            };
            if self.machine.is_closed() && self.outbox.is_empty() && !self.unflushed {
                return self.closed();
            }
            if busy {
                tokio::task::yield_now().await;
            }
            let event = poll_fn(|cx| match self.poll_event(cx) {
                Poll::Pending if busy => Poll::Ready(None),
                event => event.map(Some),
            });
            if let Some(event) = event.await
                && let Some(end) = self.handle(event)
            {
                return end;
            }
        }
    }

    /// Input, effects, PDUs, until there is nothing left to do without waiting. `true`: this connection has had its share and has
    /// more to do.
    fn turn(&mut self) -> Result<bool, iscsi_proto::Error> {
        let mut spent = 0;
        loop {
            if !self.inbox.is_empty() && self.machine.wants_input() {
                self.machine.receive(Instant::now(), &mut self.inbox)?;
            }
            let mut idle = true;
            self.lend();
            while spent < TURN_BYTES
                && let Some(effect) = self.machine.poll_effect()
            {
                idle = false;
                spent += self.effect(effect);
            }
            let mut now = self.meter.last_hot.take();
            while self.outbox.has_room()
                && let Some(pdu) = self.machine.poll_transmit()
            {
                idle = false;
                if let Some(ended) = &pdu.ends {
                    let now = *now.get_or_insert_with(Instant::now);
                    self.meter.ended(ended, now);
                }
                self.outbox.push(pdu);
            }
            if idle || spent >= TURN_BYTES {
                self.count();
                return Ok(spent >= TURN_BYTES);
            }
        }
    }

    fn count(&self) {
        if let Some(session) = &self.session {
            let (commands, bytes_read) = self.machine.progress();
            let counters = &session.counters;
            counters.commands.store(commands, Ordering::Relaxed);
            let before = counters.bytes_read.swap(bytes_read, Ordering::Relaxed);
            if let Some(grant) = &self.grant {
                grant.count_read(bytes_read.saturating_sub(before));
            }
        }
    }

    fn handle(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Received(0) => return Some(End::PeerClosed),
            Event::Received(count) => {
                self.meter.received(count);
                self.memory.used();
            }
            Event::Progress => {}
            Event::Ordered => self.follow_orders(),
            Event::Ends(why) => self.shut_down(why),
            Event::TimeIsUp => return self.handle_time(),
            // "peer closed connection without sending TLS close_notify": iSCSI has its own logout.
            Event::Failed(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Some(End::PeerClosed);
            }
            Event::Failed(error) => return Some(End::Lost(error)),
        }
        None
    }

    fn handle_time(&mut self) -> Option<End> {
        let now = Instant::now();
        if let Some((why, until)) = self.shut_down
            && until <= now
        {
            return Some(End::ShutDown(why));
        }
        if self
            .stall_deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            return Some(End::Stalled);
        }
        if self
            .machine
            .poll_timeout()
            .is_some_and(|deadline| deadline <= now)
        {
            self.machine.handle_timeout(now);
        }
        self.tidy(now);
        self.fold_if_due(now);
        None
    }

    fn shut_down(&mut self, why: ShutDown) {
        let now = Instant::now();
        let time = match why {
            // Somebody waits to take this session's place.
            ShutDown::Reinstated => LAST_WORDS_TIME,
            ShutDown::Revoked | ShutDown::Expired | ShutDown::ServerStopping => CLOSE_TIME,
        };
        // Whoever is told again gets no more time by it.
        let until = self
            .shut_down
            .map_or(now + time, |(_, before)| before.min(now + time));
        self.shut_down = Some((why, until));
        self.machine.shut_down(now, why);
    }

    fn follow_orders(&mut self) {
        let orders = self.session.as_ref().map(|session| session.orders.take());
        for order in orders.into_iter().flatten() {
            match order {
                Order::Reinstated => self.shut_down(ShutDown::Reinstated),
                Order::Reset(reset) => self.machine.reset(reset),
            }
        }
    }
}
