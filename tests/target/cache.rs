//! The cache: what it has is read in place, and it says what it does.

use std::process::Command;

use iscsi_proto::scsi::Lun;
use itemlift::tunnel::Bundle;

use crate::metrics::{Samples, samples, until, value};
use crate::support::{Place, TestServer, content, log_in};

const LUN: Lun = Lun::peripheral(0);

/// Bytes of a compressed cluster's data, as `qemu-img` writes them.
const CLUSTER: usize = 64 << 10;

/// Bytes that tell every position from every other, and that compress to about half.
pub(crate) fn compressible(len: usize) -> Vec<u8> {
    content(len).into_iter().map(|byte| byte & 0x0f).collect()
}

/// A point whose one disk consists of compressed clusters.
pub(crate) fn compressed_place(bytes: usize) -> Place {
    let place = Place::new();
    let raw = place.disk("disk0");
    std::fs::write(&raw, compressible(bytes)).unwrap();
    let made = Command::new("qemu-img")
        .args(["convert", "-c", "-O", "qcow2", "disk0.raw", "disk0.qcow2"])
        .current_dir(raw.parent().unwrap())
        .status();
    assert!(made.expect("qemu-img, of scripts/apt-tools.sh").success());
    std::fs::remove_file(raw).unwrap();
    place
}

pub(crate) async fn served(place: &Place) -> (TestServer, Bundle) {
    let server = place.serve().await;
    let bundle = server.grant().await;
    (server, bundle)
}

fn reads(samples: &Samples, kind: &str) -> f64 {
    let series = format!(r#"itemlift_read_seconds_count{{kind="{kind}"}}"#);
    value(samples, &series)
}

fn lookups(samples: &Samples, outcome: &str) -> f64 {
    let series = format!(r#"itemlift_cache_lookups_total{{outcome="{outcome}"}}"#);
    value(samples, &series)
}

#[tokio::test]
async fn what_is_decoded_is_read_in_place_and_counted() {
    let wanted = compressible(4 * CLUSTER);
    let (server, bundle) = served(&compressed_place(wanted.len())).await;
    let mut session = log_in(server.connect_plain().await, &bundle).await.unwrap();
    let blocks = |cluster: usize| (cluster * CLUSTER / 512) as u64;
    for cluster in [0, 1] {
        let data = session.read(LUN, blocks(cluster), 8, 4096).await.unwrap();
        assert_eq!(data, wanted[cluster * CLUSTER..][..4096]);
    }
    let cold = until(&server, r#"itemlift_read_seconds_count{kind="cold"}"#, 2.0).await;
    assert_eq!(reads(&cold, "hot"), 0.0);
    // Two clusters, and the slices of the L1 and the L2 table that lead to them.
    assert_eq!(lookups(&cold, "missed"), 4.0);
    assert_eq!(value(&cold, r#"itemlift_cache_pieces{kind="data"}"#), 2.0);
    assert_eq!(value(&cold, r#"itemlift_cache_pieces{kind="table"}"#), 2.0);
    // 8 bytes are all of the L1 table.
    let bytes = 2.0 * (CLUSTER as f64 + 192.0) + (4096.0 + 192.0) + (8.0 + 192.0);
    assert_eq!(value(&cold, "itemlift_cache_bytes"), bytes);
    assert_eq!(value(&cold, "itemlift_cache_limit_bytes"), 268_435_456.0);
    for _ in 0..20 {
        for cluster in [0, 1] {
            let data = session
                .read(LUN, blocks(cluster) + 8, 8, 4096)
                .await
                .unwrap();
            assert_eq!(data, wanted[cluster * CLUSTER + 4096..][..4096]);
        }
    }
    let hot = until(&server, r#"itemlift_read_seconds_count{kind="hot"}"#, 40.0).await;
    assert_eq!(reads(&hot, "cold"), 2.0, "no thread but the worker's");
    assert_eq!(lookups(&hot, "missed"), 4.0);
    // A table slice and a cluster each.
    assert_eq!(lookups(&hot, "hit") - lookups(&cold, "hit"), 80.0);
    session.log_out().await.unwrap();
    server.shut_down().await;
}

#[tokio::test]
async fn what_is_read_in_sequence_is_decoded_ahead_and_what_is_not_is_not() {
    const READ: usize = 128 << 10;
    let wanted = compressible(128 * CLUSTER);
    let (server, bundle) = served(&compressed_place(wanted.len())).await;
    let mut session = log_in(server.connect_plain().await, &bundle).await.unwrap();
    let ahead = "itemlift_read_ahead_bytes_total";
    for n in 0..32 {
        // Each eighth block of 4 KiB from the end on.
        let at = wanted.len() - (n + 1) * 32_768;
        let data = session.read(LUN, at as u64 / 512, 8, 4096).await.unwrap();
        assert_eq!(data, wanted[at..][..4096]);
    }
    assert_eq!(value(&samples(&server).await, ahead), 0.0);
    for at in (0..wanted.len()).step_by(READ) {
        let blocks = READ as u32 / 512;
        let data = session
            .read(LUN, at as u64 / 512, blocks, READ as u32)
            .await
            .unwrap();
        assert!(data == wanted[at..][..READ], "{at}");
    }
    let told = samples(&server).await;
    assert!(value(&told, ahead) > 0.0);
    assert_eq!(value(&told, "itemlift_read_ahead_wasted_bytes_total"), 0.0);
    let used = value(&told, "itemlift_read_ahead_used_bytes_total");
    assert_eq!(used, value(&told, ahead), "all of it was wanted");
    session.log_out().await.unwrap();
    server.shut_down().await;
}

#[tokio::test]
async fn every_number_of_the_cache_is_told_from_the_start() {
    let server = Place::new().serve().await;
    let told = samples(&server).await;
    for series in [
        r#"itemlift_cache_lookups_total{outcome="hit"}"#,
        r#"itemlift_cache_lookups_total{outcome="joined"}"#,
        r#"itemlift_cache_lookups_total{outcome="missed"}"#,
        "itemlift_cache_fetches",
        "itemlift_cache_evictions_total",
        "itemlift_read_ahead_bytes_total",
        "itemlift_read_ahead_used_bytes_total",
        "itemlift_read_ahead_wasted_bytes_total",
    ] {
        assert_eq!(told.get(series), Some(&0.0), "{series}");
    }
    server.shut_down().await;
}
