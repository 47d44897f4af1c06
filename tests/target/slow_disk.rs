//! A disk that answers after ten seconds, really: strace holds the server's reads of one file.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::by_hand::{ByHand, LOGIN_STEPS};
use crate::process::{Process, Site, tampered};
use crate::support::{content, within};

const ANSWERS_AFTER: Duration = Duration::from_secs(10);

/// What is asked of a NOP-Out, a task management function and a logout.
const AT_ONCE: Duration = Duration::from_millis(100);

const FAST: u8 = 0;
const SLOW: u8 = 1;

/// Bytes of each disk.
const DISK: usize = 4 << 20;

/// What each of them holds, made once.
fn disk() -> &'static [u8] {
    static DISK_BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    DISK_BYTES.get_or_init(|| content(DISK))
}

/// LUN 0 is a raw image. LUN 1 is an image whose data are in a file of their own, so that nothing but reads of the disk are slow.
fn server() -> Process {
    let site = Site::new();
    let point = site.point();
    std::fs::write(point.join("fast.raw"), disk()).unwrap();
    let options = "data_file=slow.data,data_file_raw=on,preallocation=metadata";
    let made = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-o", options, "slow.qcow2"])
        .arg(DISK.to_string())
        .current_dir(&point)
        .status();
    assert!(made.expect("qemu-img, of scripts/apt-tools.sh").success());
    std::fs::write(point.join("slow.data"), disk()).unwrap();
    let disks = "[[disk]]\nfile = \"fast.raw\"\n[[disk]]\nfile = \"slow.qcow2\"\n";
    std::fs::write(point.join("point.toml"), disks).unwrap();
    site.serve(&slowly(&point.join("slow.data")))
}

/// Runs a program whose reads of one file take their time.
fn slowly(file: &Path) -> Vec<String> {
    let delay = format!("inject=pread64:delay_enter={}", ANSWERS_AFTER.as_micros());
    tampered(
        file,
        &[
            "trace=pread64,preadv2",
            &delay,
            // As on a file system that cannot tell what is in memory: every read waits for the storage.
            "inject=preadv2:error=EOPNOTSUPP",
        ],
    )
}

/// All of what one connection may have under way: 16 reads of 256 KiB.
async fn clog(peer: &mut ByHand<TcpStream>) {
    for n in 0..16 {
        peer.read(SLOW, 100 + n, u32::from(n) * 512, 512).await;
    }
}

/// How long the answer to an immediate request took.
async fn asked(peer: &mut ByHand<TcpStream>, begins: [u8; 2], lun: u8, tag: u32) -> Duration {
    let begun = Instant::now();
    peer.immediate(begins, lun, 9, tag).await;
    let frame = within(5, peer.receive()).await.unwrap();
    let answers = begins[0] & 0x3f | 0x20;
    assert_eq!((frame.bhs[0], frame.bhs[2], frame.bhs[19]), (answers, 0, 9));
    begun.elapsed()
}

/// On a machine that has other things to do some may be late; the disk would make all of them wait.
fn at_once(mut took: Vec<Duration>) {
    took.sort();
    let (middle, last) = (took[took.len() / 2], took[took.len() - 1]);
    assert!(middle < AT_ONCE, "{took:?}");
    assert!(last < ANSWERS_AFTER / 4, "{took:?}");
}

async fn reads(peer: &mut ByHand<TcpStream>, count: u32) -> Vec<Duration> {
    let mut took = Vec::new();
    for lba in 0..count {
        let begun = Instant::now();
        peer.read(FAST, 3, lba, 8).await;
        let frame = within(5, peer.receive()).await.unwrap();
        took.push(begun.elapsed());
        let at = lba as usize * 512;
        assert_eq!(frame.data, disk()[at..at + 4096]);
    }
    took
}

