use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// A source whose scans answer when the test lets them.
struct Hand {
    answers: Sender<Found>,
    begun: Arc<AtomicUsize>,
}

fn by_hand(label: &str) -> (Job, Hand) {
    let (answers, arrived) = channel();
    let arrived: Mutex<Receiver<Found>> = Mutex::new(arrived);
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let job = Job {
        label: label.to_owned(),
        scan: Box::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            arrived.lock().unwrap().recv().unwrap_or_default()
        }),
    };
    (job, Hand { answers, begun })
}

/// A source that answers at once with a point of this id.
fn at_once(label: &str, id: &str) -> Job {
    let found = found(label, id);
    Job {
        label: label.to_owned(),
        scan: Box::new(move || found.clone()),
    }
}

fn found(label: &str, id: &str) -> Found {
    let point = RecoveryPoint {
        vm: "vm".to_owned(),
        id: id.to_owned(),
        time: "2026-11-20T02:00:00Z".parse().unwrap(),
        consistency: Default::default(),
        os: None,
        disks: Vec::new(),
        source: label.to_owned(),
        problems: Vec::new(),
        ignored: Vec::new(),
    };
    Found {
        points: vec![Arc::new(point)],
        problems: Vec::new(),
    }
}

fn ids(points: &[Arc<RecoveryPoint>]) -> Vec<&str> {
    points.iter().map(|point| point.id.as_str()).collect()
}

#[test]
fn a_source_that_hangs_is_waited_for_once_and_by_one_thread() {
    let (slow, hand) = by_hand("slow");
    let scans = Scans::new(vec![slow, at_once("good", "p1")]);
    let asked = Instant::now();
    scans.again();
    assert!(asked.elapsed() >= Duration::from_secs(3), "waited for");
    // From here on everybody has what is known, at once.
    let asked = Instant::now();
    for _ in 0..100 {
        assert_eq!(ids(&scans.fresh()), ["p1"]);
        assert_eq!(ids(&scans.look_at("slow")), ["p1"]);
        assert_eq!(ids(&scans.look_at("good")), ["p1"]);
    }
    scans.again();
    assert!(asked.elapsed() < Duration::from_secs(2), "waited again");
    assert_eq!(hand.begun.load(Ordering::SeqCst), 1, "scans under way");
    let problems = scans.problems();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].source, "slow");
    let reason = &problems[0].problem.reason;
    assert!(reason.contains("has not answered for 3 s"), "{reason}");
    assert!(reason.contains("nothing is known"), "{reason}");
    assert_eq!(scans.silent()[0].label, "slow");

    // It answers, and then no more: what it held stays.
    hand.answers.send(found("slow", "p2")).unwrap();
    while scans.latest().len() < 2 {
        thread::yield_now();
    }
    assert_eq!(scans.problems(), []);
    scans.look_at("slow");
    assert_eq!(ids(&scans.latest()), ["p2", "p1"]);
    let reason = &scans.problems()[0].problem.reason;
    assert!(reason.contains("what it held before is listed"), "{reason}");
    assert_eq!(hand.begun.load(Ordering::SeqCst), 2);
}

#[test]
fn sources_are_looked_at_side_by_side() {
    let jobs: Vec<(Job, Hand)> = (0..8).map(|n| by_hand(&n.to_string())).collect();
    let (jobs, hands): (Vec<Job>, Vec<Hand>) = jobs.into_iter().unzip();
    let scans = Scans::new(jobs);
    let asked = Instant::now();
    scans.fresh();
    assert!(
        asked.elapsed() < Duration::from_secs(6),
        "one after the other"
    );
    let begun = hands.iter().map(|hand| hand.begun.load(Ordering::SeqCst));
    assert_eq!(begun.collect::<Vec<_>>(), [1; 8]);
}

#[test]
fn a_scan_that_panics_leaves_what_was_found_and_the_next_one_goes_on() {
    let begun = AtomicUsize::new(0);
    let good = found("odd", "p1");
    let scan = move || match begun.fetch_add(1, Ordering::SeqCst) {
        1 => panic!("a fault that this test plants"),
        _ => good.clone(),
    };
    let scans = Scans::new(vec![Job {
        label: "odd".to_owned(),
        scan: Box::new(scan),
    }]);
    for _ in 0..3 {
        scans.again();
        assert_eq!(ids(&scans.latest()), ["p1"]);
        assert_eq!(scans.silent(), []);
    }
}

#[test]
fn what_was_looked_at_just_now_is_answered_from_memory() {
    let (job, hand) = by_hand("one");
    let scans = Scans::new(vec![job]);
    hand.answers.send(found("one", "p1")).unwrap();
    scans.again();
    scans.fresh();
    assert_eq!(hand.begun.load(Ordering::SeqCst), 1);
    thread::sleep(FRESH_FOR);
    hand.answers.send(found("one", "p2")).unwrap();
    assert_eq!(ids(&scans.fresh()), ["p2"]);
}
