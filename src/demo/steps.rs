//! What the demo shows: one line for each step, with the time that it took.

use std::io::{self, Write as _};
use std::time::Instant;

pub(super) struct Steps {
    number: usize,
    since: Instant,
}

impl Steps {
    pub(super) fn begin() -> io::Result<Self> {
        let mut steps = Self {
            number: 0,
            since: Instant::now(),
        };
        steps.say("itemlift demo\n")?;
        Ok(steps)
    }

    /// A step is done.
    pub(super) fn done(&mut self, what: &str) -> io::Result<()> {
        self.number += 1;
        let took = self.since.elapsed().as_secs_f32();
        self.since = Instant::now();
        self.say(&format!("  {}. {what:<66} {took:>5.2} s", self.number))
    }

    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    }
}
