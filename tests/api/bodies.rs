//! What is read of a request, and for how long.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Method, StatusCode};

use crate::bench::{Bench, request, sentence};

#[tokio::test]
async fn bodies_are_small_and_json() {
    let bench = Bench::new().await;
    let send = |body: Body| bench.send(request(Method::POST, "/api/v1/grants", body));
    let (status, error) = send(Body::from(vec![b' '; 64 * 1024 + 1])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    sentence(&error);
    for body in [
        "",
        "{",
        "\u{0}",
        "{\"vm\": \"web01\", \"vm\": \"web01\", \"os\": \"linux\"}",
    ] {
        let (status, error) = send(Body::from(body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body:?}");
        sentence(&error);
    }
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    struct Never;
    impl HttpBody for Never {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            Poll::Pending
        }
    }
    let bench = Bench::new().await;
    let asked = request(Method::POST, "/api/v1/grants", Body::new(Never));
    let (status, _) = bench.send(asked).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
}
