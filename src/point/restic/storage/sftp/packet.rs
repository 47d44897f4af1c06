//! Packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), as far as a reader needs them. Behind a length of 32 bits stand
//! a type, the number of the request, and fields; all integers are big-endian, and a string has its length before it.

/// Bytes of a reply behind its length, at most. OpenSSH sends 256 KiB.
pub(super) const MAX_REPLY: u32 = 256 * 1024;

/// Bytes of a handle, at most (§4).
const MAX_HANDLE: usize = 256;

/// SSH_FXP_INIT with the version, whole; the answer is SSH_FXP_VERSION (§4).
pub(super) const INIT: [u8; 9] = [0, 0, 0, 5, 1, 0, 0, 0, 3];
const VERSION: u8 = 2;

/// Bits in the flags of attributes, and what stands there if one is set (§5).
const ATTR_SIZE: u32 = 1;
const ATTR_OWNER: u32 = 2;
const ATTR_PERMISSIONS: u32 = 4;
const ATTR_TIMES: u32 = 8;
const ATTR_EXTENDED: u32 = 0x8000_0000;

/// SSH_FXF_READ (§6.3).
const OPEN_TO_READ: u32 = 1;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request<'a> {
    /// SSH_FXP_OPEN, to read.
    Open { path: &'a [u8] },
    /// SSH_FXP_CLOSE.
    Close { handle: &'a [u8] },
    /// SSH_FXP_READ.
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    /// SSH_FXP_FSTAT.
    Attributes { handle: &'a [u8] },
    /// SSH_FXP_OPENDIR.
    OpenFolder { path: &'a [u8] },
    /// SSH_FXP_READDIR: some more names.
    ReadFolder { handle: &'a [u8] },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply<'a> {
    Status {
        code: u32,
        message: String,
    },
    Handle(&'a [u8]),
    Data(&'a [u8]),
    /// Names in a folder, of any bytes.
    Names(Vec<&'a [u8]>),
    /// The file's bytes, if the server says how many.
    Attributes(Option<u64>),
}

impl Request<'_> {
    /// The whole packet.
    pub(super) fn encode(&self, id: u32) -> Vec<u8> {
        let (kind, text): (u8, &[u8]) = match self {
            Request::Open { path } => (3, path),
            Request::Close { handle } => (4, handle),
            Request::Read { handle, .. } => (5, handle),
            Request::Attributes { handle } => (8, handle),
            Request::OpenFolder { path } => (11, path),
            Request::ReadFolder { handle } => (12, handle),
        };
        let mut more = Vec::new();
        match self {
            // Behind the flags, attributes: none.
            Request::Open { .. } => {
                more.extend_from_slice(&OPEN_TO_READ.to_be_bytes());
                more.extend_from_slice(&[0; 4]);
            }
            Request::Read { offset, length, .. } => {
                more.extend_from_slice(&offset.to_be_bytes());
                more.extend_from_slice(&length.to_be_bytes());
            }
            Request::Close { .. }
            | Request::Attributes { .. }
            | Request::OpenFolder { .. }
            | Request::ReadFolder { .. } => {}
        }
        let bytes = 1 + 4 + 4 + text.len() + more.len();
        let mut packet = Vec::with_capacity(4 + bytes);
        packet.extend_from_slice(&length_of(bytes));
        packet.push(kind);
        packet.extend_from_slice(&id.to_be_bytes());
        packet.extend_from_slice(&length_of(text.len()));
        packet.extend_from_slice(text);
        packet.extend_from_slice(&more);
        packet
    }
}

/// Paths are shorter than 4 GiB: the operator writes them.
fn length_of(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

/// Understands the answer to [`INIT`], without its length. `None`: it is none of version 3, which is all that a server may
/// choose that was offered it.
pub(super) fn parse_version(packet: &[u8]) -> Option<()> {
    let mut fields = Fields(packet);
    (fields.byte()? == VERSION && fields.int()? == 3).then_some(())
}

/// The number of the request that a packet without its length answers. `None`: it is no reply.
pub(super) fn number(packet: &[u8]) -> Option<u32> {
    let mut fields = Fields(packet);
    fields.byte()?;
    fields.int()
}

/// Understands a reply without its length. `None`: it is none that a reader asks for.
pub(super) fn parse(packet: &[u8]) -> Option<Reply<'_>> {
    let mut fields = Fields(packet);
    let kind = fields.byte()?;
    fields.int()?;
    Some(match kind {
        // The language of the message may follow.
        101 => Reply::Status {
            code: fields.int()?,
            message: String::from_utf8_lossy(fields.string().unwrap_or_default()).into_owned(),
        },
        102 => Reply::Handle(
            fields
                .string()
                .filter(|handle| handle.len() <= MAX_HANDLE)?,
        ),
        103 => Reply::Data(fields.string()?),
        104 => {
            let count = fields.int()?;
            let mut names = Vec::new();
            for _ in 0..count {
                names.push(fields.string()?);
                // As `ls -l` shows it.
                fields.string()?;
                fields.attributes()?;
            }
            Reply::Names(names)
        }
        105 => Reply::Attributes(fields.attributes()?),
        _ => return None,
    })
}

/// What of a packet is not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn int(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let bytes = self.int()?;
        self.take(bytes as usize)
    }

    /// Attributes, of which only the size is of use.
    fn attributes(&mut self) -> Option<Option<u64>> {
        let flags = self.int()?;
        let size = match flags & ATTR_SIZE {
            0 => None,
            _ => Some(self.long()?),
        };
        for (flag, bytes) in [(ATTR_OWNER, 8), (ATTR_PERMISSIONS, 4), (ATTR_TIMES, 8)] {
            if flags & flag != 0 {
                self.take(bytes)?;
            }
        }
        if flags & ATTR_EXTENDED != 0 {
            for _ in 0..self.int()? {
                self.string()?;
                self.string()?;
            }
        }
        Some(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_the_draft_has_them() {
        let handle = b"\x00h";
        for (request, packet) in [
            (
                Request::Open { path: b"/a" },
                &b"\0\0\0\x13\x03\0\0\0\x07\0\0\0\x02/a\0\0\0\x01\0\0\0\0"[..],
            ),
            (
                Request::Close { handle },
                b"\0\0\0\x0b\x04\0\0\0\x07\0\0\0\x02\0h",
            ),
            (
                Request::Read {
                    handle,
                    offset: 0x1_0000_0002,
                    length: 0x8000,
                },
                b"\0\0\0\x17\x05\0\0\0\x07\0\0\0\x02\0h\0\0\0\x01\0\0\0\x02\0\0\x80\0",
            ),
            (
                Request::Attributes { handle },
                b"\0\0\0\x0b\x08\0\0\0\x07\0\0\0\x02\0h",
            ),
            (
                Request::OpenFolder { path: b"/" },
                b"\0\0\0\x0a\x0b\0\0\0\x07\0\0\0\x01/",
            ),
            (
                Request::ReadFolder { handle },
                b"\0\0\0\x0b\x0c\0\0\0\x07\0\0\0\x02\0h",
            ),
        ] {
            assert_eq!(request.encode(7), packet, "{request:?}");
        }
    }

    #[test]
    fn replies_are_as_the_draft_has_them() {
        assert_eq!(
            parse_version(b"\x02\0\0\0\x03\0\0\0\x01x\0\0\0\0"),
            Some(())
        );
        assert_eq!(parse_version(b"\x02\0\0\0\x02"), None);
        assert_eq!(parse_version(b"\x02\0\0\0"), None);
        let names = b"\x68\0\0\0\x09\0\0\0\x02\0\0\0\x01.\0\0\0\x03-rw\0\0\0\0\
            \0\0\0\x02\xffa\0\0\0\0\x80\0\0\x0f\0\0\0\0\0\0\0\x05\0\0\0\x01\0\0\0\x02\0\0\x81\xa4\
            \0\0\0\x03\0\0\0\x04\0\0\0\x01\0\0\0\x01e\0\0\0\0";
        for (packet, reply) in [
            (
                &b"\x65\0\0\0\x09\0\0\0\x02\0\0\0\x02no\0\0\0\0"[..],
                Reply::Status {
                    code: 2,
                    message: "no".to_owned(),
                },
            ),
            // Old servers say no more.
            (
                b"\x65\0\0\0\x09\0\0\0\x01",
                Reply::Status {
                    code: 1,
                    message: String::new(),
                },
            ),
            (b"\x66\0\0\0\x09\0\0\0\x02\0h", Reply::Handle(b"\0h")),
            (b"\x67\0\0\0\x09\0\0\0\x03abc", Reply::Data(b"abc")),
            (names, Reply::Names(vec![b".", b"\xffa"])),
            (
                b"\x69\0\0\0\x09\0\0\0\x01\0\0\0\x01\0\0\0\0",
                Reply::Attributes(Some(1 << 32)),
            ),
            (b"\x69\0\0\0\x09\0\0\0\0", Reply::Attributes(None)),
        ] {
            assert_eq!(number(packet), Some(9), "{packet:?}");
            assert_eq!(parse(packet), Some(reply), "{packet:?}");
        }
        // Cut anywhere, no reply says more than it holds.
        for at in 0..names.len() {
            assert_eq!(parse(&names[..at]), None, "{at}");
        }
        let long = [&b"\x66\0\0\0\x09\0\0\x01\x01"[..], &[b'h'; 257]].concat();
        for packet in [
            &b"\x67\0\0\0\x09\xff\xff\xff\xffabc"[..],
            b"\x64\0\0\0\x09",
            &long,
        ] {
            assert_eq!(parse(packet), None, "{packet:?}");
        }
    }
}
