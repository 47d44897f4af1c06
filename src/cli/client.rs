//! Speaks to the server's API.

mod lines;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode};
use rustls::CertificateError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::api::{ErrorBody, OPERATOR_HEADER};
use crate::config::{Config, Portal};
use crate::state_dir::{StateDir, StateDirError};

/// The variable that holds the token where there is no state directory.
const TOKEN_VARIABLE: &str = "ITEMLIFT_TOKEN";

/// How long to wait for the server to accept.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(15 * 60);

/// Which server to ask, if not the one of the state directory.
#[derive(Debug, Args)]
pub(super) struct Connection {
    /// Ask this server instead of the one on this machine; needs --ca and the variable ITEMLIFT_TOKEN.
    #[arg(
        long,
        value_name = "HOST:PORT",
        requires = "ca",
        help_heading = "Server"
    )]
    server: Option<String>,
    /// The server's CA certificate: its `ca.pem`.
    #[arg(
        long,
        value_name = "FILE",
        requires = "server",
        help_heading = "Server"
    )]
    ca: Option<PathBuf>,
}

/// A client of one server.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Zeroizing<String>,
    /// For messages.
    address: String,
    /// What to do if nobody answers.
    start_hint: String,
    /// What to do if somebody else does.
    stranger_hint: String,
}

impl Connection {
    /// The client for this server or for the one whose state directory this is.
    pub(super) fn client(&self, state: &Path) -> Result<Client, Failure> {
        // Another part of this process may have chosen one; then that stays.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        match (&self.server, &self.ca) {
            (Some(server), Some(ca)) => remote(server, ca),
            _ => local(state),
        }
    }
}

fn remote(server: &str, ca: &Path) -> Result<Client, Failure> {
    let token = token_of_environment().ok_or_else(|| {
        Failure::new(
            format!("cannot ask {server}"),
            format!("the variable {TOKEN_VARIABLE} is not set"),
            "set it to the content of `api.token` in the server's state directory",
        )
    })?;
    let named = server.strip_prefix("https://").unwrap_or(server);
    let portal = Portal::parse(named.trim_end_matches('/')).ok_or_else(|| {
        Failure::new(
            format!("cannot ask {server}"),
            "it is not HOST:PORT",
            "write it as recovery.example.com:3260",
        )
    })?;
    Ok(Client {
        http: build(builder(ca)?)?,
        base: format!("https://{portal}"),
        token,
        address: portal.to_string(),
        start_hint: "see that the server runs, and that this machine may connect to it".into(),
        stranger_hint: "name its own ca.pem with --ca".into(),
    })
}

fn local(path: &Path) -> Result<Client, Failure> {
    const WHAT: &str = "cannot ask the server";
    let state = StateDir::open(path).map_err(|error| state_failure(WHAT, &error))?;
    let config = Config::load(&state.config())
        .map_err(|error| Failure::new(WHAT, error, "correct the configuration"))?;
    let token = match token_of_environment() {
        Some(token) => token,
        None => {
            let bytes = state
                .read_private(&state.token())
                .map_err(|error| state_failure(WHAT, &error))?;
            Zeroizing::new(String::from_utf8_lossy(&bytes).trim().to_owned())
        }
    };
    let address = reachable(&config);
    // Every server's certificate is for localhost, wherever it listens.
    let http = builder(&state.ca())?
        .no_proxy()
        .resolve("localhost", address);
    Ok(Client {
        http: build(http)?,
        base: format!("https://localhost:{}", address.port()),
        token,
        address: address.to_string(),
        start_hint: format!("start it with `itemlift serve --state {}`", path.display()),
        stranger_hint: format!(
            "another program listens there, or a server whose state directory is not {}: name that one's with --state",
            path.display()
        ),
    })
}

