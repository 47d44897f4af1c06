//! CHAP: a binary value is taken exactly when it is well formed and of an allowed length, whatever its
//! spelling; a response verifies exactly when it was made with the secret, in both roles.
//!
//! Input: the algorithm, the peer's identifier, how the peer's challenge is spelled and the challenge, how
//! the response is spelled or spoiled and bytes for that.
#![no_main]

use chap::{Algorithm, Credentials, Error, Nonce, Offer, Proposal, Secret};
use iscsi_proto_fuzz::{Input, base64, decode, hex};
use libfuzzer_sys::fuzz_target;
use md5::{Digest, Md5};

const SECRETS: [&str; 2] = ["initiatorsecret1", "target-secret-22"];
const OURS: Nonce = Nonce { identifier: 42, challenge: [0xa5; 32] };

fn credentials(user: &str, secret: &str) -> Credentials {
    Credentials { user: user.into(), secret: Secret::new(secret).expect("long enough") }
}

fn md5(identifier: u8, secret: &str, challenge: &[u8]) -> Vec<u8> {
    Md5::new().chain_update([identifier]).chain_update(secret).chain_update(challenge).finalize().to_vec()
}

fn spelled(input: &mut Input, how: u8, bytes: &[u8]) -> String {
    match how & 3 {
        0 => hex(bytes),
        1 => hex(bytes).to_uppercase(),
        2 => base64(bytes),
        _ => String::from_utf8_lossy(input.take(4096)).into_owned(),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let algorithm = *Algorithm::ALL.get(usize::from(input.byte())).unwrap_or(&Algorithm::Md5);
    let (identifier, how) = (input.byte(), input.byte());
    let len = usize::from(input.u16()) % 1100;
    let challenge = if how & 4 == 0 { input.take(len) } else { &OURS.challenge };
    let challenge = spelled(&mut input, how, challenge);
    let decoded = decode(&challenge).filter(|bytes| (1..=1024).contains(&bytes.len()));
    let identifier = if how & 8 == 0 { identifier.to_string() } else { format!("0x{identifier:x}") };
    initiator(algorithm, &identifier, &challenge, decoded.as_deref());
    target(&mut input, algorithm, &identifier, &challenge, decoded.as_deref());
});

fn number(identifier: &str) -> u8 {
    identifier.parse().unwrap_or_else(|_| u8::from_str_radix(&identifier[2..], 16).expect("we made it"))
}

fn initiator(algorithm: Algorithm, identifier: &str, challenge: &str, decoded: Option<&[u8]>) {
    let pair = [credentials("ini", SECRETS[0]), credentials("tgt", SECRETS[1])];
    let [own, theirs] = pair;
    let proposal = Proposal::new(vec![algorithm], OURS, own, theirs).expect("two secrets");
    let picked = algorithm.number().to_string();
    let keys = [("CHAP_A", picked.as_str()), ("CHAP_I", identifier), ("CHAP_C", challenge)];
    match (proposal.respond(&keys), decoded) {
        (Ok((_, pairs)), Some(decoded)) if algorithm == Algorithm::Md5 => {
            assert_eq!(pairs[1], ("CHAP_R", hex(&md5(number(identifier), SECRETS[0], decoded))));
        }
        (Ok((_, pairs)), Some(_)) => assert_eq!(pairs[1].1.len(), 2 + 2 * algorithm.digest_len()),
        (Err(Error::MalformedChallenge), None) => {}
        (result, _) => panic!("{challenge}: {result:?}"),
    }
}

fn target(input: &mut Input, algorithm: Algorithm, identifier: &str, challenge: &str, decoded: Option<&[u8]>) {
    // What an initiator that knows the secret would say to our challenge.
    let proposal = Proposal::new(
        vec![algorithm],
        Nonce { identifier: 1, challenge: [1; 32] },
        credentials("ini", SECRETS[0]),
        credentials("tgt", SECRETS[1]),
    );
    let list = format!("3,{}", algorithm.number());
    let challenged = Offer::new(Algorithm::ALL.to_vec(), OURS).select(&[("CHAP_A", &list)]).expect("one of ours");
    let told = challenged.challenge();
    let keys: Vec<_> = told.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let (responded, said) = proposal.and_then(|proposal| proposal.respond(&keys)).expect("our own challenge");
    let right = decode(&said[1].1).expect("our own spelling");
    let mut proof = right.clone();
    let spoil = input.byte();
    let at = usize::from(input.byte()) % proof.len();
    proof[at] ^= if spoil & 4 == 0 { 0 } else { input.byte() };
    let cut = proof.len() - if spoil & 8 == 0 { 0 } else { usize::from(input.byte()) % proof.len() };
    let proof = spelled(input, spoil, &proof[..cut]);
    let (user, own) = if spoil & 16 == 0 { ("ini", 1) } else { ("inj", 0) };
    let keys = [("CHAP_N", "ini"), ("CHAP_R", &proof), ("CHAP_I", identifier), ("CHAP_C", challenge)];
    let claim = challenged.response(&keys);
    let given = decode(&proof).filter(|proof| proof.len() == right.len());
    let reflected = decoded == Some(&OURS.challenge);
    assert_eq!(claim.is_ok(), given.is_some() && decoded.is_some() && !reflected, "{claim:?}");
    let Ok(claim) = claim else { return };
    let verified = claim.verify(&credentials(user, SECRETS[0]), &credentials("tgt", SECRETS[own]));
    assert_eq!(verified.is_ok(), given.as_ref() == Some(&right) && spoil & 16 == 0, "{verified:?}");
    // Our own proof answers another challenge, so this initiator has to refuse it.
    if let Ok(pairs) = verified {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let same = decoded == Some(&[1; 32][..]) && number(identifier) == 1;
        assert_eq!(responded.verify(&pairs).is_ok(), same);
        if algorithm == Algorithm::Md5 {
            let expected = md5(number(identifier), SECRETS[1], decoded.expect("taken"));
            assert_eq!(pairs[1].1, hex(&expected));
        }
    }
}
