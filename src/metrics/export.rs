//! The OpenMetrics text that Prometheus reads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chap::Algorithm;
use iscsi_proto::counts::{Fate, PduKind};
use iscsi_proto::scsi::command_name;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::latency::Histogram;
use super::refused::Refused;
use super::{Metrics, cache, end_at};
use crate::point::CacheCounts;

/// What the text is (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is counted, and what is looked up when somebody asks. Labels are names of ours, apart from those of the
/// configured sources.
#[derive(Debug)]
pub struct Snapshot {
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// What the cache has done, and what it holds.
    pub cache: CacheCounts,
    /// Sessions, by `normal` and `discovery`.
    pub sessions: Vec<(&'static str, u64)>,
    /// Grants, by state.
    pub grants: Vec<(&'static str, u64)>,
    /// Events that the audit log has lost.
    pub audit_lost: u64,
    /// For each source, what its latest scan found: points, those of them with problems, and problems besides.
    pub sources: Vec<(String, [u64; 3])>,
}

/// A label set: names and values.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

impl Snapshot {
    /// The text, from `# HELP` to `# EOF`.
    ///
    /// # Errors
    /// None in practice: a string takes everything.
    pub fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("itemlift");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        encoder
            .encode_descriptor("build", "The program.", None, MetricType::Info)?
            .encode_info(&build)?;
        self.connections(encoder)?;
        self.logins(encoder)?;
        self.commands(encoder)?;
        self.reads(encoder)?;
        cache::encode(&self.cache, encoder)?;
        self.control(encoder)
    }
}

impl Snapshot {
    fn connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let now = &self.metrics.connections;
        let mut family = gauge(encoder, "connections", "Connections, by their peers.")?;
        for (peer, number) in [
            ("not logged in", &now.strangers),
            ("initiator", &now.initiators),
            ("operator", &now.operators),
        ] {
            family
                .encode_family(&[("peer", peer)])?
                .encode_gauge(&read(number))?;
        }
        let mut family = gauge(encoder, "sessions", "iSCSI sessions.")?;
        for (kind, number) in &self.sessions {
            family
                .encode_family(&[("kind", *kind)])?
                .encode_gauge(number)?;
        }
        let help = "Connections that were turned away, or whose TLS handshake failed.";
        let mut family = counter(encoder, "connections_refused", help)?;
        for (refused, number) in Refused::ALL.into_iter().zip(&self.metrics.refused) {
            let (stage, reason) = refused.names();
            count(&mut family, &[("stage", stage), ("reason", reason)], number)?;
        }
        Ok(())
    }

