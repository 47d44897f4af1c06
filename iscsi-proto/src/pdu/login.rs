//! Login Request and Login Response (RFC 7143 §11.12, §11.13).

use nom::Parser;
use nom::number::complete::be_u16;

use super::fields::{self, Parsed, Writer, array, skip};
use super::login_stage::{LoginStage, StageByte};
use super::{Bhs, Malformed, Numbers, Opcode};
use crate::types::{Cid, CmdSn, Isid, Itt, StatSn};

/// One step of the initiator's login. Keys are its data segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginRequest {
    /// T and NSG: the initiator is ready for that stage.
    pub transit: Option<LoginStage>,
    /// C: the keys go on in the next PDU.
    pub more: bool,
    /// CSG: the stage that this belongs to.
    pub stage: LoginStage,
    /// Lowest version understood; 0 is the only one there is.
    pub version_min: u8,
    /// Initiator's part of the session ID.
    pub isid: Isid,
    /// 0: a new session.
    pub tsih: u16,
    /// The same over the whole login.
    pub itt: Itt,
    /// Names the connection in its session.
    pub cid: Cid,
    /// Where command numbers begin.
    pub cmd_sn: CmdSn,
    /// The next status number that the initiator expects.
    pub exp_stat_sn: StatSn,
}

impl LoginRequest {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU, or its stages make no sense.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        let (stages, build) = fields::parse(bhs, Opcode::LoginRequest, |input| -> Parsed<'_, _> {
            let versions = (fields::flags, skip(1), fields::flags);
            let session = (array::<6>, be_u16, fields::itt, be_u16);
            (
                versions,
                skip(4),
                session,
                skip(2),
                fields::cmd_sn,
                fields::stat_sn,
            )
                .map(
                    |((stages, (), version_min), (), session, (), cmd_sn, exp_stat_sn)| {
                        let (isid, tsih, itt, cid) = session;
                        let build = move |StageByte {
                                              transit,
                                              more,
                                              stage,
                                          }| Self {
                            transit,
                            more,
                            stage,
                            version_min,
                            isid: Isid(isid),
                            tsih,
                            itt,
                            cid: Cid(cid),
                            cmd_sn,
                            exp_stat_sn,
                        };
                        (stages, build)
                    },
                )
                .parse(input)
        })?;
        StageByte::parse(stages).map(build)
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        let Self {
            transit,
            more,
            stage,
            ..
        } = *self;
        Writer::new(Opcode::LoginRequest, true)
            .u8(StageByte {
                transit,
                more,
                stage,
            }
            .encode())
            .zeros(1)
            .u8(self.version_min)
            .zeros(4)
            .put(&self.isid.0)
            .u16(self.tsih)
            .u32(self.itt.0)
            .u16(self.cid.0)
            .zeros(2)
            .u32(self.cmd_sn.0)
            .u32(self.exp_stat_sn.0)
            .done()
    }
}

/// One step of the target's login. Keys are its data segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginResponse {
    /// T and NSG: the next request is of that stage.
    pub transit: Option<LoginStage>,
    /// C: the keys go on in the next PDU.
    pub more: bool,
    /// CSG: from the request.
    pub stage: LoginStage,
    /// From the request.
    pub isid: Isid,
    /// From the request; in the last response the new session's handle.
    pub tsih: u16,
    /// From the request.
    pub itt: Itt,
    /// Sequence numbers.
    pub numbers: Numbers,
    /// Class and detail; class 0 is success.
    pub status: (u8, u8),
}

impl LoginResponse {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed`] when it is another PDU, or a success whose stages make no sense.
    pub fn parse(bhs: &Bhs) -> Result<Self, Malformed> {
        let (stages, response) =
            fields::parse(bhs, Opcode::LoginResponse, |input| -> Parsed<'_, _> {
                let session = (fields::flags, skip(6), array::<6>, be_u16, fields::itt);
                (
                    session,
                    skip(4),
                    fields::numbers,
                    fields::flags,
                    fields::flags,
                )
                    .map(
                        |((stages, (), isid, tsih, itt), (), numbers, class, detail)| {
                            let isid = Isid(isid);
                            let status = (class, detail);
                            (
                                stages,
                                Self {
                                    isid,
                                    tsih,
                                    itt,
                                    numbers,
                                    status,
                                    ..Self::default()
                                },
                            )
                        },
                    )
                    .parse(input)
            })?;
        match (StageByte::parse(stages), response.status) {
            (
                Ok(StageByte {
                    transit,
                    more,
                    stage,
                }),
                _,
            ) => Ok(Self {
                transit,
                more,
                stage,
                ..response
            }),
            (Err(malformed), (0, _)) => Err(malformed),
            // RFC 7143 §11.13.5: with another class the other fields mean little.
            (Err(_), _) => Ok(response),
        }
    }

    /// Writes the header. The version is always 0.
    #[must_use]
    pub fn encode(&self) -> Bhs {
        let Self {
            transit,
            more,
            stage,
            ..
        } = *self;
        Writer::new(Opcode::LoginResponse, false)
            .u8(StageByte {
                transit,
                more,
                stage,
            }
            .encode())
            .zeros(6)
            .put(&self.isid.0)
            .u16(self.tsih)
            .u32(self.itt.0)
            .zeros(4)
            .numbers(self.numbers)
            .u8(self.status.0)
            .u8(self.status.1)
            .done()
    }
}

#[cfg(test)]
mod tests {
    use super::fields::vector;
    use super::*;

    #[test]
    fn request() {
        let bytes = vector(
            "43870000 00000000 4000013700010000
             00000001 00050000 00000002 00000003
             00000000 00000000 00000000 00000000",
        );
        let pdu = LoginRequest {
            transit: Some(LoginStage::FullFeature),
            more: false,
            stage: LoginStage::Operational,
            version_min: 0,
            isid: Isid([0x40, 0, 1, 0x37, 0, 1]),
            tsih: 0,
            itt: Itt(1),
            cid: Cid(5),
            cmd_sn: CmdSn(2),
            exp_stat_sn: StatSn(3),
        };
        assert_eq!(LoginRequest::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }

    #[test]
    fn response() {
        let bytes = vector(
            "23870000 00000000 4000013700010007
             00000001 00000000 00000004 00000002
             00000081 00000000 00000000 00000000",
        );
        let numbers = Numbers {
            stat_sn: StatSn(4),
            exp_cmd_sn: CmdSn(2),
            max_cmd_sn: CmdSn(0x81),
        };
        let pdu = LoginResponse {
            transit: Some(LoginStage::FullFeature),
            more: false,
            stage: LoginStage::Operational,
            isid: Isid([0x40, 0, 1, 0x37, 0, 1]),
            tsih: 7,
            itt: Itt(1),
            numbers,
            status: (0, 0),
        };
        assert_eq!(LoginResponse::parse(&bytes), Ok(pdu));
        assert_eq!(pdu.encode(), bytes);
    }

    #[test]
    fn refusal() {
        let bytes = vector(
            "23000000 00000000 0000000000000000
             00000001 00000000 00000004 00000002
             00000081 02010000 00000000 00000000",
        );
        assert_eq!(LoginResponse::parse(&bytes).unwrap().status, (2, 1));
    }
}