/// What failed, why and what to do, of a state directory that cannot be used.
pub(super) fn state_failure(what: &str, error: &StateDirError) -> Failure {
    let advice = match error {
        StateDirError::AlreadyInitialised(_) => {
            "choose another directory, or run `itemlift serve` on this one".into()
        }
        StateDirError::NotInitialised(path) => format!(
            "name the right one with --state, or make it with `itemlift init --state {}`",
            path.display()
        ),
        StateDirError::Open { path, .. } => format!("run `chmod go-rwx {}`", path.display()),
        StateDirError::InUse(_) => "stop that server first, or choose another directory".into(),
        StateDirError::Io { error, .. } if error.kind() == std::io::ErrorKind::PermissionDenied => {
            "run the command as the directory's owner, for example with sudo".into()
        }
        StateDirError::Io { .. } => "see that the directory is complete and its disk works".into(),
    };
    Failure::new(what, error, advice)
}

/// The first listener, by loopback if it listens everywhere.
fn reachable(config: &Config) -> SocketAddr {
    let listen = config.listen.first().copied();
    let mut address = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 3260)));
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn token_of_environment() -> Option<Zeroizing<String>> {
    let token = std::env::var(TOKEN_VARIABLE).ok().map(Zeroizing::new)?;
    (!token.trim().is_empty()).then(|| Zeroizing::new(token.trim().to_owned()))
}

fn builder(ca: &Path) -> Result<reqwest::ClientBuilder, Failure> {
    const WHAT: &str = "cannot ask the server";
    let pem = std::fs::read(ca).map_err(|error| {
        Failure::new(
            WHAT,
            format!("{} cannot be read: {error}", ca.display()),
            "name the server's ca.pem",
        )
    })?;
    let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if certificates.is_empty() {
        return Err(Failure::new(
            WHAT,
            format!("{} holds no certificate", ca.display()),
            "name the server's ca.pem",
        ));
    }
    Ok(reqwest::Client::builder()
        .tls_certs_only(certificates)
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIME)
        .timeout(ANSWER_TIME))
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, Failure> {
    builder
        .build()
        .map_err(|error| Failure::new("cannot ask the server", innermost(&error), ""))
}

impl Client {
    /// Gets a resource; `query` holds names and values.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.base))
            .map_err(|error| self.unreachable(&error))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(self.http.request(Method::GET, url)).await
    }

    /// Posts to a resource.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Failure> {
        let mut request = self.http.post(format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(request).await
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let request = request
            .bearer_auth(&*self.token)
            .header(OPERATOR_HEADER, operator());
        request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let answer = self.ask(request).await?;
        let status = answer.status();
        let body = answer
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| self.strange(status));
        }
        Err(self.refusal(status, &body))
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> Failure {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => body.error.into(),
            Err(_) => self.strange(status),
        }
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        Failure::new(
            format!("cannot reach the server at {}", self.address),
            innermost(error),
            match refused_certificate(error) {
                None => self.start_hint.clone(),
                Some(CertificateError::NotValidForNameContext { .. }) => {
                    "use a name that it is valid for, or add this one to `hosts` in the server's itemlift.toml".into()
                }
                Some(
                    CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYetContext { .. },
                ) => "check this machine's clock and the server's".into(),
                Some(_) => self.stranger_hint.clone(),
            },
        )
    }

    fn strange(&self, status: StatusCode) -> Failure {
        Failure::new(
            format!("the server at {} answered strangely", self.address),
            format!("the answer (status {status}) is none of itemlift's API"),
            "see that client and server have the same version",
        )
    }
}

/// The cause at the bottom: "Connection refused" rather than "error sending request".
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// What was wrong with the certificate of whoever answered, if it was that.
fn refused_certificate<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a CertificateError> {
    if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref() {
        return Some(why);
    }
    // An I/O error hides the error in it, and shows the causes of that.
    let hidden = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    match hidden {
        Some(hidden) => refused_certificate(hidden),
        None => refused_certificate(error.source()?),
    }
}

/// For whom this process acts: the user who called sudo, else the user.
fn operator() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|variable| std::env::var(variable).ok().filter(|name| !name.is_empty()));
    let name = name.unwrap_or_else(|| format!("uid:{}", rustix::process::getuid().as_raw()));
    name.chars()
        .filter(char::is_ascii_graphic)
        .take(64)
        .collect()
}
