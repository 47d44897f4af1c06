//! What the cache of decoded pieces tells.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::export::{counter, gauge, total};
use crate::point::CacheCounts;

pub(super) fn encode(cache: &CacheCounts, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Look-ups of pieces in the cache: joined are those that waited for a fetch under way, missed those that began one.";
    let mut family = counter(encoder, "cache_lookups", help)?;
    for (outcome, number) in [
        ("hit", cache.hits),
        ("joined", cache.joined),
        ("missed", cache.misses),
    ] {
        total(&mut family.encode_family(&[("outcome", outcome)])?, number)?;
    }
    for (name, help, number) in [
        ("cache_bytes", "Memory that the cache takes.", cache.bytes),
        (
            "cache_limit_bytes",
            "Memory that the cache may take.",
            cache.limit,
        ),
        (
            "cache_fetches",
            "Pieces that are being fetched.",
            cache.fetching,
        ),
    ] {
        gauge(encoder, name, help)?.encode_gauge(&number)?;
    }
    let help = "Pieces in the cache: parts of index tables, and decoded data.";
    let mut family = gauge(encoder, "cache_pieces", help)?;
    for (kind, number) in [("table", cache.tables), ("data", cache.data)] {
        family
            .encode_family(&[("kind", kind)])?
            .encode_gauge(&number)?;
    }
    for (name, help, number) in [
        (
            "cache_evictions",
            "Pieces that made room for others.",
            cache.evictions,
        ),
        (
            "read_ahead_bytes",
            "Bytes of pieces that were fetched before anyone asked for them.",
            cache.ahead_bytes,
        ),
        (
            "read_ahead_used_bytes",
            "Those of them that a reader asked for.",
            cache.ahead_used_bytes,
        ),
        (
            "read_ahead_wasted_bytes",
            "Those of them that made room for others before anyone asked.",
            cache.ahead_wasted_bytes,
        ),
    ] {
        total(&mut counter(encoder, name, help)?, number)?;
    }
    Ok(())
}