#[tokio::test]
async fn control_overtakes_a_disk_that_answers_after_ten_seconds() {
    let server = server();
    let (bundle, other) = (server.grant(), server.grant());
    let mut peer = ByHand::log_in(server.connect_plain().await, &bundle, 1).await;
    let mut same_target = ByHand::log_in(server.connect_plain().await, &bundle, 2).await;
    let mut leaving = ByHand::log_in(server.connect_plain().await, &bundle, 3).await;
    let mut patient = ByHand::log_in(server.connect_plain().await, &other, 1).await;
    let mut bystander = ByHand::log_in(server.connect_plain().await, &other, 2).await;
    at_once(reads(&mut bystander, 20).await);

    let begun = Instant::now();
    patient.read(SLOW, 60, 4000, 8).await;
    same_target.read(SLOW, 61, 0, 8).await;
    clog(&mut leaving).await;
    clog(&mut peer).await;
    let mut nops = Vec::new();
    for _ in 0..10 {
        nops.push(asked(&mut peer, [0x40, 0x80], 0, u32::MAX).await);
    }
    at_once(nops);
    at_once(reads(&mut bystander, 20).await);
    // ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET.
    let mut functions = vec![asked(&mut peer, [0x42, 0x81], SLOW, 100).await];
    for function in [0x82, 0x84, 0x85] {
        clog_again(&mut peer).await;
        functions.push(asked(&mut peer, [0x42, function], SLOW, u32::MAX).await);
    }
    at_once(functions);
    at_once(vec![asked(&mut leaving, [0x46, 0x80], 0, 0).await]);
    assert!(within(5, leaving.receive()).await.is_none(), "closed");
    at_once(reads(&mut bystander, 20).await);
    assert!(
        begun.elapsed() < ANSWERS_AFTER,
        "all that before the disk has answered"
    );

    // The other grant's read has its data when the disk has it.
    let frame = within(30, patient.receive()).await.unwrap();
    assert_eq!(
        (frame.bhs[0], frame.bhs[1], frame.bhs[19]),
        (0x25, 0x81, 60)
    );
    assert_eq!(frame.data, disk()[4000 * 512..4008 * 512]);
    assert!(begun.elapsed() >= ANSWERS_AFTER, "{:?}", begun.elapsed());
    // Those that were ended say nothing; the session of the same target is told of the reset with its next command.
    for ended in [&mut peer, &mut same_target] {
        ended.nop(10).await;
        let frame = within(5, ended.receive()).await.unwrap();
        assert_eq!((frame.bhs[0], frame.bhs[19]), (0x20, 10), "silence");
        ended.command(SLOW, 11, &[0; 6], 0).await;
        let frame = within(5, ended.receive()).await.unwrap();
        assert_eq!((frame.bhs[0], frame.bhs[3]), (0x21, 2));
        assert_eq!((frame.data[2 + 2] & 0x0f, frame.data[2 + 12]), (0x06, 0x29));
    }
}

/// The reads that were ended still hold their memory, so these wait inside; what matters is that there are some to end.
async fn clog_again(peer: &mut ByHand<TcpStream>) {
    peer.command(SLOW, 8, &[0; 6], 0).await;
    within(5, peer.receive()).await.unwrap();
    for n in 0..4 {
        peer.read(SLOW, 120 + n, 0, 512).await;
    }
}

/// Reads hold their threads until the disk answers, also those that nobody waits for any more: who comes and goes with reads
/// under way cannot take more threads than one disk may have.
#[tokio::test]
async fn connections_that_close_with_reads_under_way_take_no_more_threads() {
    let server = server();
    let bundle = server.grant();
    let before = server.threads();
    for _ in 0..12 {
        let mut peer = ByHand::log_in(server.connect_plain().await, &bundle, 1).await;
        clog(&mut peer).await;
        peer.nop(1).await;
        assert_eq!(within(5, peer.receive()).await.unwrap().bhs[0], 0x20);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    // 16 for the disk, and some for what else may block.
    let after = server.threads();
    assert!(
        after < before + 16 + 10,
        "{before} threads before, {after} after"
    );
    let mut peer = ByHand::log_in(server.connect_plain().await, &bundle, 1).await;
    at_once(reads(&mut peer, 20).await);
}

/// The same for disks that take so long to open: one thread for a grant, however often somebody logs in and goes again.
#[tokio::test]
async fn logins_that_are_given_up_while_a_disk_is_opened_take_no_more_threads() {
    let site = Site::new();
    let image = site.point().join("disk0.raw");
    std::fs::write(&image, content(1 << 20)).unwrap();
    let swift = site.serve(&[]);
    let mut bundle = swift.grant();
    swift.stop();
    let server = site.serve(&slowly(&image));
    bundle.portal = server.tls.to_string();
    let before = server.threads();
    for port in 0..40 {
        let mut peer = ByHand::new(server.connect_plain().await);
        peer.port = port;
        for step in 0..LOGIN_STEPS {
            let request = peer.login_request(&bundle, step);
            peer.stream.write_all(&request).await.unwrap();
            if step + 1 < LOGIN_STEPS {
                let answer = within(5, peer.receive()).await.unwrap();
                peer.note_login(step, &answer);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let after = server.threads();
    assert!(
        after < before + 10,
        "{before} threads before, {after} after"
    );
}
