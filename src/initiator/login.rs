//! The login phase (RFC 7143 §6): security negotiation with mutual CHAP, then the operational keys.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use chap::{Algorithm, Credentials, Nonce, Proposal};
use iscsi_proto::pdu::{LoginRequest, LoginResponse, LoginStage, Opcode};
use iscsi_proto::{Cid, CmdSn, Digests, Isid, Itt, text};
use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::Wire;
use super::{Initiator, InitiatorError, MAX_DATA_SEGMENT};

/// Login requests at most: a target that never comes to an end is not a target.
const MAX_STEPS: usize = 16;

/// Who we are and what we want.
#[derive(Clone, Debug)]
pub struct Login {
    /// Our iSCSI name.
    pub initiator: String,
    /// Tells our sessions apart.
    pub isid: Isid,
    /// The target's name; `None` for a discovery session.
    pub target: Option<String>,
    /// What we prove.
    pub ours: Credentials,
    /// What the target has to prove.
    pub theirs: Credentials,
    /// CHAP algorithms, the preferred one first.
    pub algorithms: Vec<Algorithm>,
    /// Our challenge; fresh random bytes.
    pub nonce: Nonce,
    /// Digests that we want.
    pub digests: Digests,
}

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginFailure {
    /// The target said no.
    #[error("the login was refused, status {0:#04x}{1:02x} (RFC 7143 section 11.13.5)")]
    Refused(u8, u8),
    /// CHAP went wrong on our side: the target could not prove itself, or said something that it must not.
    #[error("CHAP: {0}")]
    Chap(#[from] chap::Error),
    /// Its text cannot be taken apart.
    #[error("the target's login text is malformed: {0}")]
    Text(#[from] text::TextError),
    /// It does not come to an end.
    #[error("the login does not come to an end")]
    Endless,
}

type Keys = HashMap<String, String>;

/// A login under way.
struct Dialogue<'a, S> {
    wire: &'a mut Wire<S>,
    isid: Isid,
    steps: usize,
    numbers: (CmdSn, CmdSn),
}

impl<S> Initiator<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Logs in over `stream`.
    ///
    /// # Errors
    /// The target refuses, does not prove itself or breaks the protocol, or the connection is lost.
    pub async fn log_in(stream: S, login: Login) -> Result<Self, InitiatorError> {
        let mut wire = Wire::new(stream);
        let mut dialogue = Dialogue {
            wire: &mut wire,
            isid: login.isid,
            steps: 0,
            numbers: (CmdSn(1), CmdSn(1)),
        };
        dialogue.security(&login).await?;
        let digests = dialogue.operational(&login).await?;
        let (cmd_sn, max_cmd_sn) = dialogue.numbers;
        wire.use_digests(digests);
        Ok(Self {
            wire,
            tasks: HashMap::new(),
            next_itt: 1,
            cmd_sn,
            max_cmd_sn,
            asked_to_log_out: false,
        })
    }
}

impl<S> Dialogue<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    async fn security(&mut self, login: &Login) -> Result<(), InitiatorError> {
        let mut first = vec![
            ("InitiatorName", login.initiator.as_str()),
            ("AuthMethod", "CHAP"),
        ];
        match &login.target {
            Some(target) => first.extend([("SessionType", "Normal"), ("TargetName", target)]),
            None => first.push(("SessionType", "Discovery")),
        }
        self.step(LoginStage::Security, None, &first).await?;
        let proposal = Proposal::new(
            login.algorithms.clone(),
            login.nonce.clone(),
            login.ours.clone(),
            login.theirs.clone(),
        )
        .map_err(LoginFailure::Chap)?;
        let (challenge, _) = self
            .step(LoginStage::Security, None, &proposal.offer())
            .await?;
        let (responded, response) = proposal
            .respond(&chap_keys(&challenge))
            .map_err(LoginFailure::Chap)?;
        let next = Some(LoginStage::Operational);
        let (proof, transit) = self.step(LoginStage::Security, next, &response).await?;
        responded
            .verify(&chap_keys(&proof))
            .map_err(LoginFailure::Chap)?;
        match transit == next {
            true => Ok(()),
            false => Err(InitiatorError::Protocol(
                "CHAP is done and the target goes on with it",
            )),
        }
    }

    async fn operational(&mut self, login: &Login) -> Result<Digests, InitiatorError> {
        let digest = |wanted| if wanted { "CRC32C,None" } else { "None,CRC32C" };
        let segment = MAX_DATA_SEGMENT.to_string();
        let mut keys = vec![
            ("HeaderDigest", digest(login.digests.header)),
            ("DataDigest", digest(login.digests.data)),
            ("MaxRecvDataSegmentLength", &segment),
        ];
        if login.target.is_some() {
            keys.extend([
                ("MaxBurstLength", "16776192"),
                ("FirstBurstLength", "262144"),
                ("InitialR2T", "Yes"),
                ("ImmediateData", "No"),
                ("MaxOutstandingR2T", "1"),
                ("MaxConnections", "1"),
                ("DataPDUInOrder", "Yes"),
                ("DataSequenceInOrder", "Yes"),
                ("ErrorRecoveryLevel", "0"),
            ]);
        }
        let next = Some(LoginStage::FullFeature);
        let mut answers = Keys::new();
        loop {
            let (keys_now, transit) = self.step(LoginStage::Operational, next, &keys).await?;
            answers.extend(keys_now);
            keys.clear();
            if transit == next {
                let has = |key: &str| answers.get(key).is_some_and(|value| value == "CRC32C");
                return Ok(Digests {
                    header: has("HeaderDigest"),
                    data: has("DataDigest"),
                });
            }
        }
    }

    /// One request and its whole answer, over as many PDUs as the target needs.
    async fn step<K, V>(
        &mut self,
        stage: LoginStage,
        transit: Option<LoginStage>,
        keys: &[(K, V)],
    ) -> Result<(Keys, Option<LoginStage>), InitiatorError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut data = text::encode(keys);
        let mut gathered = BytesMut::new();
        loop {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(LoginFailure::Endless.into());
            }
            let request = LoginRequest {
                transit,
                more: false,
                stage,
                version_min: 0,
                isid: self.isid,
                tsih: 0,
                itt: Itt(1),
                cid: Cid(0),
                cmd_sn: self.numbers.0,
                exp_stat_sn: self.wire.expected(),
            };
            self.wire
                .send(request.encode(), std::mem::take(&mut data))
                .await?;
            let (bhs, part) = self.wire.receive().await?;
            if Opcode::of(&bhs) != Some(Opcode::LoginResponse) {
                return Err(InitiatorError::Protocol("no login response"));
            }
            let response = LoginResponse::parse(&bhs)?;
            let (class, detail) = response.status;
            if class != 0 {
                return Err(LoginFailure::Refused(class, detail).into());
            }
            self.wire.acknowledge(response.numbers.stat_sn);
            self.numbers = (response.numbers.exp_cmd_sn, response.numbers.max_cmd_sn);
            gathered.extend_from_slice(&part);
            if !response.more {
                let keys = text::parse(&gathered).map_err(LoginFailure::Text)?;
                return Ok((keys.into_iter().collect(), response.transit));
            }
            data = Bytes::new();
        }
    }
}

/// The CHAP keys of a step; others may stand beside them.
fn chap_keys(keys: &Keys) -> Vec<(&str, &str)> {
    keys.iter()
        .filter(|(key, _)| key.starts_with("CHAP_"))
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}
