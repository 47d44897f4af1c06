//! Who may ask, and for what.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Method, Request, StatusCode, header};
use itemlift::api::openapi;
use itemlift::target::ClientGrant;
use serde_json::json;

use crate::bench::{Bench, request, sentence};

/// Every route of operators, from the description, so that none is forgotten.
fn operator_routes() -> Vec<(Method, String)> {
    let description = serde_json::to_value(openapi::description()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation.get("security").is_none() {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                routes.push((method, path.replace("{id}", "000000000000")));
            }
        }
    }
    assert!(routes.len() >= 9, "{routes:?}");
    routes
}

/// A body that tells whether anybody asked for it.
struct Watched(Arc<AtomicBool>);

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        self.0.store(true, Ordering::SeqCst);
        Poll::Ready(None)
    }
}

#[tokio::test]
async fn nothing_is_answered_without_the_token_and_no_body_is_read() {
    let bench = Bench::new().await;
    for (method, path) in operator_routes() {
        for shown in [
            None,
            Some("Bearer"),
            Some("Bearer "),
            Some("Bearer 0123456789abcdef0123456789abcdeg"),
            Some("Bearer 0123456789abcdef0123456789abcde"),
            Some("Basic 0123456789abcdef0123456789abcdef"),
            Some("0123456789abcdef0123456789abcdef"),
        ] {
            let read = Arc::new(AtomicBool::new(false));
            let body = Body::new(Watched(Arc::clone(&read)));
            let mut asked = Request::builder().method(method.clone()).uri(&path);
            if let Some(shown) = shown {
                asked = asked.header(header::AUTHORIZATION, shown);
            }
            let (status, error) = bench.send(asked.body(body).unwrap()).await;
            assert_eq!(
                status,
                StatusCode::UNAUTHORIZED,
                "{method} {path} {shown:?}"
            );
            assert!(sentence(&error).contains("token"));
            assert!(!read.load(Ordering::SeqCst), "{method} {path}");
        }
        // With it, every route of the description is there.
        let (status, answer) = bench
            .send(request(method.clone(), &path, Body::empty()))
            .await;
        assert_ne!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
        assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        let nothing_here = answer["error"]["why"] == "there is nothing at this address";
        assert!(!nothing_here, "{method} {path}");
    }
}

#[tokio::test]
async fn a_grants_own_client_sees_its_grant_and_no_more() {
    let bench = Bench::new().await;
    let created = bench.create(json!({"vm": "web01", "os": "bundle"})).await;
    let id = created["grant"].as_str().unwrap().to_owned();
    let as_client = |path: &str| {
        let mut asked = Request::get(path).body(Body::empty()).unwrap();
        asked
            .extensions_mut()
            .insert(ClientGrant(id.parse().unwrap()));
        asked
    };
    let (status, own) = bench.send(as_client("/api/v1/grant/self")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        own,
        json!({"grant": id, "state": "active", "expires_at": "2026-11-20T15:00:00Z"})
    );
    for path in ["/api/v1/grants", "/api/v1/points", "/api/v1/sessions"] {
        let (status, _) = bench.send(as_client(path)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let (status, error) = bench.get("/api/v1/grant/self").await;
    assert_eq!(
        status,
        StatusCode::UNAUTHORIZED,
        "a token is no certificate"
    );
    sentence(&error);
}

#[tokio::test]
async fn unknown_addresses_and_methods_get_the_same_shape() {
    let bench = Bench::new().await;
    for (method, path, status) in [
        (Method::GET, "/", StatusCode::NOT_FOUND),
        (Method::GET, "/api/v1/grants/", StatusCode::NOT_FOUND),
        (
            Method::GET,
            "/api/v1/../../etc/passwd",
            StatusCode::NOT_FOUND,
        ),
        (
            Method::DELETE,
            "/api/v1/grants",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (
            Method::POST,
            "/api/v1/health",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
    ] {
        let (got, error) = bench.send(request(method, path, Body::empty())).await;
        assert_eq!(got, status, "{path}");
        sentence(&error);
    }
    assert_eq!(
        bench.get("/api/v1/health").await,
        (StatusCode::OK, json!({"status": "ok"}))
    );
}
