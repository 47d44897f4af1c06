//! The API through its router: who may ask, what is answered, what is refused.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends by a panic")]

use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Method, Request, StatusCode, header};
use itemlift::api::{ApiToken, AppState, openapi, router};
use itemlift::config::Config;
use itemlift::grant::Grants;
use itemlift::grant::audit::Audit;
use itemlift::grant::authority::Authority;
use itemlift::grant::clock::{Clock, ManualClock};
use itemlift::grant::seal::SealingKey;
use itemlift::init::initialise;
use itemlift::point::{Catalog, SourceConfig};
use itemlift::state_dir::StateDir;
use itemlift::target::{ClientGrant, Sessions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower_service::Service as _;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const ODD_VM: &str = "we ird$(id)\n; rm -rf 'x' ü";

struct Bench {
    _dir: TempDir,
    state: StateDir,
    clock: Arc<ManualClock>,
    grants: Arc<Grants>,
    router: Router,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = initialise(&dir.path().join("state"), &[], "berlin").unwrap();
        let source = dir.path().join("backups");
        for (vm, point) in [
            ("web01", "2026-11-18T02-00-00Z"),
            ("web01", "2026-11-20T02-00-00Z"),
            (ODD_VM, "2026-11-19T02-00-00Z"),
        ] {
            let folder = source.join(vm).join(point);
            std::fs::create_dir_all(&folder).unwrap();
            let image = std::fs::File::create(folder.join("disk0.raw")).unwrap();
            image.set_len(1 << 20).unwrap();
        }
        let empty = source.join("broken/2026-11-20T02-00-00Z");
        std::fs::create_dir_all(&empty).unwrap();
        std::fs::write(empty.join("disk0.raw"), "").unwrap();

        let clock = Arc::new(ManualClock::new("2026-11-20T03:00:00Z".parse().unwrap()));
        let dyn_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let authority = Arc::new(Authority::load(&state).unwrap());
        let audit = Audit::open(&state.audit_log(), Arc::clone(&dyn_clock)).unwrap();
        let grants = Grants::open(
            &state.database(),
            SealingKey::new(&[1; 32]).unwrap(),
            Arc::clone(&authority),
            dyn_clock,
            Arc::new(audit),
        )
        .await
        .unwrap();
        let config = "advertise = \"recovery.example.com:443\"";
        let config = Config::parse(config, Path::new("itemlift.toml")).unwrap();
        let sources = [SourceConfig::Images { path: source }];
        let router = router(AppState {
            grants: Arc::clone(&grants),
            catalog: Arc::new(Catalog::open(&sources).unwrap()),
            sources: sources.iter().map(SourceConfig::label).collect(),
            sessions: Arc::new(Sessions::default()),
            authority,
            token: ApiToken::new(TOKEN),
            site: "berlin".into(),
            portal: config.portal(),
        });
        Self {
            _dir: dir,
            state,
            clock,
            grants,
            router,
        }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let answer = self.router.clone().call(request).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 24)
            .await
            .unwrap();
        let json = serde_json::from_slice(&body)
            .unwrap_or_else(|_| panic!("not JSON: {:?}", String::from_utf8_lossy(&body)));
        (status, json)
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(request(Method::GET, path, Body::empty())).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(request(Method::POST, path, body.to_string().into()))
            .await
    }

    async fn create(&self, body: Value) -> Value {
        let (status, created) = self.post("/api/v1/grants", &body).await;
        assert_eq!(status, StatusCode::CREATED, "{created}");
        created
    }
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header("itemlift-operator", "alice")
        .body(body)
        .unwrap()
}

fn sentence(error: &Value) -> String {
    let part = |name: &str| error["error"][name].as_str().unwrap_or_default().to_owned();
    assert!(
        !part("what").is_empty() && !part("why").is_empty(),
        "{error}"
    );
    format!("{}: {}; {}", part("what"), part("why"), part("do"))
}

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
    let (status, checked) = bench.post("/api/v1/sources/check", &json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let problems = checked[0]["problems"].as_array().unwrap();
    let says = |what: &str| {
        problems
            .iter()
            .any(|problem| problem.as_str().unwrap().contains(what))
    };
    assert!(says("empty"), "{problems:?}");
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
