//! Basic headers: what a PDU's parse takes survives its encode, bit by bit where RFC 7143 §11 defines the
//! bit, and nothing else is sent but zeros and the bits that are always set.
//!
//! Input: headers of 48 bytes one after the other; each is given to every parse.
#![no_main]

use iscsi_proto::pdu::*;
use libfuzzer_sys::fuzz_target;

/// RFC 7143 §11.2.1.2.
const OPCODES: [u8; 18] = [0, 1, 2, 3, 4, 5, 6, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x31, 0x32, 0x3f];

/// What a header looks like when sent: the bits of bytes 0 and 1 that are kept and those that are always
/// set, then a character for each byte from byte 2: `x` kept, `.` zero, `1` all ones, `s` SCSI status and
/// `r` residual count (kept with their flags only), `n` sequence numbers, which are kept too.
struct Shape([u8; 4], &'static str);

macro_rules! hold {
    ($bhs:ident $($pdu:ident $opcode:literal $bits:tt $layout:literal)*) => { $(
        match $pdu::parse($bhs) {
            Ok(pdu) => {
                assert_eq!($bhs[0] & 0x3f, $opcode);
                let sent = pdu.encode();
                assert_eq!($pdu::parse(&sent), Ok(pdu));
                compare($bhs, &sent, &Shape($bits, $layout));
            }
            Err(Malformed) => assert!($bhs[0] & 0x3f != $opcode || is_malformed($bhs)),
        } )*
    };
}

fuzz_target!(|input: &[u8]| {
    for bhs in input.chunks_exact(48).take(8) {
        let bhs: &Bhs = bhs.try_into().expect("48 bytes");
        let defined = OPCODES.contains(&(bhs[0] & 0x3f)).then_some(bhs[0] & 0x3f);
        assert_eq!(Opcode::of(bhs).map(|opcode| opcode as u8), defined);
        hold!(bhs
            NopOut         0x00 [0x7f, 0, 0, 0x80]    "...... xxxxxxxx xxxxxxxx xxxxxxxx ........ ........"
            ScsiCommand    0x01 [0x7f, 0, 0xe7, 0]    "...... xxxxxxxx xxxxxxxx xxxxxxxx xxxxxxxx xxxxxxxx"
            TaskRequest    0x02 [0x7f, 0, 0x7f, 0x80] "...... xxxxxxxx xxxxxxxx xxxxxxxx xxxx.... ........"
            LoginRequest   0x03 [0x3f, 0x40, 0xcf, 0] ".x.... xxxxxxxx xxxxxx.. xxxxxxxx ........ ........"
            TextRequest    0x04 [0x7f, 0, 0xc0, 0]    "...... xxxxxxxx xxxxxxxx xxxxxxxx ........ ........"
            DataOut        0x05 [0x3f, 0, 0x80, 0]    "...... xxxxxxxx xxxxxxxx ....xxxx ....xxxx xxxx...."
            LogoutRequest  0x06 [0x7f, 0, 0x7f, 0x80] "...... ........ xxxxxx.. xxxxxxxx ........ ........"
            NopIn          0x20 [0x3f, 0, 0, 0x80]    "...... xxxxxxxx xxxxxxxx nnnnnnnn nnnn.... ........"
            ScsiResponse   0x21 [0x3f, 0, 0x06, 0x80] "xx.... ........ xxxx.... nnnnnnnn nnnnxxxx ....rrrr"
            TaskResponse   0x22 [0x3f, 0, 0, 0x80]    "x..... ........ xxxx.... nnnnnnnn nnnn.... ........"
            LoginResponse  0x23 [0x3f, 0, 0xcf, 0]    "...... xxxxxxxx xxxx.... nnnnnnnn nnnnxx.. ........"
            TextResponse   0x24 [0x3f, 0, 0xc0, 0]    "...... xxxxxxxx xxxxxxxx nnnnnnnn nnnn.... ........"
            DataIn         0x25 [0x3f, 0, 0xc7, 0]    ".s.... xxxxxxxx xxxxxxxx nnnnnnnn nnnnxxxx xxxxrrrr"
            LogoutResponse 0x26 [0x3f, 0, 0, 0x80]    "x..... ........ xxxx.... nnnnnnnn nnnn.... xxxx...."
            R2t            0x31 [0x3f, 0, 0, 0x80]    "...... xxxxxxxx xxxxxxxx nnnnnnnn nnnnxxxx xxxxxxxx"
            AsyncMessage   0x32 [0x3f, 0, 0, 0x80]    "...... xxxxxxxx 1111.... nnnnnnnn nnnnxxxx xxxx...."
            Reject         0x3f [0x3f, 0, 0, 0x80]    "x..... ........ 1111.... nnnnnnnn nnnnxxxx ........"
        );
    }
});

/// What may be malformed although the operation code is right.
fn is_malformed(bhs: &Bhs) -> bool {
    let (stage, next) = (bhs[1] >> 2 & 3, bhs[1] & 3);
    let bad_stages = stage > 1 || bhs[1] & 0xc0 == 0xc0 || bhs[1] & 0x80 != 0 && (next == 2 || next <= stage);
    match bhs[0] & 0x3f {
        0x03 => bad_stages,
        0x23 => bad_stages && bhs[36] == 0,
        // §11.10.2: with C set, F must be 0.
        0x04 | 0x24 => bhs[1] & 0xc0 == 0xc0,
        // §11.7.3: S only with F.
        0x25 => bhs[1] & 0x81 == 0x01,
        // §11.8.4: an R2T wants something.
        0x31 => bhs[44..48] == [0; 4],
        _ => false,
    }
}

fn compare(bhs: &Bhs, sent: &Bhs, &Shape([first, always, flags, set], layout): &Shape) {
    let mut flags = flags;
    let opcode = bhs[0] & 0x3f;
    let mut status = true;
    match opcode {
        // Without T the next stage means nothing; nor does any when another field says why login failed.
        0x03 if bhs[1] & 0x80 == 0 => flags = 0xcc,
        0x23 if is_malformed(&std::array::from_fn(|at| if at == 36 { 0 } else { bhs[at] })) => flags = 0,
        0x23 if bhs[1] & 0x80 == 0 => flags = 0xcc,
        // Without S a Data-In has no status and no residual count.
        0x25 if bhs[1] & 1 == 0 => (flags, status) = (0xc0, false),
        _ => {}
    }
    let residual = status && matches!(bhs[1] & 0x06, 2 | 4);
    if matches!(opcode, 0x21 | 0x25) && bhs[1] & 0x06 == 6 {
        flags &= !0x06;
    }
    assert_eq!([sent[0], sent[1]], [bhs[0] & first | always, bhs[1] & flags | set]);
    for (at, kind) in layout.bytes().filter(|kind| *kind != b' ').enumerate() {
        let expected = match kind {
            b'x' | b'n' => bhs[at + 2],
            b's' if status => bhs[at + 2],
            b'r' if residual => bhs[at + 2],
            b'1' => 0xff,
            _ => 0,
        };
        assert_eq!(sent[at + 2], expected, "byte {} of {opcode:#04x}", at + 2);
    }
}
