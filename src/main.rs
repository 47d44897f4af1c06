//! The `itemlift` command.

use std::process::ExitCode;

/// Gives memory back to the system once load is over. The C library's allocator keeps what hundreds of sessions have
/// used: freed buffers lie between blocks that live on.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    itemlift::cli::run()
}
