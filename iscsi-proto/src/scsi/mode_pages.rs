//! The mode pages there are, and what of them can be changed (mode parameters: SPC-4 7.5, SBC-3 6).

use super::sense::SenseForm;
use super::state::Device;

/// Which values MODE SENSE asks for: the PC field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageControl {
    /// The values in force.
    Current,
    /// A one for each bit that MODE SELECT can change.
    Changeable,
    /// The values after a reset.
    Default,
}

/// Code of the control page.
pub(super) const CONTROL: u8 = 0x0A;

/// D_SENSE in byte 2 of the control page.
pub(super) const D_SENSE: u8 = 0x04;

/// SWP in byte 4 of the control page.
pub(super) const SWP: u8 = 0x08;

/// The pages there are, ascending, each with what makes its content. None has subpages.
const PAGES: [(u8, Page); 3] = [(0x01, recovery), (0x08, caching), (CONTROL, control)];

type Page = fn(PageControl, &Device) -> Vec<u8>;

/// One page with its two header bytes; `None` for a page that is not there.
pub(super) fn page(code: u8, control: PageControl, device: &Device) -> Option<Vec<u8>> {
    let (_, content) = PAGES.iter().find(|(known, _)| *known == code)?;
    let content = content(control, device);
    let mut page = vec![code, content.len() as u8];
    page.extend(content);
    Some(page)
}

/// Every page, one after the other.
pub(super) fn all(control: PageControl, device: &Device) -> Vec<u8> {
    let pages = PAGES
        .iter()
        .filter_map(|(code, _)| page(*code, control, device));
    pages.flatten().collect()
}

/// Read-write error recovery: no limits and no options; a block that fails is reported.
fn recovery(_: PageControl, _: &Device) -> Vec<u8> {
    vec![0; 10]
}

/// Caching: read cache on, no write cache, nothing disabled.
fn caching(_: PageControl, _: &Device) -> Vec<u8> {
    vec![0; 18]
}

/// Control: one task set, unrestricted reordering (nothing is ever written), D_SENSE and SWP as
/// set, tasks of other nexuses end silently, no time limit on BUSY.
fn control(control: PageControl, device: &Device) -> Vec<u8> {
    let (form, protection) = match control {
        PageControl::Current => (device.sense_form(), device.software_protection()),
        PageControl::Default => (Device::default_form(&device.unit), false),
        PageControl::Changeable => return vec![D_SENSE, 0, SWP, 0, 0, 0, 0, 0, 0, 0],
    };
    let d_sense = if form == SenseForm::Descriptor {
        D_SENSE
    } else {
        0
    };
    let swp = if protection { SWP } else { 0 };
    vec![d_sense, 0x10, swp, 0, 0, 0, 0xFF, 0xFF, 0, 0]
}
