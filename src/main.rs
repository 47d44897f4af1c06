//! The `itemlift` command.
fn main() {}
