//! `itemlift demo`: the whole path, proven on this machine.
