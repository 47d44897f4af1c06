//! Points and sources.

use axum::http::StatusCode;
use serde_json::json;

use crate::bench::{Bench, sentence};

#[tokio::test]
async fn points_are_filtered() {
    let bench = Bench::new().await;
    let count = async |query: &str| {
        let (status, points) = bench.get(&format!("/api/v1/points{query}")).await;
        assert_eq!(status, StatusCode::OK, "{points}");
        points.as_array().unwrap().len()
    };
    assert_eq!(count("?vm=web01").await, 2);
    assert_eq!(count("?vm=web01&since=2026-11-19T00:00:00Z").await, 1);
    assert_eq!(count("?vm=web01&until=2026-11-19T00:00:00Z").await, 1);
    assert_eq!(count("?consistency=crash&vm=web01").await, 2);
    assert_eq!(count("?consistency=application").await, 0);
    for query in ["?since=yesterday", "?consistency=good", "?colour=red"] {
        let (status, error) = bench.get(&format!("/api/v1/points{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        sentence(&error);
    }
}

#[tokio::test]
async fn sources_tell_what_is_wrong() {
    let bench = Bench::new().await;
    let (_, sources) = bench.get("/api/v1/sources").await;
    assert_eq!(sources[0]["vms"], 3);
    assert_eq!(sources[0]["points"], 4);
    assert_eq!(sources[0]["disks"], 4);
    assert_eq!(sources[0]["oldest"], "2026-11-18T02:00:00Z");
    assert_eq!(sources[0]["newest"], "2026-11-20T02:00:00Z");
    let (status, lines) = bench.post("/api/v1/sources/check", &json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let last = lines.as_str().unwrap().lines().last().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["event"], "finished");
    let checked = &last["sources"];
    let problems = checked[0]["problems"].as_array().unwrap();
    let says = |what: &str| {
        problems
            .iter()
            .any(|problem| problem.as_str().unwrap().contains(what))
    };
    assert!(says("empty"), "{problems:?}");
}
