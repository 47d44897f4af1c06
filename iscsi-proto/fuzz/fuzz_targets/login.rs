//! Login: nobody gets in without the right secret and without challenging us, nobody learns of a target
//! before, replies are bounded, and every login ends.
//!
//! Input: a byte (bit 0: steps and not a stream; bit 1: our challenge is not the known one; bits 2 to 7: bytes
//! of a stream taken at a time, 0 for all), then the stream, or steps: `step` says how each is made.
#![no_main]

use chap::Nonce;
use iscsi_proto::pdu::LoginResponse;
use iscsi_proto::{Digests, Framing};
use iscsi_proto_fuzz::{Input, World, base64, decode, known};
use libfuzzer_sys::fuzz_target;

/// Bytes. What an initiator takes during login (RFC 7143 §13.12).
const LONGEST_REPLY: usize = 8192;
/// PDUs and seconds of a login.
const LIMITS: (usize, u64) = (32, 15);

/// Keys that mean something, right ones and others.
const KEYS: [&str; 32] = [
    "InitiatorName=iqn.1993-08.org.debian:01:abc\0",
    "SessionType=Normal\0",
    "TargetName=iqn.2026-11.io.itemlift:g1\0",
    "AuthMethod=CHAP,None\0",
    "CHAP_A=5\0",
    "CHAP_A=8,7,6,5\0",
    "CHAP_N=ini\0",
    "CHAP_R=0x72cb570c499c09e930169039c15e94c6\0",
    "CHAP_I=7\0",
    "CHAP_C=0xf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\0",
    "HeaderDigest=CRC32C,None\0",
    "DataDigest=CRC32C\0",
    "MaxRecvDataSegmentLength=512\0",
    "MaxBurstLength=512\0",
    "SessionType=Discovery\0",
    "TargetName=iqn.2026-11.io.itemlift:g2\0",
    "AuthMethod=None\0",
    "CHAP_A=56\0",
    "CHAP_N=eve\0",
    "CHAP_R=0xe2cab26a8481724346af709a97c5e539\0",
    "CHAP_I=42\0",
    "CHAP_C=0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\0",
    "CHAP_R=0x38c7335b34bdad83af28066b25785134202560a673e9e15d9691c481a5be499a\0",
    "CHAP_R=0x716a4e8e6d21f92d953d327344efd729bd96ef693fff189607b7bff1b469b0ff\0",
    "CHAP_A=7\0",
    "InitialR2T=No\0",
    "MaxConnections=8\0",
    "ErrorRecoveryLevel=2\0",
    "IFMarker=Yes\0",
    "TaskReporting=RFC3720\0",
    "SendTargets=All\0",
    "X-io.itemlift.a=b\0",
];

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let mode = input.byte();
    let mut nonce = known::nonce();
    if mode & 2 != 0 {
        nonce = Nonce { identifier: 43, challenge: [0xc3; 32] };
    }
    let mut world = World::new(nonce);
    let (mut sent, mut replies, mut seconds) = (Vec::new(), 0, 0);
    let mut right = 0;
    while !input.is_empty() && world.error.is_none() {
        let piece = match mode {
            _ if mode & 1 != 0 => step(&mut input, &mut right, &mut world, &mut seconds),
            0..4 => input.take(usize::MAX).to_vec(),
            _ => input.take(usize::from(mode >> 2)).to_vec(),
        };
        sent.extend_from_slice(&piece);
        world.send(&piece);
        replies += take_replies(&mut world, &sent);
        // Also one that what stands behind its login has ended already.
        if world.machine.status().tsih.is_some() {
            return assert!(mode & 2 == 0 && proves(&sent, &world), "{}", String::from_utf8_lossy(&sent));
        }
        assert!(replies <= LIMITS.0 + 2 && seconds < LIMITS.1 || world.machine.is_closed() || world.error.is_some());
    }
    assert!(world.machine.poll_effect().is_none() && world.effects.is_empty());
    // A login that does not get on ends by time.
    if world.error.is_none() {
        world.pass(LIMITS.1);
        take_replies(&mut world, &sent);
        assert!(world.machine.is_closed() && world.machine.poll_timeout().is_none());
        assert!(!world.machine.wants_input());
    }
});

