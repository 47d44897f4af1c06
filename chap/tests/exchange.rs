//! Recorded exchanges. The digests were computed with Python's hashlib, not with this crate.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use chap::{Algorithm, Credentials, Error, Nonce, Offer, Proposal, Secret};

/// CHAP_C of the target: bytes 00 to 1f.
const TARGET_CHALLENGE: &str = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// CHAP_C of a libiscsi-like initiator: bytes f0 to ff.
const SHORT_CHALLENGE: &str = "0xf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

/// CHAP_A, the initiator's CHAP_R, the target's CHAP_R to the short challenge, and to 80..9f.
const EXCHANGES: [(&str, &str, &str, &str); 4] = [
    (
        "8",
        "0x6834a14a7e6786f71b5eb8dea1a4f010ac56cece0caceb02708475f6b94aec46",
        "0xd6af70ab581a5a60ec896a6d7e4f9f3a7a783c12936fe517bc9fda21d738c64b",
        "0x53c966f2f47f47a8440076915bf94de3bd29feb8231d0f7c590867e12c585376",
    ),
    (
        "7",
        "0x38c7335b34bdad83af28066b25785134202560a673e9e15d9691c481a5be499a",
        "0x716a4e8e6d21f92d953d327344efd729bd96ef693fff189607b7bff1b469b0ff",
        "0x56bcfcf9e4ec3daf6caaae86c7edc705acafadce4a0d07a54220fac7eeeae3f4",
    ),
    (
        "6",
        "0x0466abf39d09d31a8584428a3eceb9381ebe2706",
        "0xf67bc2b9dc8743dd0306da57e2fa14c4425191a4",
        "0x797a75f40613a7789f3b630701c61fe555ee9d34",
    ),
    (
        "5",
        "0x72cb570c499c09e930169039c15e94c6",
        "0x2656949a693c5c2aed9e0e268774dde0",
        "0x420a9e15f74bc44eaa139144bc3a1adf",
    ),
];

fn initiator() -> Credentials {
    Credentials {
        user: "ini".into(),
        secret: Secret::new("initiatorsecret1").unwrap(),
    }
}

fn target() -> Credentials {
    Credentials {
        user: "tgt".into(),
        secret: Secret::new("target-secret-22").unwrap(),
    }
}

fn target_nonce() -> Nonce {
    Nonce {
        identifier: 42,
        challenge: std::array::from_fn(|i| u8::try_from(i).unwrap()),
    }
}

fn initiator_nonce() -> Nonce {
    Nonce {
        identifier: 7,
        challenge: std::array::from_fn(|i| 0x80 + u8::try_from(i).unwrap()),
    }
}

fn offer() -> Offer {
    Offer::new(Algorithm::ALL.to_vec(), target_nonce())
}

fn borrowed<'a>(pairs: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    pairs
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect()
}

#[test]
fn target_role_in_every_algorithm() {
    for (number, response, proof, _) in EXCHANGES {
        let challenged = offer().select(&[("CHAP_A", number)]).unwrap();
        let sent = challenged.challenge();
        assert_eq!(
            borrowed(&sent),
            [
                ("CHAP_A", number),
                ("CHAP_I", "42"),
                ("CHAP_C", TARGET_CHALLENGE)
            ]
        );
        let keys = [
            ("CHAP_N", "ini"),
            ("CHAP_R", response),
            ("CHAP_I", "7"),
            ("CHAP_C", SHORT_CHALLENGE),
        ];
        let claim = challenged.response(&keys).unwrap();
        assert_eq!(claim.user(), "ini");
        let sent = claim.verify(&initiator(), &target()).unwrap();
        assert_eq!(borrowed(&sent), [("CHAP_N", "tgt"), ("CHAP_R", proof)]);
    }
}

#[test]
fn initiator_role_in_every_algorithm() {
    for (number, response, _, proof) in EXCHANGES {
        let proposal = Proposal::new(
            Algorithm::ALL.to_vec(),
            initiator_nonce(),
            initiator(),
            target(),
        );
        let proposal = proposal.unwrap();
        assert_eq!(borrowed(&proposal.offer()), [("CHAP_A", "8,7,6,5")]);
        let keys = [
            ("CHAP_A", number),
            ("CHAP_I", "42"),
            ("CHAP_C", TARGET_CHALLENGE),
        ];
        let (responded, sent) = proposal.respond(&keys).unwrap();
        let challenge = "0x808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
        assert_eq!(
            borrowed(&sent),
            [
                ("CHAP_N", "ini"),
                ("CHAP_R", response),
                ("CHAP_I", "7"),
                ("CHAP_C", challenge)
            ]
        );
        assert_eq!(
            responded.verify(&[("CHAP_N", "tgt"), ("CHAP_R", proof)]),
            Ok(())
        );
    }
}

#[test]
fn the_strongest_in_common_is_picked() {
    let pick = |ours: &[Algorithm], list| {
        let offer = Offer::new(ours.to_vec(), target_nonce());
        offer
            .select(&[("CHAP_A", list)])
            .map(|challenged| challenged.algorithm().number())
    };
    assert_eq!(pick(&Algorithm::ALL, "5,6,7,8"), Ok(8));
    assert_eq!(pick(&Algorithm::ALL, "5,7"), Ok(7));
    assert_eq!(pick(&Algorithm::ALL, "56,5"), Ok(5));
    assert_eq!(pick(&Algorithm::ALL, "56"), Err(Error::NoCommonAlgorithm));
    assert_eq!(pick(&Algorithm::ALL, ""), Err(Error::MalformedList));
    assert_eq!(
        pick(&[Algorithm::Sha256], "5,6,8"),
        Err(Error::NoCommonAlgorithm)
    );
}

