//! What a verification tells: ranges that belong together as one, and no more than anybody reads.

use std::mem::{Discriminant, discriminant};
use std::path::Path;

use disk_image::{Damage, Flaw, OpenError};
use tokio::sync::mpsc::UnboundedSender;

use super::MAX_LISTED;
use super::event::{Damaged, Event};

/// Where it is told, and the damage so far.
#[derive(Debug)]
pub(super) struct Report {
    tell: UnboundedSender<Event>,
    disk: String,
    sector_size: u32,
    /// Grows while what comes next belongs to it.
    open: Option<Range>,
    /// Told one by one so far, of all disks.
    listed: usize,
    not_listed: u64,
    of_disk: Summary,
}

/// The damage of one disk.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) first: Option<Damaged>,
    pub(super) damages: u64,
    pub(super) damaged_bytes: u64,
}

#[derive(Debug)]
struct Range {
    from: u64,
    to: u64,
    file: String,
    kind: Discriminant<Damage>,
    /// Of the first of what was put together.
    reason: String,
}

impl Report {
    pub(super) fn new(tell: UnboundedSender<Event>) -> Report {
        Report {
            tell,
            disk: String::new(),
            sector_size: 1,
            open: None,
            listed: 0,
            not_listed: 0,
            of_disk: Summary::default(),
        }
    }

    /// Tells something that is no damage.
    pub(super) fn say(&self, event: Event) {
        // Nobody listens: then the verification is about to be stopped.
        let _ = self.tell.send(event);
    }

    /// From here on it is about this disk, in blocks of so many bytes.
    pub(super) fn begin(&mut self, disk: &str, sector_size: u32) {
        self.disk = disk.to_owned();
        self.sector_size = sector_size;
    }

    /// Bytes of the disk that cannot be read. Ranges come in order.
    pub(super) fn unreadable(&mut self, from: u64, to: u64, file: &Path, damage: &Damage) {
        self.of_disk.damaged_bytes += to - from;
        let (file, kind) = (file.to_string_lossy(), discriminant(damage));
        if let Some(open) = &mut self.open
            && (open.to, open.file.as_str(), open.kind) == (from, &*file, kind)
        {
            open.to = to;
            return;
        }
        let new = Range {
            from,
            to,
            file: file.into_owned(),
            kind,
            reason: damage.to_string(),
        };
        if let Some(complete) = self.open.replace(new) {
            self.range(complete);
        }
    }

    /// Something is wrong that reads do not meet.
    pub(super) fn flaw(&mut self, flaw: &Flaw) {
        let file = flaw.path.to_string_lossy().into_owned();
        self.damaged(flaw.range, file, flaw.what.clone());
    }

    /// The disk cannot be opened.
    pub(super) fn cannot_open(&mut self, error: &OpenError) {
        let file = error.path.to_string_lossy().into_owned();
        self.damaged(None, file, error.to_string());
    }

    /// Ends the disk.
    pub(super) fn finish(&mut self) -> Summary {
        if let Some(last) = self.open.take() {
            self.range(last);
        }
        std::mem::take(&mut self.of_disk)
    }

    /// How much was not told one by one, of all disks.
    pub(super) fn not_listed(&self) -> u64 {
        self.not_listed
    }

    fn range(&mut self, range: Range) {
        self.damaged(Some((range.from, range.to)), range.file, range.reason);
    }

    fn damaged(&mut self, range: Option<(u64, u64)>, file: String, reason: String) {
        let sector = u64::from(self.sector_size);
        let damaged = Damaged {
            disk: self.disk.clone(),
            offset: range.map(|(from, _)| from),
            bytes: range.map(|(from, to)| to - from),
            lba: range.map(|(from, _)| from / sector),
            blocks: range.map(|(from, to)| to.div_ceil(sector) - from / sector),
            file,
            reason,
        };
        self.of_disk.damages += 1;
        self.of_disk.first.get_or_insert_with(|| damaged.clone());
        if self.listed < MAX_LISTED {
            self.listed += 1;
            self.say(Event::Damaged(damaged));
        } else {
            self.not_listed += 1;
        }
    }
}
