//! `itemlift.toml`.