    fn logins(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "iSCSI logins, by outcome and the CHAP algorithm of those that succeeded.";
        let mut family = counter(encoder, "logins", help)?;
        for (algorithm, number) in Algorithm::ALL.into_iter().zip(&self.metrics.logins) {
            let algorithm = algorithm.to_string();
            let labels: Labels<'_, 3> = [
                ("outcome", "success"),
                ("reason", ""),
                ("algorithm", &algorithm),
            ];
            count(&mut family, &labels, number)?;
        }
        for (fate, number) in Fate::ALL.into_iter().zip(&self.metrics.logins_refused) {
            let (outcome, reason) = fate.names();
            let labels: Labels<'_, 3> =
                [("outcome", outcome), ("reason", reason), ("algorithm", "")];
            if outcome == "refused" {
                count(&mut family, &labels, number)?;
            }
        }
        Ok(())
    }

    fn commands(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "PDUs received, each counted once, by what became of it.";
        let mut family = counter(encoder, "pdus_received", help)?;
        for (kind, row) in PduKind::ALL.into_iter().zip(&self.metrics.pdus) {
            for (fate, number) in Fate::ALL.into_iter().zip(row) {
                let (response, reason) = fate.names();
                let labels: Labels<'_, 3> = [
                    ("pdu", kind.name()),
                    ("response", response),
                    ("reason", reason),
                ];
                if read(number) > 0 {
                    count(&mut family, &labels, number)?;
                }
            }
        }
        let mut family = counter(encoder, "commands", "SCSI commands, by how they ended.")?;
        for (opcode, row) in self.metrics.commands.iter().enumerate() {
            let name = u8::try_from(opcode).ok().and_then(command_name);
            for (place, number) in row.iter().enumerate() {
                let (status, sense) = end_at(place).names();
                let labels: Labels<'_, 3> = [
                    ("command", name.unwrap_or("other")),
                    ("status", status),
                    ("sense", sense),
                ];
                if read(number) > 0 {
                    count(&mut family, &labels, number)?;
                }
            }
        }
        let help = "From the arrival of a command to its status on the way out.";
        let mut family = histogram(encoder, "command_seconds", help)?;
        observe(&mut family, &self.metrics.command)
    }

    fn reads(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let bytes = &self.metrics.bytes;
        for (name, help, number) in [
            (
                "read_bytes",
                "Bytes of disks, sent as data of READ commands.",
                &bytes.read,
            ),
            (
                "received_bytes",
                "Bytes of PDUs from initiators.",
                &bytes.received,
            ),
            ("sent_bytes", "Bytes of PDUs to initiators.", &bytes.sent),
        ] {
            total(&mut counter(encoder, name, help)?, read(number))?;
        }
        let help = "Reads of disks: hot from memory in place, cold on a thread that may block.";
        let mut family = histogram(encoder, "read_seconds", help)?;
        for (kind, times) in [("hot", &self.metrics.hot), ("cold", &self.metrics.cold)] {
            observe(&mut family.encode_family(&[("kind", kind)])?, times)?;
        }
        let help = "Bytes of read data in memory.";
        gauge(encoder, "in_flight_bytes", help)?.encode_gauge(&read(&self.metrics.in_flight))?;
        let mut family = gauge(
            encoder,
            "blocking_reads",
            "Cold reads under way, and reads ahead.",
        )?;
        for (state, number) in [
            ("waiting", &self.metrics.reads_waiting),
            ("running", &self.metrics.reads_blocking),
            ("ahead", &self.metrics.reads_ahead),
        ] {
            family
                .encode_family(&[("state", state)])?
                .encode_gauge(&read(number))?;
        }
        Ok(())
    }

    fn control(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = gauge(encoder, "grants", "Grants that are remembered, by state.")?;
        for (state, number) in &self.grants {
            family
                .encode_family(&[("state", *state)])?
                .encode_gauge(number)?;
        }
        let help = "Events that the audit log has lost.";
        total(
            &mut counter(encoder, "audit_events_lost", help)?,
            self.audit_lost,
        )?;
        for (place, name, help) in [
            (
                0,
                "source_points",
                "Recovery points that the latest scan found.",
            ),
            (
                1,
                "source_points_with_problems",
                "Those of them with problems.",
            ),
            (
                2,
                "source_problems",
                "Problems of a source besides those of its points.",
            ),
        ] {
            let mut family = gauge(encoder, name, help)?;
            for (source, numbers) in &self.sources {
                let number = numbers.get(place).copied().unwrap_or_default();
                family
                    .encode_family(&[("source", source.as_str())])?
                    .encode_gauge(&number)?;
            }
        }
        Ok(())
    }
}

pub(super) fn gauge<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}

pub(super) fn counter<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Counter)
}

fn histogram<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Histogram)
}

fn count<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<'_, N>,
    number: &AtomicU64,
) -> fmt::Result {
    total(&mut family.encode_family(labels)?, read(number))
}

pub(super) fn total(metric: &mut MetricEncoder<'_>, number: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, _, u64>(&number, None)
}

fn observe(family: &mut MetricEncoder<'_>, times: &Histogram) -> fmt::Result {
    let (seconds, steps) = times.read();
    let number = steps.iter().map(|(_, number)| number).sum();
    family.encode_histogram::<NoLabelSet>(seconds, number, &steps, None)
}

fn read(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OpenMetrics 1.0 §5.1: in a label's value, `\\`, `"` and line feed are escaped.
    #[test]
    fn every_source_is_a_series_of_its_own() {
        let source = |label: &str, points| (label.to_owned(), [points, 0, 0]);
        let snapshot = Snapshot {
            metrics: Arc::default(),
            cache: CacheCounts::default(),
            sessions: Vec::new(),
            grants: Vec::new(),
            audit_lost: 0,
            sources: vec![
                source("/a\"b", 1),
                source("/a_b", 2),
                source("/a\\b", 3),
                source("/a\nb", 4),
            ],
        };
        let text = snapshot.text().unwrap();
        for line in [
            r#"itemlift_source_points{source="/a\"b"} 1"#,
            r#"itemlift_source_points{source="/a_b"} 2"#,
            r#"itemlift_source_points{source="/a\\b"} 3"#,
            r#"itemlift_source_points{source="/a\nb"} 4"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
