//! Verifying: the answer in lines, who may, how many at one time, and what the audit log says of it.

use std::path::Path;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tower_service::Service as _;

use crate::bench::{Bench, request, sentence};

const PATH: &str = "/api/v1/points/verify";

fn lines(text: &Value) -> Vec<Value> {
    let lines = text.as_str().unwrap().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn audit(bench: &Bench, log: &Path) -> Vec<Value> {
    bench.grants.audit().flush();
    let log = std::fs::read_to_string(log).unwrap();
    lines(&log.into())
        .into_iter()
        .filter(|line| line["event"] == "verified")
        .collect()
}

#[tokio::test]
async fn the_answer_begins_and_ends_and_is_in_the_audit_log() {
    let bench = Bench::new().await;
    let (status, text) = bench
        .post(PATH, &json!({"vm": "web01", "point": "latest"}))
        .await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let events = lines(&text);
    let events: Vec<&Value> = events
        .iter()
        .filter(|event| event["event"] != "progress")
        .collect();
    let [started, disk, finished] = events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(started["event"], "started");
    assert_eq!(started["point"], "2026-11-20T02-00-00Z");
    assert_eq!(
        started["disks"],
        json!([{"disk": "disk0.raw", "size": 1 << 20}])
    );
    assert_eq!(disk["event"], "disk");
    // SHA-256 of a mebibyte of zeros.
    assert_eq!(
        disk["sha256"],
        "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58"
    );
    assert_eq!(finished["event"], "finished");
    assert_eq!(
        (&finished["damages"], &finished["bytes_read"]),
        (&json!(0), &json!(1 << 20))
    );

    let log = bench.state.audit_log();
    let [line] = &audit(&bench, &log)[..] else {
        panic!("one line")
    };
    assert_eq!(
        (&line["who"], &line["vm"]),
        (&json!("alice"), &json!("web01"))
    );
    assert_eq!(line["point"], "2026-11-20T02-00-00Z");
    assert_eq!(line["bytes_read"], 1 << 20);
    assert_eq!(line["reason"], "nothing is damaged");
}

#[tokio::test]
async fn what_cannot_be_verified_is_refused_with_a_sentence() {
    let bench = Bench::new().await;
    for (asked, status) in [
        (
            json!({"vm": "web02", "point": "latest"}),
            StatusCode::NOT_FOUND,
        ),
        (
            json!({"vm": "web01", "point": "2020"}),
            StatusCode::NOT_FOUND,
        ),
        (
            json!({"vm": "web01", "point": "latest", "disk": "none"}),
            StatusCode::NOT_FOUND,
        ),
        (json!({"vm": "web01"}), StatusCode::BAD_REQUEST),
        (
            json!({"vm": "web01", "point": "latest", "colour": 1}),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let (found, error) = bench.post(PATH, &asked).await;
        assert_eq!(found, status, "{asked}: {error}");
        sentence(&error);
    }
    let mut stranger = request(Method::POST, PATH, Body::empty());
    stranger.headers_mut().remove(header::AUTHORIZATION);
    assert_eq!(bench.send(stranger).await.0, StatusCode::UNAUTHORIZED);
    assert!(audit(&bench, &bench.state.audit_log()).is_empty());
}

#[tokio::test]
async fn two_at_one_time_and_a_place_comes_back() {
    let bench = Bench::new().await;
    let folder = bench.source.join("large/2026-11-20T02-00-00Z");
    std::fs::create_dir_all(&folder).unwrap();
    let image = std::fs::File::create(folder.join("disk0.raw")).unwrap();
    image.set_len(4 << 40).unwrap();
    // Looks at the source again at once.
    bench.post("/api/v1/sources/check", &json!({})).await;
    let asked = json!({"vm": "large", "point": "latest"});
    let begin = async || {
        let asked = request(Method::POST, PATH, asked.to_string().into());
        bench.router.clone().call(asked).await.unwrap()
    };
    let first = begin().await;
    let second = begin().await;
    assert_eq!(
        (first.status(), second.status()),
        (StatusCode::OK, StatusCode::OK)
    );
    let (status, error) = bench.post(PATH, &asked).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(sentence(&error).contains("2 verifications"), "{error}");
    // Whoever goes away without having read a line ends the work too.
    drop((first, second));
    for _ in 0..200 {
        if begin().await.status() == StatusCode::OK {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the places were not given back");
}
