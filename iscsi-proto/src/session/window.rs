//! The command window: which commands may come, and in which order they run (RFC 7143 §4.2.2.1).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::framing::Frame;
use crate::types::CmdSn;

/// What becomes of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is its turn.
    Run(Frame),
    /// Kept until those before it are there.
    Kept,
    /// Outside the window, or there already.
    Ignored,
}

/// The window of one session.
#[derive(Debug)]
pub(super) struct Window {
    expected: CmdSn,
    /// The furthest MaxCmdSN ever told; it never moves back.
    last: CmdSn,
    /// Commands ahead of `expected`, by their distance from `origin`; `None` is a command that a
    /// task management function ended before it came.
    ahead: BTreeMap<u32, Option<Frame>>,
    origin: CmdSn,
    /// Kept commands that ended before their turn, since that was last asked.
    ended: u32,
}

impl Window {
    /// Begins with the login's command number.
    pub(super) fn new(first: CmdSn, width: u32) -> Self {
        let last = first.plus(width.wrapping_sub(1));
        Self {
            expected: first,
            last,
            ahead: BTreeMap::new(),
            origin: first,
            ended: 0,
        }
    }

    /// ExpCmdSN.
    pub(super) fn expected(&self) -> CmdSn {
        self.expected
    }

    /// MaxCmdSN, with room for `free` more commands.
    pub(super) fn last(&mut self, free: u32) -> CmdSn {
        let wanted = self.expected.plus(free.wrapping_sub(1));
        if wanted.ahead_of(self.last) > 0 {
            self.last = wanted;
        }
        self.last
    }

    /// Whether a command of this number may still come.
    pub(super) fn may_come(&self, number: CmdSn) -> bool {
        number.ahead_of(self.expected) >= 0
            && self.last.ahead_of(number) >= 0
            && !self.ahead.contains_key(&self.place(number))
    }

    /// A non-immediate command has arrived. Those from `held` on do not run yet.
    pub(super) fn arrive(&mut self, number: CmdSn, frame: Frame, held: Option<CmdSn>) -> Arrival {
        // RFC 7143 §4.2.2.1: the target "MUST silently ignore any non-immediate command outside of
        // this range or non-immediate duplicates within the range".
        if !self.may_come(number) {
            return Arrival::Ignored;
        }
        if number == self.expected && !is_held(number, held) {
            self.expected = number.plus(1);
            return Arrival::Run(frame);
        }
        // A copy: a slice would keep the caller's whole input buffer alive while it waits.
        let (ahs, data) = (
            Bytes::copy_from_slice(&frame.ahs),
            Bytes::copy_from_slice(&frame.data),
        );
        let kept = Frame { ahs, data, ..frame };
        self.ahead.insert(self.place(number), Some(kept));
        Arrival::Kept
    }

    /// The last command that ran was rejected, and "MUST NOT be considered received" (RFC 7143 §7.3).
    pub(super) fn give_back(&mut self, number: CmdSn) {
        self.expected = number;
    }

    /// The command of this number, if it has arrived and waits.
    pub(super) fn kept(&self, number: CmdSn) -> Option<&Frame> {
        self.ahead.get(&self.place(number))?.as_ref()
    }

    /// Counts a command as arrived that shall never run. `false`: its number is not in the window.
    pub(super) fn skip(&mut self, number: CmdSn) -> bool {
        let inside = number.ahead_of(self.expected) >= 0 && self.last.ahead_of(number) >= 0;
        if inside {
            let kept = self.ahead.insert(self.place(number), None);
            self.ended += u32::from(matches!(kept, Some(Some(_))));
        }
        inside
    }

    /// Counts every command before `number` as arrived. Of those that wait, the ones that `ends` do
    /// not run any more.
    pub(super) fn plug(&mut self, number: CmdSn, ends: impl Fn(&Frame) -> bool) {
        if !self.is_awaited(number) {
            return;
        }
        let mut each = self.expected;
        while each != number {
            if self.kept(each).is_none_or(&ends) {
                self.skip(each);
            }
            each = each.plus(1);
        }
    }