/// A step of the right login, maybe with more keys; or any stages and keys; or time.
fn step(input: &mut Input, right: &mut usize, world: &mut World, seconds: &mut u64) -> Vec<u8> {
    let kind = input.byte();
    let (stages, mut keys) = match kind & 7 {
        0..=3 => {
            let (stages, keys) = &known::right_steps()[*right % 4];
            *right += 1;
            (*stages, keys.clone())
        }
        7 => {
            *seconds += u64::from(kind >> 3);
            world.pass(u64::from(kind >> 3));
            return Vec::new();
        }
        _ => (input.byte(), Vec::new()),
    };
    for _ in 0..if kind & 7 == 0 { 0 } else { kind >> 3 } {
        match input.byte() {
            which @ 0..32 => keys.extend_from_slice(KEYS[usize::from(which)].as_bytes()),
            which @ 32..64 => (0..which).for_each(|n| keys.extend_from_slice(format!("X-{which}.{n}=a\0").as_bytes())),
            _ => keys.extend_from_slice(input.short()),
        }
    }
    known::login_request(if kind & 7 == 3 { input.byte() } else { stages }, &keys)
}

fn take_replies(world: &mut World, sent: &[u8]) -> usize {
    let mut count = 0;
    while let Some(pdu) = world.receive() {
        count += 1;
        assert!(pdu.data.len() <= LONGEST_REPLY);
        let bhs = pdu.head.as_ref().first_chunk().expect("48 bytes");
        let Ok(response) = LoginResponse::parse(bhs) else {
            // The stream went on after its login.
            assert!(world.machine.status().tsih.is_some());
            continue;
        };
        let keys = std::str::from_utf8(&pdu.data).expect("our own text");
        let pairs: Vec<_> = keys.split_terminator('\0').map(|pair| pair.split_once('=').expect("a pair")).collect();
        let tells = pairs.iter().any(|(key, value)| *key == "CHAP_R" || value.contains("itemlift:"));
        assert!(!tells || proves(sent, world), "{pairs:?}");
        // RFC 7143 §11.13.5: the connection ends with a status other than success.
        assert_eq!(response.status.0 != 0, world.refusal.is_some() && world.machine.is_closed());
        assert!(response.status.0 == 0 || pairs.is_empty());
    }
    count
}

/// Whether what was sent holds a name, the response that its secret makes, and a challenge for us.
fn proves(sent: &[u8], world: &World) -> bool {
    let (mut framing, mut stream) = (Framing::new(LONGEST_REPLY as u32), bytes::BytesMut::from(sent));
    framing.set_digests(Digests::default());
    let mut all = Vec::new();
    while let Ok(Some(frame)) = framing.next(&mut stream) {
        all.extend_from_slice(&frame.data);
    }
    let all = String::from_utf8_lossy(&all);
    let has = |key: &str, allowed: &dyn Fn(&str) -> bool| {
        all.split('\0').filter_map(|pair| pair.split_once('=')).any(|(name, value)| name == key && allowed(value))
    };
    let same = |proof: &str, value: &str| {
        decode(value).is_some_and(|bytes| base64(&bytes) == base64(&decode(proof).expect("known")))
    };
    let eve = world.machine.status().user.as_deref() == Some("eve");
    let proofs = if eve { &[known::EVES_PROOF][..] } else { &known::PROOFS[..] };
    let right = has("CHAP_R", &|value| proofs.iter().any(|proof| same(proof, value)));
    let challenged =
        has("CHAP_I", &|_| true) && has("CHAP_C", &|value| decode(value) != Some(known::nonce().challenge.to_vec()));
    // The first request names the target for good; what stands behind the login may be anything.
    let named = all.split('\0').find_map(|pair| pair.strip_prefix("TargetName="));
    let other = if eve { known::TARGET } else { known::OTHER_TARGET };
    let ours = named.is_none_or(|name| !name.eq_ignore_ascii_case(other));
    right && challenged && ours && has("CHAP_N", &|name| name == if eve { "eve" } else { "ini" })
}
