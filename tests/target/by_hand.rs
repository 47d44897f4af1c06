//! An initiator whose every PDU the test writes itself.

use bytes::{Bytes, BytesMut};
use chap::Proposal;
use iscsi_proto::{Digests, Frame, Framing, text, transmit};
use itemlift::tunnel::Bundle;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::support::login;

/// Steps of a whole login.
pub(crate) const LOGIN_STEPS: usize = 4;

/// A connection, and the numbers that the next request needs.
pub(crate) struct ByHand<S> {
    pub(crate) stream: S,
    /// Bytes that came in all.
    pub(crate) received: usize,
    /// Last byte of the ISID.
    pub(crate) port: u8,
    /// Both or none; to be set before the login.
    pub(crate) digests: bool,
    input: BytesMut,
    framing: Framing,
    in_use: Digests,
    cmd_sn: u32,
    proposal: Option<Proposal>,
    responded: Vec<(&'static str, String)>,
}

impl<S> ByHand<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            received: 0,
            port: 1,
            digests: false,
            input: BytesMut::new(),
            framing: Framing::new(1 << 24),
            in_use: Digests::default(),
            cmd_sn: 1,
            proposal: None,
            responded: Vec::new(),
        }
    }

    /// In full feature phase. The unit attentions of power on are taken.
    pub(crate) async fn log_in(stream: S, bundle: &Bundle, port: u8) -> Self {
        let mut peer = Self::new(stream);
        peer.port = port;
        for step in 0..LOGIN_STEPS {
            peer.login_step(bundle, step).await;
        }
        peer.take_power_on(bundle).await;
        peer
    }

    /// One step of a login that the target goes along with.
    pub(crate) async fn login_step(&mut self, bundle: &Bundle, step: usize) {
        let request = self.login_request(bundle, step);
        self.stream.write_all(&request).await.unwrap();
        self.stream.flush().await.unwrap();
        let answer = self.receive().await.unwrap();
        assert_eq!((answer.bhs[0], answer.bhs[36]), (0x23, 0), "step {step}");
        self.note_login(step, &answer);
    }

    /// The unit attention of each disk.
    async fn take_power_on(&mut self, bundle: &Bundle) {
        for disk in &bundle.disks {
            let lun = u8::try_from(disk.lun).unwrap();
            self.command(lun, 1, &[0; 6], 0).await;
            assert_eq!(self.receive().await.unwrap().bhs[3], 2, "power on");
        }
    }

    /// The bytes of one step: names, CHAP_A, the proof, operational keys.
    pub(crate) fn login_request(&mut self, bundle: &Bundle, step: usize) -> Vec<u8> {
        let login = login(bundle);
        let size = "262144".to_owned();
        let keys: Vec<(&str, String)> = match step {
            0 => vec![
                ("InitiatorName", login.initiator.clone()),
                ("SessionType", "Normal".into()),
                ("TargetName", bundle.iqn.clone()),
                ("AuthMethod", "CHAP".into()),
            ],
            1 => vec![("CHAP_A", "5".into())],
            2 => std::mem::take(&mut self.responded),
            _ => {
                let digest = if self.digests { "CRC32C" } else { "None" };
                vec![
                    ("MaxRecvDataSegmentLength", size.clone()),
                    ("MaxBurstLength", size),
                    ("HeaderDigest", digest.into()),
                    ("DataDigest", digest.into()),
                ]
            }
        };
        if step == 0 {
            let md5 = vec![chap::Algorithm::Md5];
            let proposal = Proposal::new(md5, login.nonce, login.ours, login.theirs);
            self.proposal = Some(proposal.unwrap());
        }
        let mut bhs = [0; 48];
        (bhs[0], bhs[1]) = (0x43, [0x00, 0x00, 0x81, 0x87][step]);
        bhs[8..14].copy_from_slice(&[0x80, 0, 0, 0, 0, self.port]);
        (bhs[19], bhs[27]) = (1, 1);
        self.wire(bhs, &text::encode(&keys))
    }

    /// What the target's answer to a step means for the next.
    pub(crate) fn note_login(&mut self, step: usize, answer: &Frame) {
        if step == 1 {
            let keys = text::parse(&answer.data).unwrap();
            let keys: Vec<_> = keys
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect();
            self.responded = self.proposal.take().unwrap().respond(&keys).unwrap().1;
        } else if step + 1 == LOGIN_STEPS {
            self.in_use = Digests {
                header: self.digests,
                data: self.digests,
            };
            self.framing.set_digests(self.in_use);
        }
    }

    pub(crate) async fn send(&mut self, bhs: [u8; 48], data: &[u8]) {
        let wire = self.wire(bhs, data);
        self.stream.write_all(&wire).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// A simple task with this tag.
    pub(crate) async fn command(&mut self, lun: u8, itt: u8, cdb: &[u8], expected: u32) {
        let mut bhs = [0; 48];
        (bhs[0], bhs[1]) = (0x01, if expected > 0 { 0xc1 } else { 0x81 });
        (bhs[9], bhs[19]) = (lun, itt);
        bhs[20..24].copy_from_slice(&expected.to_be_bytes());
        bhs[24..28].copy_from_slice(&self.cmd_sn.to_be_bytes());
        bhs[32..32 + cdb.len()].copy_from_slice(cdb);
        self.cmd_sn += 1;
        self.send(bhs, b"").await;
    }

    /// READ (10) of blocks of 512 bytes.
    pub(crate) async fn read(&mut self, lun: u8, itt: u8, lba: u32, blocks: u16) {
        let [a, b, c, d] = lba.to_be_bytes();
        let [high, low] = blocks.to_be_bytes();
        let cdb = [0x28, 0, a, b, c, d, 0, high, low, 0];
        self.command(lun, itt, &cdb, u32::from(blocks) * 512).await;
    }

    /// An immediate request without data: its first bytes, LUN, tag, and the tag at 20.
    pub(crate) async fn immediate(&mut self, begins: [u8; 2], lun: u8, itt: u8, tag: u32) {
        let mut bhs = [0; 48];
        (bhs[0], bhs[1]) = (begins[0], begins[1]);
        (bhs[9], bhs[19]) = (lun, itt);
        bhs[20..24].copy_from_slice(&tag.to_be_bytes());
        bhs[24..28].copy_from_slice(&self.cmd_sn.to_be_bytes());
        self.send(bhs, b"").await;
    }

    pub(crate) async fn nop(&mut self, itt: u8) {
        self.immediate([0x40, 0x80], 0, itt, u32::MAX).await;
    }

    /// The next PDU; `None`: the connection has ended.
    pub(crate) async fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.received() {
                return Some(frame);
            }
            if self.take(64 * 1024).await == 0 {
                return None;
            }
        }
    }

    /// Whether nothing is left of what came in but whole PDUs that were taken.
    pub(crate) fn is_between_pdus(&self) -> bool {
        self.input.is_empty()
    }

    /// A PDU of which all bytes are here, but for a NOP-In that only tells how the command window stands (ITT and TTT reserved).
    pub(crate) fn received(&mut self) -> Option<Frame> {
        loop {
            let frame = self.framing.next(&mut self.input).unwrap()?;
            if frame.bhs[0] != 0x20 || frame.bhs[16..24] != [0xff; 8] {
                return Some(frame);
            }
        }
    }

    /// Takes at most so many bytes off the stream; 0: it has ended.
    pub(crate) async fn take(&mut self, bytes: usize) -> usize {
        let mut piece = vec![0; bytes];
        let count = self.stream.read(&mut piece).await.unwrap_or(0);
        self.input.extend_from_slice(&piece[..count]);
        self.received += count;
        count
    }

    /// The bytes of a PDU.
    pub(crate) fn wire(&self, bhs: [u8; 48], data: &[u8]) -> Vec<u8> {
        let pdu = transmit(bhs, Bytes::copy_from_slice(data), self.in_use);
        [pdu.head.as_ref(), &pdu.data, pdu.tail.as_ref()].concat()
    }
}
