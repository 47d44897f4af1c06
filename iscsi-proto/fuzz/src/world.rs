//! The world of one connection before its session: who it is, and the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use chap::Nonce;
use iscsi_proto::{Connection, Effect, Error, LoginRefusal, Policy, Target, Transmit, Tsih};

use crate::known;

/// One connection and what it did.
pub struct World {
    /// The machine.
    pub machine: Connection,
    /// The target of `ini`.
    pub target: Arc<Target>,
    /// Time as the machine is told.
    pub now: Instant,
    /// Why the connection ended, if it did.
    pub error: Option<Error>,
    /// Why the login was refused, if it was.
    pub refusal: Option<LoginRefusal>,
    /// What is to be read, and what is not wanted any more.
    pub effects: Vec<Effect>,
    input: BytesMut,
}

impl World {
    /// A connection that was just accepted.
    pub fn new(nonce: Nonce) -> Self {
        let now = Instant::now();
        let policy = Policy { target_address: Some("10.0.0.1:3260".into()), ..Policy::default() };
        Self {
            machine: Connection::new(policy, nonce, now),
            target: known::target(known::TARGET),
            now,
            error: None,
            refusal: None,
            effects: Vec::new(),
            input: BytesMut::new(),
        }
    }

    /// Bytes come in; what the machine asks for is answered, but for reads.
    pub fn send(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.turn();
    }

    /// Input and effects, until there is nothing to do.
    pub fn turn(&mut self) {
        loop {
            if self.error.is_none() && self.machine.wants_input() {
                self.error = self.machine.receive(self.now, &mut self.input).err();
            }
            match self.machine.poll_effect() {
                Some(Effect::FindAccess(query)) => self.machine.access(known::access(&query.user, &self.target)),
                Some(Effect::Establish(_)) => self.machine.established(std::num::NonZeroU16::new(7).map(Tsih)),
                Some(Effect::LoginRefused(refusal)) => assert_eq!(self.refusal.replace(refusal), None, "told twice"),
                Some(effect) => self.effects.push(effect),
                None => return,
            }
        }
    }

    /// Time passes.
    pub fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.machine.handle_timeout(self.now);
        self.turn();
    }

    /// The next PDU of the target. Its room lets the machine take more input.
    pub fn receive(&mut self) -> Option<Transmit> {
        let pdu = self.machine.poll_transmit()?;
        self.turn();
        Some(pdu)
    }

    /// Bytes that were not taken yet.
    pub fn untaken(&self) -> usize {
        self.input.len()
    }
}
