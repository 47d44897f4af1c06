//! Records dialogues of real initiators for `iscsi-proto/tests/vectors`: serves the known target with the known
//! challenge, so that a recorded login proves itself again. See the README there.
//!
//! Usage: `record ADDRESS PREFIX`; each connection is written to `PREFIX-N.hex`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use iscsi_proto::{Digests, Effect, Framing};
use iscsi_proto_fuzz::{World, disk, hex, known};

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, prefix] = &arguments[..] else { panic!("usage: record ADDRESS PREFIX") };
    let listener = TcpListener::bind(address)?;
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for stream in listener.incoming() {
            let file = format!("{prefix}-{}.hex", count.fetch_add(1, Ordering::Relaxed));
            scope.spawn(move || stream.and_then(|stream| record(stream, &file)));
        }
    });
    Ok(())
}

/// One connection without digests, a line for each PDU: `>` from the initiator, `<` from the target. Of a
/// Data-In the header is enough: the data is what the disk holds.
fn record(mut stream: TcpStream, file: &str) -> std::io::Result<()> {
    let mut lines = std::fs::File::create(file)?;
    let mut world = World::new(known::nonce());
    let (mut buffer, mut input, mut framing) = ([0; 65_536], BytesMut::new(), Framing::new(1 << 24));
    framing.set_digests(Digests::default());
    while !world.machine.is_closed() && world.error.is_none() {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        input.extend_from_slice(&buffer[..len]);
        let before = input.clone();
        while let Ok(Some(frame)) = framing.next(&mut input) {
            let whole = 48 + frame.ahs.len() + frame.data.len().next_multiple_of(4);
            let at = before.len() - input.len() - whole;
            let pdu = &before[at..at + whole];
            writeln!(lines, "> {}", &hex(pdu)[2..])?;
            world.send(pdu);
            loop {
                for effect in std::mem::take(&mut world.effects) {
                    if let Effect::Read(read) = effect {
                        let lun = read.lun.number().unwrap_or_default();
                        let data = disk::contents(lun, read.offset.0, read.len as usize);
                        world.machine.read_done(read.id, Ok(data));
                    }
                }
                let Some(pdu) = world.receive() else { break };
                let wire = [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()].concat();
                let kept = if wire[0] == 0x25 { &wire[..48] } else { &wire };
                writeln!(lines, "< {}", &hex(kept)[2..])?;
                stream.write_all(&wire)?;
            }
        }
    }
    Ok(())
}
