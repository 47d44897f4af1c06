//! `itemlift bench`.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::output::{Format, counted, say, say_json, say_table, size};
use super::tunnel::address;
use crate::bench::{self, Pattern, Plan, Progress, Report};
use crate::initiator::MAX_DEPTH;
use crate::interrupt::Interrupt;

const WHAT: &str = "nothing was measured";

/// Bytes of one read: from a sector to the largest that the target takes in one command.
const BLOCKS: std::ops::RangeInclusive<u32> = 512..=16 << 20;

/// Read with many sessions at one time and measure.
#[derive(Debug, Args)]
#[command(
    after_help = "Latency is from the submission of a read to its status. Rates count the reads that ended well before the time was up. \
    The status is 0 if there was no error at all, whatever the speed.\n\nExamples:\n  \
    itemlift grant create --vm web01 --os bundle --out web01.json\n  \
    itemlift bench --bundle web01.json --sessions 8 --block 128K --verify /srv/backups/web01/2026-11-20T02-00-00Z/disk0.raw\n  \
    itemlift bench --bundle web01.json --sessions 50 --idle --seconds 60"
)]
pub(super) struct Bench {
    /// Log in with this bundle; given more than once, sessions are spread over the bundles.
    #[arg(long = "bundle", value_name = "FILE", required = true)]
    bundles: Vec<PathBuf>,
    /// Connect to this listener without TLS instead of the bundle's portal.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    plain: Option<SocketAddr>,
    /// Sessions, each with a connection of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    sessions: u16,
    /// Reads that each session keeps outstanding.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=MAX_DEPTH as i64))]
    queue_depth: u16,
    /// Bytes of a read; K and M stand for KiB and MiB.
    #[arg(long, value_name = "SIZE", default_value = "4K", value_parser = block)]
    block: u32,
    /// In what order blocks are read.
    #[arg(long, value_enum, default_value_t = Pattern::Random)]
    pattern: Pattern,
    /// The disk that is read.
    #[arg(long, value_name = "N", default_value_t = 0)]
    lun: u8,
    /// How long to read.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Compare every byte that is read with this raw image of the same disk.
    #[arg(long, value_name = "FILE")]
    verify: Option<PathBuf>,
    /// Hold the sessions and read nothing; answer when the target asks whether we are there.
    #[arg(long, conflicts_with_all = ["queue_depth", "block", "pattern", "verify"])]
    idle: bool,
    /// Go on when the target asks for a logout, as an initiator that does not listen would.
    #[arg(long)]
    ignore_logout_request: bool,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Bench {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let format = self.format;
        let plan = self.plan();
        let stop = CancellationToken::new();
        let mut interrupt = Interrupt::listen()
            .map_err(|error| Failure::new(WHAT, error, "see the system's limits"))?;
        let stopping = stop.clone();
        tokio::spawn(async move {
            interrupt.wait().await;
            stopping.cancel();
        });
        let shown = io::stderr().is_terminal();
        // These sentences say what to do.
        let report = bench::run(&plan, stop, |progress| show(&plan, progress, shown))
            .await
            .map_err(|error| Failure::new(WHAT, error, ""))?;
        if shown {
            eprint!("\r\x1b[K");
        }
        match format {
            Format::Json => say_json(&report)?,
            Format::Table => table(&report)?,
        }
        match report.errors {
            0 => Ok(()),
            errors => Err(Failure::new(
                "the server did not do well",
                format!("{errors} errors, listed by kind in the report"),
                "see the server's log",
            )),
        }
    }

    fn plan(self) -> Plan {
        Plan {
            bundles: self.bundles,
            plain: self.plain,
            sessions: self.sessions.into(),
            queue_depth: if self.idle {
                0
            } else {
                self.queue_depth.into()
            },
            lun: self.lun,
            block: self.block,
            pattern: self.pattern,
            time: Duration::from_secs(self.seconds.into()),
            verify: self.verify,
            ignore_logout_request: self.ignore_logout_request,
        }
    }
}

/// `4K`, `1M`, `512`.
fn block(text: &str) -> Result<u32, String> {
    let (number, shift) = match text.strip_suffix(['K', 'k']) {
        Some(number) => (number, 10),
        None => text
            .strip_suffix(['M', 'm'])
            .map_or((text, 0), |number| (number, 20)),
    };
    let bytes = number
        .parse()
        .ok()
        .and_then(|number: u32| number.checked_mul(1 << shift));
    bytes
        .filter(|bytes| BLOCKS.contains(bytes) && bytes.is_multiple_of(512))
        .ok_or_else(|| "it is a multiple of 512 from 512 to 16M, such as 4K, 64K or 1M".to_owned())
}

