//! A restic REST server. Its protocol: `GET {folder}/` lists, `GET {folder}/{name}` reads; packs lie in one folder.

use std::collections::BTreeMap;
use std::error::Error;

use reqwest::header::{ACCEPT, RANGE};
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::Deserialize;

use super::remote::{CONNECT_TIME, STALL_TIME, TryFault};
use super::{File, Part};
use crate::point::restic::error::StorageFault;

/// Bytes in a list, at most.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// The second version of lists, with sizes.
const LIST_FORMAT: &str = "application/vnd.x.restic.rest.v2";

/// A server and how to speak to it.
pub(super) struct RestServer {
    client: Client,
    url: Url,
    user: Option<(String, String)>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
}

impl RestServer {
    pub(super) fn new(url: &Url, options: &BTreeMap<String, String>) -> Result<RestServer, String> {
        let mut builder = client();
        if let Some(path) = options.get("cacert") {
            let wrong = |error: &dyn std::fmt::Display| format!("cacert {path:?}: {error}");
            let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let option = |name: &str| options.get(name).cloned();
        Ok(RestServer {
            client: builder.build().map_err(|error| error.to_string())?,
            url: url.clone(),
            user: option("username").map(|user| (user, option("password").unwrap_or_default())),
        })
    }

    pub(super) async fn list(&self, folder: &str) -> Result<Vec<String>, TryFault> {
        let request = self.get(&format!("{folder}/"))?.header(ACCEPT, LIST_FORMAT);
        let body = body(send(request).await?, MAX_LIST_BYTES).await?;
        if body.len() as u64 > MAX_LIST_BYTES {
            return Err(TryFault::Passing("its list is too long".to_owned()));
        }
        // Some servers say `null` for nothing.
        let listed: Option<Vec<Listed>> = serde_json::from_slice(&body).map_err(|_| {
            TryFault::Passing("its list is not the one of a REST server".to_owned())
        })?;
        let listed = listed.unwrap_or_default();
        Ok(listed.into_iter().map(|file| file.name).collect())
    }

    pub(super) async fn read(&self, file: File, part: Part) -> Result<Vec<u8>, TryFault> {
        let path = match file {
            File::Pack(id) => format!("data/{id}"),
            other => other.to_string(),
        };
        let mut request = self.get(&path)?;
        if let Part::Range { offset, length } = part {
            let last = offset.saturating_add(u64::from(length).saturating_sub(1));
            request = request.header(RANGE, format!("bytes={offset}-{last}"));
        }
        let response = send(request).await?;
        if matches!(part, Part::Range { .. }) && response.status() != StatusCode::PARTIAL_CONTENT {
            return Err(TryFault::Passing(
                "the server gives the whole file in place of a part".to_owned(),
            ));
        }
        body(response, part.most()).await
    }

    fn get(&self, path: &str) -> Result<RequestBuilder, TryFault> {
        let url = self.url.join(path);
        let url = url.map_err(|error| TryFault::Passing(error.to_string()))?;
        let request = self.client.get(url);
        Ok(match &self.user {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        })
    }
}

/// A client that gives up on a server that says nothing.
pub(super) fn client() -> reqwest::ClientBuilder {
    Client::builder()
        .connect_timeout(CONNECT_TIME)
        .read_timeout(STALL_TIME)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("itemlift/", env!("CARGO_PKG_VERSION")))
}

async fn send(request: RequestBuilder) -> Result<Response, TryFault> {
    let response = request.send().await.map_err(|error| passing(&error))?;
    let status = response.status();
    match status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
        StatusCode::NOT_FOUND => Err(TryFault::Final(StorageFault::Missing)),
        StatusCode::RANGE_NOT_SATISFIABLE => Err(TryFault::Final(StorageFault::Short)),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(TryFault::Final(StorageFault::Denied(status.to_string())))
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Err(TryFault::Passing(format!("the server answers {status}")))
        }
        _ if status.is_server_error() => {
            Err(TryFault::Passing(format!("the server answers {status}")))
        }
        _ => Err(TryFault::Final(StorageFault::Unreachable(format!(
            "the server answers {status}"
        )))),
    }
}

/// The body, or as much of it as is wanted and one piece more.
async fn body(mut response: Response, most: u64) -> Result<Vec<u8>, TryFault> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| passing(&error))? {
        body.extend_from_slice(&piece);
        if body.len() as u64 > most {
            break;
        }
    }
    Ok(body)
}

/// What failed, down to its cause, without the URL.
fn passing(error: &reqwest::Error) -> TryFault {
    let reason = match error {
        error if error.is_timeout() => "the server does not answer in time",
        error if error.is_connect() => "the server cannot be reached",
        _ => "the connection broke",
    };
    TryFault::Passing(with_cause(reason, error))
}

/// A reason and what is at the bottom of it. What lies between is left out: it may hold a URL that is signed.
pub(super) fn with_cause(reason: &str, error: &dyn Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    match cause {
        Some(cause) if !cause.is::<reqwest::Error>() => format!("{reason}: {cause}"),
        _ => reason.to_owned(),
    }
}
