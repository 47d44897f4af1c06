//! Grants: what is made, refused, renewed and revoked.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::bench::{Bench, ODD_VM, sentence};

#[tokio::test]
async fn a_linux_grant_is_a_script_that_verifies() {
    let bench = Bench::new().await;
    let created = bench.create(json!({"vm": "web01", "os": "linux"})).await;
    assert_eq!(created["point"], "2026-11-20T02-00-00Z", "latest");
    assert_eq!(created["expires_at"], "2026-11-20T15:00:00Z");
    let id = created["grant"].as_str().unwrap();
    assert_eq!(created["iqn"], format!("iqn.2026-11.io.itemlift:{id}"));
    assert_eq!(created["file_name"], format!("web01_berlin_{id}.py"));
    let password = created["password"].as_str().unwrap();
    assert_eq!(password.len(), 23);
    let script = created["content"].as_str().unwrap();
    assert!(script.is_ascii() && !script.contains(password));
    let ca = std::fs::read_to_string(bench.state.ca()).unwrap();
    let now = jiff::Timestamp::now().as_second();
    let info = recovery_mount::verify(script.as_bytes(), &ca, now).unwrap();
    assert_eq!(info.grant, id);

    let (status, shown) = bench.get(&format!("/api/v1/grants/{id}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(shown["state"], "active");
    assert_eq!(shown["created_by"], "alice");
    assert_eq!(shown["disks"][0]["size"], 1 << 20);
    for secret in ["password", "secret", "content", "key"] {
        assert!(shown.get(secret).is_none());
    }
}

#[tokio::test]
async fn a_bundle_has_the_documented_keys() {
    let bench = Bench::new().await;
    let asked = json!({"vm": "web01", "point": "2026-11-18T02-00-00Z", "os": "bundle", "lifetime_seconds": 60});
    let created = bench.create(asked).await;
    assert_eq!(created["password"], Value::Null);
    assert_eq!(created["expires_at"], "2026-11-20T03:01:00Z");
    let bundle: Value = serde_json::from_str(created["content"].as_str().unwrap()).unwrap();
    let mut keys: Vec<&str> = bundle
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    let documented = [
        "ca_pem",
        "client_cert_pem",
        "client_key_pem",
        "disks",
        "expires_at",
        "grant",
        "initiator",
        "iqn",
        "portal",
        "server_name",
        "target",
    ];
    assert_eq!(keys, documented);
    assert_eq!(bundle["portal"], "recovery.example.com:443");
    assert_eq!(bundle["server_name"], "recovery.example.com");
    let disk =
        json!({"lun": 0, "name": bundle["disks"][0]["name"], "size": 1 << 20, "sector_size": 512});
    assert_eq!(bundle["disks"], json!([disk]));
    let secret = |side: &str| bundle[side]["secret"].as_str().unwrap().to_owned();
    assert_eq!(secret("initiator").len(), 16);
    assert_ne!(secret("initiator"), secret("target"));
}

#[tokio::test]
async fn a_name_full_of_shell_is_only_a_name() {
    let bench = Bench::new().await;
    let created = bench.create(json!({"vm": ODD_VM, "os": "linux"})).await;
    assert_eq!(created["vm"], ODD_VM);
    let file = created["file_name"].as_str().unwrap();
    assert!(
        file.chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)),
        "{file}"
    );
    let (_, points) = bench.get("/api/v1/points").await;
    let has = points
        .as_array()
        .unwrap()
        .iter()
        .any(|point| point["vm"] == ODD_VM);
    assert!(has);
}

#[tokio::test]
async fn what_cannot_be_granted_is_refused_with_a_sentence() {
    let bench = Bench::new().await;
    for (body, status, says) in [
        (
            json!({"vm": "web02", "os": "linux"}),
            StatusCode::NOT_FOUND,
            "web02",
        ),
        (
            json!({"vm": "web01", "point": "2020-01-01T00-00-00Z", "os": "linux"}),
            StatusCode::NOT_FOUND,
            "2020-01-01T00-00-00Z",
        ),
        (
            json!({"vm": "broken", "os": "linux"}),
            StatusCode::CONFLICT,
            "empty",
        ),
        (
            json!({"vm": "web01", "os": "windows"}),
            StatusCode::NOT_IMPLEMENTED,
            "Windows",
        ),
        (
            json!({"vm": "web01", "os": "beos"}),
            StatusCode::BAD_REQUEST,
            "beos",
        ),
        (json!({"vm": "web01"}), StatusCode::BAD_REQUEST, "os"),
        (
            json!({"vm": "web01", "os": "linux", "x": 1}),
            StatusCode::BAD_REQUEST,
            "unknown field",
        ),
        (
            json!({"vm": "web01", "os": "linux", "lifetime_seconds": 43_201}),
            StatusCode::BAD_REQUEST,
            "12 hours",
        ),
        (
            json!({"vm": "web01", "os": "linux", "lifetime_seconds": 0}),
            StatusCode::BAD_REQUEST,
            "1 second",
        ),
        (json!([]), StatusCode::BAD_REQUEST, "request"),
    ] {
        let (got, error) = bench.post("/api/v1/grants", &body).await;
        assert_eq!(got, status, "{body}: {error}");
        assert!(sentence(&error).contains(says), "{body}: {error}");
    }
    let (_, grants) = bench.get("/api/v1/grants").await;
    assert_eq!(grants, json!([]), "nothing was made");
}

#[tokio::test]
async fn renew_and_revoke() {
    let bench = Bench::new().await;
    let created = bench.create(json!({"vm": "web01", "os": "bundle"})).await;
    let path = format!("/api/v1/grants/{}", created["grant"].as_str().unwrap());
    bench.clock.advance(Duration::from_secs(3600));
    let (status, renewed) = bench.post(&format!("{path}/renew"), &json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(renewed["expires_at"], "2026-11-20T16:00:00Z");
    let (status, revoked) = bench.post(&format!("{path}/revoke"), &json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(revoked["state"], "revoked");
    assert_eq!(revoked["ended_at"], "2026-11-20T04:00:00Z");
    let (status, error) = bench.post(&format!("{path}/renew"), &json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(sentence(&error).contains("revoked"));
    for id in ["000000000000", "x", "%2e%2e", "0000000000000000000"] {
        let (status, error) = bench
            .post(&format!("/api/v1/grants/{id}/revoke"), &json!({}))
            .await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{id}");
        sentence(&error);
    }
}
