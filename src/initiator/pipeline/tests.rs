//! A target of bytes: what a pipeline sends, and what it makes of answers that come in any portion.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

/// Commands 7 to 9 are taken; the next status is 10.
const NUMBERS: Numbers = Numbers {
    stat_sn: StatSn(10),
    exp_cmd_sn: CmdSn(7),
    max_cmd_sn: CmdSn(9),
};

/// What happened, with the bytes kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Data(usize, u32, Vec<u8>),
    Ended(usize, u8, bool),
    Sense(u8, u8),
    Rejected(usize, u8),
    AskedToLogOut,
    LoggedOut,
}

fn pipeline(depth: usize) -> (Pipeline<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(64 * 1024);
    (Pipeline::begin(ours, &[], depth, NUMBERS), theirs)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

/// READ of 2 blocks of 4 bytes at block 5: only the target would mind.
fn submit(pipeline: &mut Pipeline<DuplexStream>) -> usize {
    let slot = pipeline.free_slot().unwrap();
    pipeline.submit(slot, Lun::peripheral(0), 5, 2, 8);
    slot
}

fn look(pipeline: &mut Pipeline<DuplexStream>, seen: &mut Vec<Seen>) -> Result<(), InitiatorError> {
    while let Some(event) = pipeline.poll_event()? {
        match event {
            PipelineEvent::Data {
                slot,
                offset,
                bytes,
            } => match seen.last_mut() {
                // Pieces of one run are put together.
                Some(Seen::Data(last, start, data))
                    if *last == slot && *start as usize + data.len() == offset as usize =>
                {
                    data.extend_from_slice(bytes);
                }
                _ => seen.push(Seen::Data(slot, offset, bytes.to_vec())),
            },
            PipelineEvent::Ended {
                slot,
                status,
                sense,
                whole,
            } => {
                seen.push(Seen::Ended(slot, status, whole));
                seen.extend(sense.map(|sense| Seen::Sense(sense.key, sense.asc)));
            }
            PipelineEvent::Rejected { slot, reason } => seen.push(Seen::Rejected(slot, reason)),
            PipelineEvent::AskedToLogOut => seen.push(Seen::AskedToLogOut),
            PipelineEvent::LoggedOut => seen.push(Seen::LoggedOut),
        }
    }
    Ok(())
}

/// Lets the bytes come in two portions, cut at `cut`.
async fn receive(
    pipeline: &mut Pipeline<DuplexStream>,
    target: &mut DuplexStream,
    bytes: &[u8],
    cut: usize,
) -> Result<Vec<Seen>, InitiatorError> {
    let mut seen = Vec::new();
    for portion in [&bytes[..cut], &bytes[cut..]] {
        if !portion.is_empty() {
            target.write_all(portion).await.unwrap();
            pipeline.exchange().await?;
            look(pipeline, &mut seen)?;
        }
    }
    Ok(seen)
}

/// What the target got; fails a test that would wait for ever.
async fn sent(target: &mut DuplexStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let reading = target.read_exact(&mut bytes);
    let read = tokio::time::timeout(Duration::from_secs(10), reading).await;
    read.expect("in time").unwrap();
    bytes
}

/// 5 bytes with padding, then 3 bytes with padding and GOOD status, all of slot 0's first read.
fn two_data_ins() -> Vec<u8> {
    hex("25000000 00000005 0000000000000000 00000000 ffffffff
         00000000 00000008 00000009 00000000 00000000 00000000 6162636465 000000
         25810000 00000003 0000000000000000 00000000 ffffffff
         0000000a 00000008 00000009 00000001 00000005 00000000 666768 00")
}

#[tokio::test]
async fn a_read_that_comes_in_any_two_portions() {
    let bytes = two_data_ins();
    for cut in 0..bytes.len() {
        let (mut pipeline, mut target) = pipeline(1);
        assert_eq!(submit(&mut pipeline), 0);
        let seen = receive(&mut pipeline, &mut target, &bytes, cut)
            .await
            .unwrap();
        let whole = [
            Seen::Data(0, 0, b"abcdefgh".to_vec()),
            Seen::Ended(0, 0, true),
        ];
        assert_eq!(seen, whole, "cut at {cut}");
        assert_eq!(pipeline.outstanding(), 0);
        let command = sent(&mut target, 48).await;
        let read = hex(
            "01c10000 00000000 0000000000000000 00000000 00000008 00000007 0000000a
             8800 0000000000000005 00000002 0000",
        );
        assert_eq!(command, read);
    }
}

#[tokio::test]
async fn no_more_than_fit_and_than_the_target_takes() {
    let (mut pipeline, mut target) = pipeline(2);
    assert_eq!((submit(&mut pipeline), submit(&mut pipeline)), (0, 1));
    assert_eq!(pipeline.free_slot(), None);
    let answer = two_data_ins();
    receive(&mut pipeline, &mut target, &answer, 0)
        .await
        .unwrap();
    assert_eq!(submit(&mut pipeline), 0, "the slot is free again");
    // Its tag is another, so the same answer again is no answer.
    let again = receive(&mut pipeline, &mut target, &answer, 0).await;
    assert!(
        matches!(again, Err(InitiatorError::Protocol(_))),
        "{again:?}"
    );

    let (mut pipeline, mut target) = self::pipeline(100);
    let taken = std::iter::from_fn(|| pipeline.free_slot().map(|_| submit(&mut pipeline))).count();
    assert_eq!(taken, 3, "commands 7, 8 and 9");
    let mut answer = two_data_ins();
    // MaxCmdSN 10.
    answer[56 + 35] = 10;
    receive(&mut pipeline, &mut target, &answer, 0)
        .await
        .unwrap();
    submit(&mut pipeline);
    assert_eq!(pipeline.free_slot(), None);
}

#[tokio::test]
async fn sense_data_rejects_and_too_little() {
    let sense = hex(
        "21800002 00000014 0000000000000000 00000000 00000000 0000000a 00000008 00000009 00000000 00000000 00000000
         0012 f00003 00000005 0a 00000000 1100 00000000",
    );
    let reject = hex(
        "3f800c00 00000030 0000000000000000 ffffffff 00000000 0000000a 00000008 00000009 00000000 00000000 00000000
         01c10000 00000000 0000000000000000 00000000 00000008 00000007 0000000a
         88000000 00000000 00050000 00020000",
    );
    let mut little = two_data_ins();
    little.drain(..56);
    little[43] = 0;
    let cases = [
        (sense, vec![Seen::Ended(0, 2, false), Seen::Sense(3, 0x11)]),
        (reject, vec![Seen::Rejected(0, 0x0c)]),
        (
            little,
            vec![Seen::Data(0, 0, b"fgh".to_vec()), Seen::Ended(0, 0, false)],
        ),
    ];
    for (bytes, expected) in cases {
        for cut in 0..bytes.len() {
            let (mut pipeline, mut target) = pipeline(1);
            submit(&mut pipeline);
            let seen = receive(&mut pipeline, &mut target, &bytes, cut)
                .await
                .unwrap();
            assert_eq!(seen, expected, "cut at {cut}");
            assert_eq!(pipeline.outstanding(), 0);
        }
    }
}

#[tokio::test]
async fn a_target_that_breaks_the_protocol_is_left() {
    let changed = |at: usize, to: &[u8]| {
        let mut bytes = two_data_ins();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    for (what, bytes) in [
        ("data of no command", changed(19, &[1])),
        ("a gap", changed(43, &[1])),
        ("more than was asked for", changed(5, &[0, 0, 9])),
        ("an additional header segment", changed(4, &[1])),
        ("a segment of 256 KiB and a byte", changed(5, &[4, 0, 1])),
        (
            "a NOP-In of 8 KiB and a byte",
            changed(0, &[0x20, 0x80, 0, 0, 0, 0, 0x20, 1]),
        ),
        ("an R2T", changed(0, &[0x31, 0x80, 0, 0, 0, 0, 0, 0])),
        (
            "an operation code of nobody",
            changed(0, &[0x3e, 0x80, 0, 0, 0, 0, 0, 0]),
        ),
        (
            "the target failed",
            changed(0, &[0x21, 0x80, 1, 0, 0, 0, 0, 0]),
        ),
        (
            "a reject of something else",
            changed(0, &[0x3f, 0x80, 4, 0, 0, 0, 0, 0]),
        ),
    ] {
        let (mut pipeline, mut target) = pipeline(1);
        submit(&mut pipeline);
        assert!(
            receive(&mut pipeline, &mut target, &bytes, 0)
                .await
                .is_err(),
            "{what}"
        );
    }
    let (mut pipeline, target) = pipeline(1);
    drop(target);
    assert!(matches!(
        pipeline.exchange().await,
        Err(InitiatorError::Lost(_))
    ));
}

#[tokio::test]
async fn a_session_without_reads_answers_and_is_asked_to_leave() {
    let (mut pipeline, mut target) = pipeline(0);
    assert_eq!(pipeline.free_slot(), None);
    let ping = hex(
        "20800000 00000003 0000000000000000 ffffffff 0000002a 0000000a 00000007 00000009 00000000 00000000 00000000
         70696e00",
    );
    assert_eq!(
        receive(&mut pipeline, &mut target, &ping, 50)
            .await
            .unwrap(),
        []
    );
    let logout = hex(
        "32800000 00000000 0000000000000000 ffffffff 00000000 0000000a 00000007 00000009 01000000 00000005 00000000",
    );
    let seen = receive(&mut pipeline, &mut target, &logout, 0)
        .await
        .unwrap();
    assert_eq!(seen, [Seen::AskedToLogOut]);
    let pong = sent(&mut target, 52).await;
    let expected = hex(
        "40800000 00000003 0000000000000000 ffffffff 0000002a 00000007 0000000a 00000000 00000000 00000000 00000000
         70696e00",
    );
    assert_eq!(pong, expected);

    let leaving = tokio::spawn(pipeline.log_out());
    let request = sent(&mut target, 48).await;
    let expected = hex(
        "46800000 00000000 0000000000000000 fffffffe 00000000 00000007 0000000b 00000000 00000000 00000000 00000000",
    );
    assert_eq!(request, expected);
    let answer = hex(
        "26800000 00000000 0000000000000000 fffffffe 00000000 0000000b 00000007 00000009 00000000 00020000 00000000",
    );
    target.write_all(&answer).await.unwrap();
    leaving.await.unwrap().unwrap();
    assert_eq!(target.read(&mut [0]).await.unwrap(), 0);
}
