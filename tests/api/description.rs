//! The API's description: `src/api/openapi.json`.

use std::path::Path;

use axum::http::StatusCode;
use itemlift::api::openapi;

use crate::bench::Bench;

/// The committed description is the code's. `ITEMLIFT_WRITE_OPENAPI=1` writes it anew.
#[test]
fn the_description_is_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/openapi.json");
    let mut now = openapi::description().to_pretty_json().unwrap();
    now.push('\n');
    if std::env::var_os("ITEMLIFT_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == now,
        "src/api/openapi.json is not what the code says; run this test with ITEMLIFT_WRITE_OPENAPI=1"
    );
}

#[tokio::test]
async fn the_description_is_served() {
    let bench = Bench::new().await;
    let (status, served) = bench.get("/api/v1/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        served,
        serde_json::to_value(openapi::description()).unwrap()
    );
}
