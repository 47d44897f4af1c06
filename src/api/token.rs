//! Who may use the API: whoever shows the token. Decided before a body is read.

use std::fmt;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::AppState;
use super::error::ApiError;
use crate::grant::Caller;
use crate::grant::audit::{Event, What};
use crate::target::Introduction;

/// The header in which a client says for whom it acts. Written to the audit log as stated, not proven.
pub const OPERATOR_HEADER: &str = "itemlift-operator";

/// Characters of an operator's name at most.
const MAX_OPERATOR: usize = 64;

/// The name of an operator who gives none.
const NAMELESS: &str = "api";

/// What the API's token must be. Only a digest is kept, so that comparing takes the same time for every guess.
#[derive(Clone)]
pub struct ApiToken([u8; 32]);

impl ApiToken {
    /// From the token's text; space around it, as at the end of a file, does not count.
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text.trim().as_bytes()).into())
    }

    fn is(&self, shown: &str) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        self.0.ct_eq(&shown).into()
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiToken(redacted)")
    }
}

/// Lets a request through that carries the token (RFC 6750 §2.1).
pub(super) async fn require_token(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = caller(&request);
    let shown = bearer(request.headers());
    if !shown.is_some_and(|shown| state.token.is(shown)) {
        state.grants.audit().record(Event {
            who: Some(caller.name),
            address: caller.address,
            reason: Some("a request to the API without a valid token".into()),
            ..Event::new(What::Refused)
        });
        let mut refusal = ApiError::new(
            StatusCode::UNAUTHORIZED,
            "the API does not answer",
            "the request carries no valid token",
            "run the command on the server as the owner of its state directory, or set ITEMLIFT_TOKEN",
        )
        .into_response();
        let scheme = header::HeaderValue::from_static("Bearer");
        refusal
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
        return refusal;
    }
    if let Some(introduction) = request.extensions().get::<Introduction>() {
        introduction.token_shown();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Name as stated, address as seen.
fn caller(request: &Request) -> Caller {
    let name = request
        .headers()
        .get(OPERATOR_HEADER)
        .and_then(|name| name.to_str().ok())
        .filter(|name| !name.is_empty() && name.len() <= MAX_OPERATOR)
        .unwrap_or(NAMELESS);
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    Caller {
        name: name.to_owned(),
        address: address.map(|address| address.0),
    }
}
