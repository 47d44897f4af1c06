//! Logs say which connection, which session and which command.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iscsi_proto::scsi::Lun;
use itemlift::initiator::InitiatorError;
use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;

use crate::support::{DISK, Place, content, log_in, within};

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
    /// Writes down what this thread logs while the result lives; everything of a test runs on one thread.
    fn listen(&self) -> impl Sized + use<> {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_writer(move || writer.clone())
            .json()
            .flatten_event(true)
            .finish();
        // While there is one dispatcher only, tracing asks the thread that first comes to an event whether anybody listens, for
        // all threads and for good; that may be another test's thread. Of two it asks both.
        let second = tracing::Dispatch::new(NoSubscriber::default());
        (second, tracing::subscriber::set_default(subscriber))
    }

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
    let _logging = log.listen();
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

/// A reserved bit in the entry of one cluster: its blocks and no others.
#[tokio::test]
async fn a_damaged_index_is_a_medium_error_and_the_log_names_the_file() {
    let log = Log::default();
    let _logging = log.listen();
    let place = Place::new();
    let folder = place.disk("disk1").parent().unwrap().to_owned();
    std::fs::write(folder.join("content"), vec![7; 1 << 20]).unwrap();
    let made = std::process::Command::new("qemu-img")
        .args([
            "convert",
            "-f",
            "raw",
            "-O",
            "qcow2",
            "content",
            "disk1.qcow2",
        ])
        .current_dir(&folder)
        .status();
    assert!(made.expect("qemu-img, of scripts/apt-tools.sh").success());
    std::fs::remove_file(folder.join("content")).unwrap();
    let mut image = std::fs::read(folder.join("disk1.qcow2")).unwrap();
    let word = |at: usize| u64::from_be_bytes(image[at..at + 8].try_into().unwrap());
    let l2 = (word(word(40) as usize) & 0x00ff_ffff_ffff_fe00) as usize;
    // The fifth cluster of 64 KiB: LBA 512 to 639.
    image[l2 + 4 * 8 + 7] |= 2;
    std::fs::write(folder.join("disk1.qcow2"), image).unwrap();
    let server = place.serve().await;
    let bundle = server.grant().await;
    let mut session = log_in(server.connect(&bundle).await, &bundle)
        .await
        .unwrap();
    let damaged = Lun::peripheral(1);
    let error = session.read(damaged, 500, 24, 24 * 512).await.unwrap_err();
    let InitiatorError::Status {
        sense: Some(sense), ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((sense.key, sense.asc, sense.ascq), (3, 0x11, 0));
    assert_eq!(sense.information, Some(512));
    for (lba, byte) in [(511, 7), (640, 7)] {
        let read = session.read(damaged, lba, 1, 512).await.unwrap();
        assert_eq!(read, vec![byte; 512]);
    }
    let other = session
        .read(Lun::peripheral(0), 512, 8, 4096)
        .await
        .unwrap();
    assert_eq!(other, content(DISK)[512 * 512..][..4096]);
    let told = log.lines().into_iter().find(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("MEDIUM ERROR")
    });
    let error = told.unwrap()["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("disk1.qcow2") && error.contains("262144"),
        "{error}"
    );
}
