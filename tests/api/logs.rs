//! What the log and the audit log say, and what they do not.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::bench::{Bench, TOKEN, request};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_logged_even_at_the_finest_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // For all threads, since scripts are made on one of their own.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let bench = Bench::new().await;
    let bundle = bench.create(json!({"vm": "web01", "os": "bundle"})).await;
    let linux = bench.create(json!({"vm": "web01", "os": "linux"})).await;
    tracing::info!("the log is alive");
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    let audit = std::fs::read_to_string(bench.state.audit_log()).unwrap();
    assert!(text.contains("the log is alive"));
    let content: Value = serde_json::from_str(bundle["content"].as_str().unwrap()).unwrap();
    let key = content["client_key_pem"].as_str().unwrap();
    for secret in [
        TOKEN,
        linux["password"].as_str().unwrap(),
        content["initiator"]["secret"].as_str().unwrap(),
        content["target"]["secret"].as_str().unwrap(),
        key.lines().nth(1).unwrap(),
    ] {
        assert!(!text.contains(secret) && !audit.contains(secret));
    }
}

#[tokio::test]
async fn the_audit_log_tells_who_asked_from_where() {
    let bench = Bench::new().await;
    let address: std::net::SocketAddr = "192.0.2.7:4711".parse().unwrap();
    let from = |mut asked: Request<Body>| {
        asked
            .extensions_mut()
            .insert(axum::extract::ConnectInfo(address));
        asked
    };
    let body = json!({"vm": "web01", "os": "bundle"}).to_string();
    let asked = from(request(Method::POST, "/api/v1/grants", body.into()));
    assert_eq!(bench.send(asked).await.0, StatusCode::CREATED);
    let stranger = Request::get("/api/v1/grants").body(Body::empty()).unwrap();
    assert_eq!(bench.send(from(stranger)).await.0, StatusCode::UNAUTHORIZED);

    bench.grants.audit().flush();
    let audit = std::fs::read_to_string(bench.state.audit_log()).unwrap();
    let lines: Vec<Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{audit}");
    assert_eq!(lines[0]["event"], "created");
    assert_eq!(lines[0]["who"], "alice");
    assert_eq!(lines[0]["vm"], "web01");
    assert_eq!(lines[1]["event"], "refused");
    for line in lines {
        assert_eq!(line["address"], "192.0.2.7:4711");
    }
}