    /// Whether there are commands before `number` that have not come, and may come.
    pub(super) fn is_awaited(&self, number: CmdSn) -> bool {
        number.ahead_of(self.expected) > 0 && self.last.plus(1).ahead_of(number) >= 0
    }

    /// The kept command whose turn it is now, up to the first that is `held`.
    pub(super) fn next_kept(&mut self, held: Option<CmdSn>) -> Option<Frame> {
        while !is_held(self.expected, held)
            && let Some(entry) = self.ahead.remove(&self.place(self.expected))
        {
            self.expected = self.expected.plus(1);
            if let Some(frame) = entry {
                return Some(frame);
            }
        }
        if self.ahead.is_empty() {
            self.origin = self.expected;
        }
        None
    }

    /// How many kept commands have ended before their turn, since this was last asked.
    pub(super) fn take_ended(&mut self) -> u32 {
        std::mem::take(&mut self.ended)
    }

    /// Takes all that still wait for their turn.
    pub(super) fn take_kept(&mut self) -> impl Iterator<Item = Frame> + use<> {
        std::mem::take(&mut self.ahead).into_values().flatten()
    }

    /// Serial numbers have no order of their own; distances from one origin do.
    fn place(&self, number: CmdSn) -> u32 {
        number.0.wrapping_sub(self.origin.0)
    }
}

fn is_held(number: CmdSn, held: Option<CmdSn>) -> bool {
    held.is_some_and(|held| number.ahead_of(held) >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tag: u8) -> Frame {
        Frame {
            bhs: [tag; 48],
            ahs: Bytes::new(),
            data: Bytes::new(),
            data_corrupt: false,
        }
    }

    #[test]
    fn in_order() {
        let mut window = Window::new(CmdSn(0xffff_ffff), 4);
        assert_eq!(window.last(4), CmdSn(2));
        assert_eq!(
            window.arrive(CmdSn(0xffff_ffff), frame(1), None),
            Arrival::Run(frame(1))
        );
        assert_eq!(window.expected(), CmdSn(0));
        // One task under way: three free places, the end stays.
        assert_eq!(window.last(3), CmdSn(2));
        assert_eq!(window.last(4), CmdSn(3));
        // It never moves back.
        assert_eq!(window.last(0), CmdSn(3));
    }

    #[test]
    fn outside_is_ignored() {
        let mut window = Window::new(CmdSn(10), 4);
        for number in [9, 14, 0, 0x8000_000a, u32::MAX] {
            assert_eq!(
                window.arrive(CmdSn(number), frame(0), None),
                Arrival::Ignored,
                "{number}"
            );
        }
        assert_eq!(window.expected(), CmdSn(10));
    }

    #[test]
    fn holes_wait() {
        let mut window = Window::new(CmdSn(10), 4);
        assert_eq!(window.arrive(CmdSn(12), frame(12), None), Arrival::Kept);
        assert_eq!(window.arrive(CmdSn(12), frame(12), None), Arrival::Ignored);
        assert_eq!(window.arrive(CmdSn(11), frame(11), None), Arrival::Kept);
        assert_eq!(window.next_kept(None), None);
        assert_eq!(
            window.arrive(CmdSn(10), frame(10), None),
            Arrival::Run(frame(10))
        );
        assert_eq!(window.next_kept(None), Some(frame(11)));
        assert_eq!(window.next_kept(None), Some(frame(12)));
        assert_eq!(window.next_kept(None), None);
        assert_eq!(window.expected(), CmdSn(13));
    }

    #[test]
    fn a_skipped_command_fills_its_hole() {
        let mut window = Window::new(CmdSn(10), 4);
        assert_eq!(window.arrive(CmdSn(11), frame(11), None), Arrival::Kept);
        window.skip(CmdSn(10));
        assert_eq!(window.next_kept(None), Some(frame(11)));
        assert_eq!(window.arrive(CmdSn(10), frame(10), None), Arrival::Ignored);
        window.skip(CmdSn(99));
        assert_eq!(window.expected(), CmdSn(12));
    }
}
