//! Dialogues with a server of literal bytes.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};

use super::*;

/// What a server does.
#[derive(Clone, Default)]
struct Server {
    content: Vec<u8>,
    /// Bytes that it gives for one request, at most.
    at_once: usize,
    /// What it answers everything with, if not as it should.
    always: Option<&'static [u8]>,
}

impl Server {
    /// Answers what has come so far in the opposite order.
    async fn serve(self, mut stream: DuplexStream) {
        let mut init = [0; 9];
        stream.read_exact(&mut init).await.unwrap();
        assert_eq!(init, *b"\0\0\0\x05\x01\0\0\0\x03");
        send(&mut stream, b"\x02\0\0\0\x03").await;
        let (mut asked, mut names_given) = (Vec::new(), false);
        while stream.read_buf(&mut asked).await.unwrap() > 0 {
            let mut answers = Vec::new();
            while let Some(packet) = packet(&mut asked) {
                answers.push(self.answer(&packet, &mut names_given));
            }
            for answer in answers.iter().rev() {
                send(&mut stream, answer).await;
            }
        }
    }

    fn answer(&self, packet: &[u8], names_given: &mut bool) -> Vec<u8> {
        let (kind, id, fields) = (packet[0], &packet[1..5], &packet[5..]);
        let reply = |kind: u8, fields: &[u8]| [&[kind][..], id, fields].concat();
        let status = |code: u8| reply(101, &[0, 0, 0, code, 0, 0, 0, 0, 0, 0, 0, 0]);
        if let Some([kind, fields @ ..]) = self.always {
            return reply(*kind, fields);
        }
        match kind {
            3 if fields.ends_with(b"gone\0\0\0\x01\0\0\0\0") => status(2),
            3 if fields.ends_with(b"mine\0\0\0\x01\0\0\0\0") => status(3),
            3 | 11 => reply(102, b"\0\0\0\x01h"),
            4 => status(0),
            5 => {
                let offset = u64::from_be_bytes(fields[5..13].try_into().unwrap());
                let length = u32::from_be_bytes(fields[13..17].try_into().unwrap());
                assert!(length <= 32768);
                let from = (offset as usize).min(self.content.len());
                let length = (length as usize).min(self.at_once);
                let data = &self.content[from..(from + length).min(self.content.len())];
                match data.len() {
                    0 => status(1),
                    length => reply(103, &[&(length as u32).to_be_bytes(), data].concat()),
                }
            }
            8 => {
                let size = (self.content.len() as u64).to_be_bytes();
                reply(105, &[&[0, 0, 0, 1][..], &size].concat())
            }
            12 if std::mem::replace(names_given, true) => status(1),
            12 => reply(
                104,
                b"\0\0\0\x02\0\0\0\x02aa\0\0\0\0\0\0\0\0\0\0\0\x01\xff\0\0\0\0\0\0\0\0",
            ),
            kind => panic!("a reader asks for nothing of type {kind}"),
        }
    }

    async fn dialogue(self) -> Dialogue<impl AsyncRead + Unpin, impl AsyncWrite + Unpin> {
        let (ours, theirs) = duplex(1 << 20);
        tokio::spawn(self.serve(theirs));
        let (input, output) = split(ours);
        Dialogue::begin(input, output).await.unwrap()
    }
}

async fn send(stream: &mut DuplexStream, packet: &[u8]) {
    let length = (packet.len() as u32).to_be_bytes();
    stream.write_all(&[&length, packet].concat()).await.unwrap();
}

/// The first packet that is whole.
fn packet(asked: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = u32::from_be_bytes(*asked.first_chunk()?) as usize;
    (asked.len() >= 4 + length).then(|| asked.drain(..4 + length).skip(4).collect())
}

fn content() -> Vec<u8> {
    (0..200_000_u32).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn files_are_read_whatever_order_and_length_answers_have() {
    let content = content();
    for at_once in [32768, 20_000, 1000] {
        let server = Server {
            content: content.clone(),
            at_once,
            always: None,
        };
        let mut dialogue = server.dialogue().await;
        let whole = dialogue.read(b"/a", Part::Whole { limit: 1 << 20 }).await;
        assert!(whole.unwrap() == content, "{at_once}");
        // One byte more than is allowed tells that it is too long.
        let whole = dialogue.read(b"/a", Part::Whole { limit: 99 }).await;
        assert!(whole.unwrap() == content[..100], "{at_once}");
        for (offset, length) in [(0, 1), (70_001, 99_999), (199_999, 1)] {
            let part = Part::Range { offset, length };
            let read = dialogue.read(b"/a", part).await.unwrap();
            let from = offset as usize;
            assert!(
                read == content[from..from + length as usize],
                "{at_once} {offset}"
            );
        }
        // It ends before.
        let part = Part::Range {
            offset: 150_000,
            length: 100_000,
        };
        let read = dialogue.read(b"/a", part).await.unwrap();
        assert!(read == content[150_000..], "{at_once}");
    }
}

#[tokio::test]
async fn folders_are_listed_and_what_is_not_there_is_told() {
    let mut dialogue = Server::default().dialogue().await;
    // A name that is no text is no name of a repository.
    assert_eq!(dialogue.list(b"/keys").await.unwrap(), ["aa"]);
    let part = Part::Whole { limit: 1 };
    for (path, expected) in [
        (&b"/gone"[..], StorageFault::Missing),
        (b"/mine", StorageFault::Denied(String::new())),
    ] {
        match dialogue.read(path, part).await {
            Err(TryFault::Final(fault)) => assert_eq!(fault, expected),
            other => panic!("{other:?}"),
        }
    }
    // And it goes on.
    assert_eq!(dialogue.read(b"/empty", part).await.unwrap(), b"");
}

#[tokio::test]
async fn a_server_that_makes_no_sense_is_a_fault_that_may_pass() {
    for always in [
        // A handle, and data where a handle should be.
        &b"\x66\0\0\0\x01h"[..],
        b"\x67\0\0\0\x03abc",
        b"\x65\0\0\0\x04",
        b"\x42",
        b"\x66\0\0\x02\0h",
    ] {
        let server = Server {
            always: Some(always),
            ..Server::default()
        };
        let mut dialogue = server.dialogue().await;
        let part = Part::Range {
            offset: 0,
            length: 10,
        };
        let outcome = dialogue.read(b"/a", part).await;
        assert!(matches!(outcome, Err(TryFault::Passing(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_is_too_long_or_of_another_version_ends_it() {
    for hello in [
        &b"\0\0\0\x05\x02\0\0\0\x02"[..],
        b"\xff\xff\xff\xff",
        b"SSH-2.0-x\r\n",
        b"",
    ] {
        let (ours, mut theirs) = duplex(100);
        theirs.write_all(hello).await.unwrap();
        theirs.shutdown().await.unwrap();
        let (input, output) = split(ours);
        assert!(Dialogue::begin(input, output).await.is_err(), "{hello:?}");
    }
}
