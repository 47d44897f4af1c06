//! What the protocol machine asks for, and how it is answered.

use std::sync::Arc;
use std::time::Instant;

use iscsi_proto::{Access, AccessQuery, Effect, ReadBlocks, ReadFault, SessionIdentity, Stage};
use tracing::field::display;
use tracing::{Span, debug, info};

use super::close::ending;
use super::{Done, Driver};
use crate::grant::LiveGrant;
use crate::grant::audit::What;
use crate::target::reader::{ColdRead, Hot};
use crate::target::sessions::Newcomer;

impl<S> Driver<S> {
    /// Does one effect, or starts it. Returns the bytes that were read in place.
    pub(super) fn effect(&mut self, effect: Effect) -> usize {
        match effect {
            Effect::FindAccess(query) => self.find_access(&query),
            Effect::Establish(identity) => self.establish(identity),
            Effect::Read(wanted) => return self.read(wanted),
            // A read cannot be called back from the system; its answer is ignored.
            Effect::Cancel(_) => {}
            Effect::LoginRefused(refusal) => {
                info!(reason = %refusal, "login refused");
                self.plane.metrics.login_refused(refusal.wire_status());
                let status = self.machine.status();
                self.plane.audit(
                    What::Refused,
                    self.grant.as_deref(),
                    self.peer.address,
                    |event| {
                        event.who = status.initiator.map(|name| name.to_string());
                        event.reason = Some(refusal.to_string());
                    },
                );
            }
            Effect::ResetOthers(reset) => {
                if let Some(session) = &self.session {
                    self.plane.sessions.reset_others(session, reset);
                }
            }
        }
        0
    }

    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Read(id, outcome, asked) => {
                self.meter.cold.record(asked.elapsed());
                self.machine.read_done(id, outcome);
            }
            Done::Established(session, media) => {
                self.media = Some(media);
                self.machine
                    .established(session.as_ref().map(|session| session.tsih));
                // The target may have no room for another nexus, and meanwhile the login's time may have been up.
                self.session =
                    session.filter(|_| self.machine.status().stage == Stage::FullFeature);
                if self.session.is_some() {
                    self.tell_of_login();
                }
            }
        }
    }

    /// The machine tells unknown users, unknown targets and wrong secrets apart for nobody; the audit log does.
    fn find_access(&mut self, query: &AccessQuery) {
        let found = match self.plane.grants.by_user(&query.user) {
            Ok(grant) if self.may_use(&grant) => self.access_to(grant),
            Ok(grant) => {
                info!(grant = %grant.id, "CHAP name of another grant than the certificate's");
                None
            }
            Err(why) => {
                info!(user = query.user, %why, "no such access");
                None
            }
        };
        self.machine.access(found);
    }

    /// Under TLS, the certificate and the CHAP name are of one grant.
    fn may_use(&self, grant: &LiveGrant) -> bool {
        self.peer
            .certified
            .as_ref()
            .is_none_or(|certified| certified.id == grant.id)
    }

    fn access_to(&mut self, grant: Arc<LiveGrant>) -> Option<Access> {
        match self.plane.exports.of(&grant) {
            Ok(export) => {
                let access = Access {
                    target: Arc::clone(&export.target),
                    initiator: grant.initiator.clone(),
                    target_credentials: grant.target.clone(),
                };
                // Without TLS, this is when we learn whose end to watch.
                self.ending = Box::pin(ending(Some(&grant), self.stop.clone()));
                self.export = Some(export);
                self.grant = Some(grant);
                Some(access)
            }
            Err(error) => {
                tracing::error!(%error, "login refused");
                None
            }
        }
    }

    fn establish(&mut self, identity: SessionIdentity) {
        let (Some(grant), Some(export)) = (self.grant.clone(), self.export.clone()) else {
            // The machine asks only after it was given access.
            self.machine.established(None);
            return;
        };
        if let Err(full) = self.peer.admitted.initiator() {
            self.plane.metrics.refused(full.into());
            tracing::warn!(reason = %full, grant = %grant.id, "login refused");
            self.machine.established(None);
            return;
        }
        let newcomer = Newcomer {
            identity,
            grant: grant.id.clone(),
            vm: grant.vm.clone(),
            point: grant.point.clone(),
            address: self.peer.address,
            tls: self.peer.certified.is_some(),
        };
        let plane = Arc::clone(&self.plane);
        self.work.spawn(async move {
            let media = plane.exports.open(&export).await;
            Done::Established(plane.sessions.establish(newcomer).await, media)
        });
    }

    /// From the page cache at once; otherwise beside the connection.
    fn read(&mut self, wanted: ReadBlocks) -> usize {
        let medium = self
            .media
            .as_ref()
            .and_then(|media| media.medium(wanted.lun));
        let Some(medium) = medium else {
            // The machine reads only from logical units that the target has.
            let fault = ReadFault { at: wanted.offset };
            self.machine.read_done(wanted.id, Err(fault));
            return 0;
        };
        let asked = self.meter.last_hot.take().unwrap_or_else(Instant::now);
        let hot = medium.read_hot(wanted, &self.memory.buffers);
        let is_hot = matches!(hot, Hot::Done(_));
        self.ahead.read(medium, wanted, is_hot, &self.plane.metrics);
        match hot {
            Hot::Done(outcome) => {
                self.meter.read_in_place(asked);
                let read = outcome.as_ref().map_or(0, bytes::Bytes::len);
                self.machine.read_done(wanted.id, outcome);
                read
            }
            Hot::Cold(buffer) => {
                let medium = Arc::clone(medium);
                let cold = ColdRead::new(&self.plane.metrics);
                self.work.spawn(async move {
                    let outcome = medium.read_cold(wanted, buffer, cold).await;
                    Done::Read(wanted.id, outcome, asked)
                });
                0
            }
        }
    }

    fn tell_of_login(&self) {
        let status = self.machine.status();
        let span = Span::current();
        span.record("isid", display(status.isid));
        span.record("tsih", status.tsih.map(|tsih| tsih.0.get()));
        if let Some(algorithm) = status.chap {
            self.plane.metrics.logged_in(algorithm);
        }
        let who = status.initiator.map(|name| name.to_string());
        let chap = status.chap.map(|algorithm| algorithm.to_string());
        info!(
            initiator = who,
            grant = self.grant.as_ref().map(|grant| grant.id.as_str()),
            chap,
            "logged in",
        );
        self.plane.audit(
            What::Login,
            self.grant.as_deref(),
            self.peer.address,
            |event| {
                event.who = who;
                event.chap = chap;
            },
        );
        debug!(kind = ?status.kind, "session");
    }
}