#[test]
fn only_chap_a_comes_first() {
    let hostile: [&[(&str, &str)]; 4] = [
        &[],
        &[("CHAP_N", "ini")],
        &[("CHAP_A", "5"), ("CHAP_A", "5")],
        &[("CHAP_A", "5"), ("CHAP_N", "ini")],
    ];
    for keys in hostile {
        assert_eq!(
            offer().select(keys).unwrap_err(),
            Error::WrongKeys,
            "{keys:?}"
        );
    }
}

/// The target's verdict on a second step, MD5.
fn second_step(keys: &[(&str, &str)]) -> Result<(), Error> {
    let claim = offer().select(&[("CHAP_A", "5")])?.response(keys)?;
    claim.verify(&initiator(), &target()).map(drop)
}

#[test]
fn hostile_second_steps() {
    let n = ("CHAP_N", "ini");
    let r = ("CHAP_R", EXCHANGES[3].1);
    let i = ("CHAP_I", "7");
    let c = ("CHAP_C", SHORT_CHALLENGE);
    assert_eq!(second_step(&[c, i, r, n]), Ok(()));
    assert_eq!(second_step(&[n, r]), Err(Error::OneWay));
    assert_eq!(second_step(&[n, r, i]), Err(Error::OneWay));
    assert_eq!(second_step(&[n, r, c]), Err(Error::OneWay));
    assert_eq!(second_step(&[n, i, c]), Err(Error::WrongKeys));
    assert_eq!(second_step(&[r, i, c]), Err(Error::WrongKeys));
    assert_eq!(second_step(&[n, n, r, i, c]), Err(Error::WrongKeys));
    assert_eq!(
        second_step(&[n, r, i, c, ("CHAP_A", "5")]),
        Err(Error::WrongKeys)
    );
    assert_eq!(
        second_step(&[("CHAP_N", ""), r, i, c]),
        Err(Error::MalformedName)
    );
    assert_eq!(
        second_step(&[("CHAP_N", "inj"), r, i, c]),
        Err(Error::WrongName)
    );
    let reflected = ("CHAP_C", TARGET_CHALLENGE);
    assert_eq!(second_step(&[n, r, i, reflected]), Err(Error::Reflected));
    let wrong = ("CHAP_R", "0x72cb570c499c09e930169039c15e94c7");
    assert_eq!(second_step(&[n, wrong, i, c]), Err(Error::WrongResponse));
    let long = format!("0x{}", "72".repeat(4096));
    assert_eq!(
        second_step(&[n, ("CHAP_R", &long), i, c]),
        Err(Error::MalformedResponse)
    );
}

#[test]
fn one_secret_for_both_directions_is_refused() {
    let keys = [
        ("CHAP_N", "ini"),
        ("CHAP_R", EXCHANGES[3].1),
        ("CHAP_I", "7"),
        ("CHAP_C", SHORT_CHALLENGE),
    ];
    let claim = offer()
        .select(&[("CHAP_A", "5")])
        .unwrap()
        .response(&keys)
        .unwrap();
    let same = Credentials {
        user: "tgt".into(),
        secret: initiator().secret,
    };
    assert_eq!(claim.verify(&initiator(), &same), Err(Error::SameSecret));
    let proposal = Proposal::new(
        Algorithm::ALL.to_vec(),
        initiator_nonce(),
        initiator(),
        same,
    );
    assert_eq!(proposal.unwrap_err(), Error::SameSecret);
}

#[test]
fn hostile_targets() {
    let respond = |keys: &[(&str, &str)]| {
        let algorithms = vec![Algorithm::Sha256, Algorithm::Md5];
        let proposal = Proposal::new(algorithms, initiator_nonce(), initiator(), target())?;
        proposal.respond(keys)
    };
    let (a, i, c) = (
        ("CHAP_A", "5"),
        ("CHAP_I", "42"),
        ("CHAP_C", TARGET_CHALLENGE),
    );
    assert_eq!(
        respond(&[("CHAP_A", "8"), i, c]).unwrap_err(),
        Error::NoCommonAlgorithm
    );
    assert_eq!(
        respond(&[("CHAP_A", "5,7"), i, c]).unwrap_err(),
        Error::MalformedList
    );
    assert_eq!(respond(&[a, i]).unwrap_err(), Error::WrongKeys);
    let verify = |keys: &[(&str, &str)]| respond(&[a, i, c]).and_then(|(r, _)| r.verify(keys));
    let (n, own, proof) = (("CHAP_N", "tgt"), EXCHANGES[3].1, EXCHANGES[3].3);
    assert_eq!(verify(&[n, ("CHAP_R", proof)]), Ok(()));
    assert_eq!(verify(&[n, ("CHAP_R", own)]), Err(Error::Reflected));
    assert_eq!(
        verify(&[n, ("CHAP_R", EXCHANGES[3].2)]),
        Err(Error::WrongResponse)
    );
    assert_eq!(
        verify(&[("CHAP_N", "x"), ("CHAP_R", proof)]),
        Err(Error::WrongName)
    );
    assert_eq!(verify(&[]), Err(Error::OneWay));
}
