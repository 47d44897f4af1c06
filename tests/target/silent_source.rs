//! A source that does not answer, really: strace holds whoever lists one of its folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use itemlift::tunnel::Bundle;
use tokio::runtime::Builder;

use crate::by_hand::ByHand;
use crate::process::{Process, Site, tampered};
use crate::support::{POINT, content, within};

/// Longer than any of these tests takes.
const HANGS_FOR: Duration = Duration::from_secs(90);

/// What is answered from what is known, on a machine that has other things to do. A scan is waited for 3 seconds.
const FROM_MEMORY: Duration = Duration::from_millis(2500);

/// Two sources: one that answers, and one with a VM whose folder hangs once it is there.
fn site() -> Arc<Site> {
    let site = Site::new();
    fs::write(site.point().join("disk0.raw"), content(1 << 20)).unwrap();
    let swift = site.other_source().join("swift").join(POINT);
    fs::create_dir_all(&swift).unwrap();
    fs::write(swift.join("disk0.raw"), content(4096)).unwrap();
    site
}

fn serve(site: &Arc<Site>) -> Process {
    site.serve_sources(&[site.other_source()], &holding(&hung(site)))
}

fn hung(site: &Site) -> PathBuf {
    site.other_source().join("hung")
}

fn holding(folder: &Path) -> Vec<String> {
    let delay = format!("inject=getdents64:delay_enter={}", HANGS_FOR.as_micros());
    tampered(folder, &["trace=getdents64", &delay])
}

fn took<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    (what(), begun.elapsed())
}

#[test]
fn a_source_that_hangs_keeps_nobody_from_the_others() {
    let site = site();
    let server = serve(&site);
    let [first, second] = [(); 2].map(|()| server.grant());
    fs::create_dir(hung(&site)).unwrap();
    // Known sources are looked at again after a second.
    thread::sleep(Duration::from_millis(1100));

    // The first to ask waits some seconds; meanwhile somebody logs in for the first time, to the source that answers.
    let listing = thread::scope(|scope| {
        let asking = scope.spawn(|| took(|| server.command(&["point", "list"])));
        thread::sleep(Duration::from_millis(500));
        let (_, took) = took(|| read_by_a_first_login(&server, &first));
        assert!(took < FROM_MEMORY, "a first login took {took:?}");
        asking.join().unwrap()
    });
    let (points, took_first) = listing;
    assert!(
        points.contains("web01") && points.contains("swift"),
        "{points}"
    );
    assert!(took_first < Duration::from_secs(10), "{took_first:?}");

    // From here on everybody has what is known.
    let before = server.threads();
    for _ in 0..5 {
        let (points, took) = took(|| server.command(&["point", "list"]));
        assert!(points.contains("swift"), "{points}");
        assert!(took < FROM_MEMORY, "{took:?}");
    }
    let (third, took_grant) = took(|| server.grant());
    assert!(took_grant < FROM_MEMORY, "{took_grant:?}");
    for grant in [&second, &third] {
        let (_, took) = took(|| read_by_a_first_login(&server, grant));
        assert!(took < FROM_MEMORY, "a first login took {took:?}");
    }
    let after = server.threads();
    assert!(after < before + 6, "{before} threads before, {after} after");
    let sources = server.command(&["source", "list"]);
    assert!(sources.contains("has not answered for"), "{sources}");
    assert!(
        sources.contains("what it held before is listed"),
        "{sources}"
    );
}

#[test]
fn the_server_starts_though_a_source_hangs() {
    let site = site();
    fs::create_dir(hung(&site)).unwrap();
    let (server, took) = took(|| serve(&site));
    assert!(took < HANGS_FOR / 3, "{took:?}");
    let sources = server.command(&["source", "list"]);
    assert!(
        sources.contains("nothing is known of what it holds"),
        "{sources}"
    );
    server.grant();
}

/// Logs in and reads a block.
fn read_by_a_first_login(server: &Process, bundle: &Bundle) {
    let read = async {
        let mut peer = ByHand::log_in(server.connect_plain().await, bundle, 1).await;
        peer.read(0, 5, 0, 8).await;
        let frame = within(20, peer.receive()).await.unwrap();
        assert_eq!(frame.data, content(4096));
    };
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(read);
}
