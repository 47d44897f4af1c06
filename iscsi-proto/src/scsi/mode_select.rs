//! MODE SELECT (6) and (10) (SPC-4 6.11, 6.12). D_SENSE and SWP of the control page can be changed;
//! everything else must be sent as MODE SENSE reports it.

use super::condition::Condition;
use super::mode_pages::{CONTROL, D_SENSE, PageControl, SWP, page};
use super::mode_sense::{long_descriptor, short_descriptor};
use super::outcome::{Answer, Outcome};
use super::request::Request;
use super::sense::Sense;
use super::state::Device;

pub(super) fn mode_select_6(request: &Request<'_>, device: &Device) -> Answer {
    select(request, device, request.cdb.length(4, 1), Header::Short)
}

pub(super) fn mode_select_10(request: &Request<'_>, device: &Device) -> Answer {
    select(request, device, request.cdb.length(7, 2), Header::Long)
}

/// The mode parameter headers of the two commands (SPC-4 7.5).
#[derive(Clone, Copy)]
enum Header {
    /// Four bytes, the last one BLOCK DESCRIPTOR LENGTH.
    Short,
    /// Eight bytes, the last two BLOCK DESCRIPTOR LENGTH, LONGLBA in byte 4.
    Long,
}

fn select(request: &Request<'_>, device: &Device, length: usize, header: Header) -> Answer {
    // PF zero means pages in a vendor specific format.
    if !request.cdb.has(1, 0x10) {
        return Err(Sense::cdb_bit(1, 4));
    }
    if length == 0 {
        return Ok(Outcome::Good);
    }
    let Some(list) = request.data_out else {
        return Ok(Outcome::NeedData(u32::try_from(length).unwrap_or(u32::MAX)));
    };
    if list.len() != length {
        return Err(Condition::ParameterListLengthError.into());
    }
    let mut at = skip_descriptor(list, device, header)?;
    let mut control = None;
    while at < list.len() {
        let (code, sent) = parse_page(list, at)?;
        compare(sent, at, code, device)?;
        if code == CONTROL {
            control = Some((has(sent, 2, D_SENSE), has(sent, 4, SWP)));
        }
        at += sent.len();
    }
    if let Some((descriptor_sense, software_protection)) = control {
        change(request, device, descriptor_sense, software_protection);
    }
    Ok(Outcome::Good)
}

/// Where the pages begin. MODE DATA LENGTH, MEDIUM TYPE and the device-specific parameter are
/// ignored (SPC-4 7.5: reserved; SBC-3: WP is ignored). The block descriptor may only say
/// what is so.
fn skip_descriptor(list: &[u8], device: &Device, header: Header) -> Result<usize, Sense> {
    let (start, length_at, long_lba, length) = match (header, list) {
        (Header::Short, [_, _, _, length, ..]) => (4, 3, false, usize::from(*length)),
        (Header::Long, [_, _, _, _, flags, _, high, low, ..]) => (
            8,
            6,
            flags & 0x01 != 0,
            usize::from(u16::from_be_bytes([*high, *low])),
        ),
        _ => return Err(Condition::ParameterListLengthError.into()),
    };
    let end = start + length;
    let sent = list
        .get(start..end)
        .ok_or(Condition::ParameterListLengthError)?;
    let geometry = device.unit.geometry();
    let expected = if long_lba {
        long_descriptor(geometry)
    } else {
        short_descriptor(geometry)
    };
    if length != 0 && length != expected.len() {
        return Err(Sense::parameter_field(length_at));
    }
    match sent
        .iter()
        .zip(&expected)
        .position(|(sent, expected)| sent != expected)
    {
        Some(at) => Err(pointer(start + at)),
        None => Ok(end),
    }
}

/// The page at `at`: its code and all its bytes.
fn parse_page(list: &[u8], at: usize) -> Result<(u8, &[u8]), Sense> {
    match list.get(at..) {
        // Bit 6 is SPF, and there are no subpages; bit 7, PS, is reserved here.
        Some([first, ..]) if first & 0xC0 != 0 => Err(pointer(at)),
        Some([first, length, ..]) => {
            let end = at + 2 + usize::from(*length);
            let page = list
                .get(at..end)
                .ok_or(Condition::ParameterListLengthError)?;
            Ok((*first, page))
        }
        _ => Err(Condition::ParameterListLengthError.into()),
    }
}

/// Refuses a page that is not there, of another length, or with a change that cannot be made.
fn compare(sent: &[u8], at: usize, code: u8, device: &Device) -> Result<(), Sense> {
    let current = page(code, PageControl::Current, device);
    let (Some(current), Some(changeable)) = (current, page(code, PageControl::Changeable, device))
    else {
        return Err(pointer(at));
    };
    if sent.len() != current.len() {
        return Err(pointer(at + 1));
    }
    let values = sent.iter().zip(&current).zip(&changeable).skip(2);
    match values
        .clone()
        .position(|((sent, current), mask)| (sent ^ current) & !mask != 0)
    {
        Some(offset) => Err(pointer(at + 2 + offset)),
        None => Ok(()),
    }
}

/// Other nexuses are told when something changed (MODE PARAMETERS CHANGED, SPC-4 7.5).
fn change(request: &Request<'_>, device: &Device, descriptor_sense: bool, protection: bool) {
    let before = page(CONTROL, PageControl::Current, device);
    let mut shared = request.target.shared();
    device.set_modes(descriptor_sense, protection);
    if page(CONTROL, PageControl::Current, device) != before {
        let sender = request.nexus.id();
        shared.attention(device, Condition::ModeParametersChanged, |nexus| {
            nexus.id() != sender
        });
    }
}

fn has(bytes: &[u8], at: usize, mask: u8) -> bool {
    bytes.get(at).is_some_and(|byte| byte & mask != 0)
}

fn pointer(at: usize) -> Sense {
    Sense::parameter_field(u16::try_from(at).unwrap_or(u16::MAX))
}
