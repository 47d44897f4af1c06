//! Logs say which connection, which session and which command.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iscsi_proto::scsi::Lun;
use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;

use crate::support::{Place, log_in, within};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn a_command_is_logged_with_its_session_and_its_tag() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .json()
        .flatten_event(true)
        .finish();
    // While there is one dispatcher only, tracing asks the thread that first comes to an event whether anybody listens, for
    // all threads and for good; that may be another test's thread. Of two it asks both.
    let _second = tracing::Dispatch::new(NoSubscriber::default());
    // Everything of this test runs on this thread.
    let _logging = tracing::subscriber::set_default(subscriber);
    let server = Place::new().serve().await;
    let bundle = server.grant().await;
    for number in 1..=2 {
        let mut session = log_in(server.connect(&bundle).await, &bundle)
            .await
            .unwrap();
        session.read(Lun::peripheral(0), 0, 8, 4096).await.unwrap();
        let tsih = server.sessions.list()[0].tsih;
        session.log_out().await.unwrap();
        let command = within(30, async {
            loop {
                let lines = log.lines();
                let read =
                    |line: &&Value| line["command"] == "READ(16)" && line["span"]["id"] == number;
                if let Some(line) = lines.iter().rfind(read) {
                    return line.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(command["status"], "GOOD");
        assert!(command["itt"].is_u64(), "{command}");
        let span = &command["span"];
        assert_eq!(span["name"], "connection");
        assert_eq!(span["isid"], "800000000001");
        assert_eq!(span["tsih"], tsih);
        assert!(span["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    }
    for secret in [&bundle.initiator.secret, &bundle.target.secret] {
        let text = log.0.lock().unwrap().clone();
        assert!(!String::from_utf8(text).unwrap().contains(secret.reveal()));
    }
}
