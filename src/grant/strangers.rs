//! Refusals that concern no grant: in a flood, the audit log tells their number.

use jiff::{SignedDuration, Timestamp};

use super::audit::{Event, What};

/// Lines in a minute about people whom no grant knows. More are counted, not written: who has no right here shall not fill the disk.
const STRANGERS_PER_MINUTE: u32 = 600;

/// The minute of [`STRANGERS_PER_MINUTE`].
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Refusals that concern no grant, in the minute that began at `since`.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    since: Timestamp,
    written: u32,
    left_out: u64,
}

impl Strangers {
    /// What is to be written: how many of the minute before were left out, and `event` unless it is left out too.
    pub(super) fn meet(&mut self, event: Event, now: Timestamp) -> [Option<Event>; 2] {
        let mut before = 0;
        if now.duration_since(self.since).abs() >= MINUTE {
            before = std::mem::take(self).left_out;
            self.since = now;
        }
        let told = (before > 0).then(|| Event {
            reason: Some(format!(
                "{before} more refusals of strangers, not written one by one"
            )),
            ..Event::new(What::Refused)
        });
        if self.written < STRANGERS_PER_MINUTE {
            self.written += 1;
            [told, Some(event)]
        } else {
            self.left_out += 1;
            [told, None]
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::grant::audit::Audit;
    use crate::grant::clock::ManualClock;

    #[test]
    fn a_flood_of_strangers_is_told_by_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let clock = Arc::new(ManualClock::new("2026-11-20T02:00:00Z".parse().unwrap()));
        let audit = Audit::open(&path, Arc::<ManualClock>::clone(&clock)).unwrap();
        for _ in 0..STRANGERS_PER_MINUTE + 7 {
            audit.record(Event::new(What::Refused));
        }
        audit.record(Event::new(What::Created));
        clock.advance(std::time::Duration::from_secs(61));
        audit.record(Event::new(What::Refused));
        audit.flush();
        let log = std::fs::read_to_string(&path).unwrap();
        let read: Vec<serde_json::Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let written = STRANGERS_PER_MINUTE as usize;
        assert_eq!(read.len(), written + 3);
        assert_eq!(read[written]["event"], "created");
        let reason = read[written + 1]["reason"].as_str().unwrap();
        assert!(reason.starts_with("7 more refusals"), "{reason}");
        assert!(read[written + 2].get("reason").is_none());
    }
}
