//! Turns a mount plan into a sealed, signed mount script.
#![forbid(unsafe_code)]
