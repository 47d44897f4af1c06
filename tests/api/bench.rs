//! A router with a state directory, three VMs and a clock that the test moves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use itemlift::api::{ApiToken, AppState, router};
use itemlift::config::Config;
use itemlift::grant::Grants;
use itemlift::grant::audit::Audit;
use itemlift::grant::authority::Authority;
use itemlift::grant::clock::{Clock, ManualClock};
use itemlift::grant::seal::SealingKey;
use itemlift::init::initialise;
use itemlift::point::{Catalog, SourceConfig};
use itemlift::state_dir::StateDir;
use itemlift::target::Sessions;
use serde_json::Value;
use tempfile::TempDir;
use tower_service::Service as _;

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const ODD_VM: &str = "we ird$(id)\n; rm -rf 'x' ü";

pub(crate) struct Bench {
    _dir: TempDir,
    pub(crate) source: PathBuf,
    pub(crate) state: StateDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) router: Router,
}

impl Bench {
    pub(crate) async fn new() -> Self {
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
        let sources = [SourceConfig::Images {
            path: source.clone(),
        }];
        let router = router(AppState {
            grants: Arc::clone(&grants),
            catalog: Arc::new(Catalog::open(&sources).unwrap()),
            sources: sources.iter().map(SourceConfig::label).collect(),
            sessions: Arc::new(Sessions::default()),
            verifies: Arc::default(),
            metrics: Arc::default(),
            places: Arc::default(),
            authority,
            token: ApiToken::new(TOKEN),
            site: "berlin".into(),
            portal: config.portal(),
        });
        Self {
            _dir: dir,
            source,
            state,
            clock,
            grants,
            router,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let answer = self.router.clone().call(request).await.unwrap();
        let status = answer.status();
        let is_text = answer.headers()[header::CONTENT_TYPE] != "application/json";
        let body = axum::body::to_bytes(answer.into_body(), 1 << 24)
            .await
            .unwrap();
        if is_text {
            return (status, String::from_utf8(body.to_vec()).unwrap().into());
        }
        let json = serde_json::from_slice(&body)
            .unwrap_or_else(|_| panic!("not JSON: {:?}", String::from_utf8_lossy(&body)));
        (status, json)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(request(Method::GET, path, Body::empty())).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(request(Method::POST, path, body.to_string().into()))
            .await
    }

    pub(crate) async fn create(&self, body: Value) -> Value {
        let (status, created) = self.post("/api/v1/grants", &body).await;
        assert_eq!(status, StatusCode::CREATED, "{created}");
        created
    }
}

pub(crate) fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header("itemlift-operator", "alice")
        .body(body)
        .unwrap()
}

pub(crate) fn sentence(error: &Value) -> String {
    let part = |name: &str| error["error"][name].as_str().unwrap_or_default().to_owned();
    assert!(
        !part("what").is_empty() && !part("why").is_empty(),
        "{error}"
    );
    format!("{}: {}; {}", part("what"), part("why"), part("do"))
}
