//! What the fuzz targets share: a world around one connection, and the models it is held against.
//!
//! Each target in `fuzz_targets/` is an oracle: it feeds the input to the code and asserts what must hold.
//! `scripts/fuzz.sh` builds and runs them; `seeds.py` says where each begins; `faults/` has a planted fault
//! for each, which it must find (`scripts/fuzz.sh --prove`).

mod binary;
mod input;
mod registry;
mod session;
mod world;

pub use binary::{base64, decode, hex};
pub use input::Input;
pub use registry::{Entry, registry};
pub use session::Session;
pub use world::World;
pub mod disk;
pub mod known;
