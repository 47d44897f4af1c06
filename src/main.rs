//! The `itemlift` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    itemlift::cli::run()
}