/// Tells on standard error how far it is; whoever looks at a terminal sees it grow.
fn show(plan: &Plan, progress: Progress, terminal: bool) {
    let mut err = io::stderr().lock();
    let shown = match progress {
        Progress::LoggedIn(took) => writeln!(
            err,
            "{} logged in after {:.2} s",
            counted(plan.sessions as u64, "session"),
            took.as_secs_f32()
        ),
        Progress::Reading(time, reads, errors) if terminal => {
            let seconds = time.as_secs_f64().max(f64::EPSILON);
            let bytes = reads * u64::from(plan.block);
            write!(
                err,
                "\r\x1b[K{:.0} of {} s: {reads} reads, {}, {:.0} IOPS, {errors} errors",
                seconds,
                plan.time.as_secs(),
                size(bytes),
                reads as f64 / seconds,
            )
        }
        Progress::Reading(..) => Ok(()),
    };
    // Progress that nobody can see is no reason to stop.
    drop(shown.and_then(|()| err.flush()));
}

fn table(report: &Report) -> Result<(), Failure> {
    let transport = if report.tls { "TLS" } else { "no TLS" };
    say(&match report.queue_depth {
        0 => format!(
            "{}, idle, {transport}",
            counted(report.sessions as u64, "session")
        ),
        depth => format!(
            "{} × {depth} reads of {}, {}, {transport}",
            counted(report.sessions as u64, "session"),
            size(report.block.into()),
            match report.pattern {
                Pattern::Random => "random",
                Pattern::Sequential => "sequential",
            }
        ),
    })?;
    let rate = |bytes: f64| format!("{:.1} MiB/s", bytes / f64::from(1 << 20));
    let mut rows = vec![
        [
            "logins".to_owned(),
            format!("{:.2} s", report.login_seconds),
        ],
        ["time".to_owned(), format!("{:.2} s", report.seconds)],
    ];
    if let Some(latency) = &report.latency {
        let spread = &report.session_bytes_per_second;
        rows.extend([
            [
                "reads".to_owned(),
                format!("{} ({:.0} IOPS)", report.reads, report.iops),
            ],
            [
                "bytes".to_owned(),
                format!("{} ({})", size(report.bytes), rate(report.bytes_per_second)),
            ],
            [
                "latency".to_owned(),
                format!(
                    "p50 {}, p99 {}, p99.9 {}, max {}",
                    time(latency.p50_us),
                    time(latency.p99_us),
                    time(latency.p99_9_us),
                    time(latency.max_us)
                ),
            ],
            [
                "one session".to_owned(),
                format!(
                    "slowest {}, median {}, fastest {}",
                    rate(spread.min),
                    rate(spread.median),
                    rate(spread.max)
                ),
            ],
        ]);
    }
    rows.push(["errors".to_owned(), report.errors.to_string()]);
    for (kind, count) in &report.errors_by_kind {
        rows.push([String::new(), format!("{count} × {kind}")]);
    }
    if let Some(byte) = report.first_difference {
        rows.push([
            String::new(),
            format!("wrong data at byte {byte} of the disk"),
        ]);
    }
    if let Some(last) = report.last_ended_early {
        let ended = report.ended_early;
        rows.push([
            "ended early".to_owned(),
            format!("{ended} sessions, the last after {last:.2} s"),
        ]);
    }
    say_table(["", ""], rows, "")
}

/// Microseconds, in the unit that suits them.
fn time(micros: f64) -> String {
    match micros {
        ..1000.0 => format!("{micros:.0} µs"),
        ..1e6 => format!("{:.2} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        for (text, bytes) in [
            ("512", 512),
            ("4K", 4096),
            ("4k", 4096),
            ("1M", 1 << 20),
            ("16M", 16 << 20),
        ] {
            assert_eq!(block(text), Ok(bytes));
        }
        for text in [
            "", "K", "0", "511", "513", "17M", "4G", "-4K", "4 K", "4194304K",
        ] {
            assert!(block(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times() {
        let shown = [0.4, 999.0, 1000.0, 12_345.6, 1e6, 2.5e6].map(time);
        assert_eq!(
            shown,
            ["0 µs", "999 µs", "1.00 ms", "12.35 ms", "1.00 s", "2.50 s"]
        );
    }
}
