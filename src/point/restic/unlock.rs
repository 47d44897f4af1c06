//! The password, and the key that it opens.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustic_core::repofile::{ConfigFile, KeyFile};
use zeroize::Zeroizing;

use super::config::PasswordSource;
use super::error::RepositoryError;
use super::seal::MasterKey;
use super::storage::{File, Kind, Part, Storage};

/// Bytes in a password, at most.
const MAX_PASSWORD: u64 = 4096;

/// Time for `password_command`.
const COMMAND_TIME: Duration = Duration::from_secs(30);

/// Keys that are tried, at most: each costs up to a second.
const MAX_KEYS_TRIED: usize = 32;

/// Bytes in a key's file and in the repository's configuration, at most.
const MAX_SMALL_FILE: u64 = 64 * 1024;

/// Memory that a key's file may ask for, and that times the passes over it: several times what restic and rustic choose.
const MAX_SCRYPT_BYTES: u64 = 1 << 30;
const MAX_SCRYPT_WORK: u64 = 8 << 30;

impl PasswordSource {
    /// Reads the password: the first line, without its end.
    ///
    /// # Errors
    /// [`RepositoryError::NoPassword`], which shows nothing of it.
    pub(super) fn read(&self) -> Result<Zeroizing<String>, RepositoryError> {
        let read = match self {
            PasswordSource::File(path) => std::fs::File::open(path)
                .and_then(first_line)
                .map_err(|error| format!("{path:?}: {error}")),
            PasswordSource::Variable(name) => match std::env::var(name) {
                Ok(value) => Ok(Zeroizing::new(value)),
                Err(_) => Err(format!("the environment has no variable {name:?} of text")),
            },
            PasswordSource::Command(command) => run(command),
        };
        match read {
            Ok(password) if password.is_empty() => {
                Err(RepositoryError::NoPassword("it is empty".to_owned()))
            }
            Ok(password) => Ok(password),
            Err(reason) => Err(RepositoryError::NoPassword(reason)),
        }
    }
}

fn first_line(read: impl Read) -> std::io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    BufReader::new(read.take(MAX_PASSWORD)).read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

/// Starts a program and waits for its first line, a bounded time.
fn run(command: &[String]) -> Result<Zeroizing<String>, String> {
    let (program, arguments) = command.split_first().ok_or("password_command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program:?} cannot be started: {error}"))?;
    let (sender, receiver) = mpsc::channel();
    if let Some(mut output) = child.stdout.take() {
        std::thread::spawn(move || {
            let _ = sender.send(first_line(&mut output));
            // A program that is not heard to its end would die of it.
            let _ = std::io::copy(&mut output, &mut std::io::sink());
        });
    }
    let until = Instant::now() + COMMAND_TIME;
    let line = receiver.recv_timeout(COMMAND_TIME);
    match (line, end(&mut child, until)) {
        (Ok(Ok(line)), Ok(Some(status))) if status.success() => Ok(line),
        (Ok(Ok(_)), Ok(Some(status))) => Err(format!("{program:?} failed: {status}")),
        (Ok(Err(error)), _) | (_, Err(error)) => Err(format!("{program:?}: {error}")),
        (Err(_), Ok(_)) | (Ok(Ok(_)), Ok(None)) => Err(format!(
            "{program:?} did not end within {} s",
            COMMAND_TIME.as_secs()
        )),
    }
}

/// Waits for a program to end; ends it itself when it is late, and then says `None`.
fn end(child: &mut Child, until: Instant) -> std::io::Result<Option<ExitStatus>> {
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill()?;
    child.wait().map(|_| None)
}

/// Opens a repository: finds the key that the password opens, and looks whether the repository is one that is read.
///
/// # Errors
/// [`RepositoryError::NoRepository`], [`RepositoryError::WrongPassword`], and others as they say.
pub(super) fn unlock(storage: &Storage, password: &str) -> Result<MasterKey, RepositoryError> {
    let whole = Part::Whole {
        limit: MAX_SMALL_FILE,
    };
    let as_it_is = |content: &[u8]| Ok(content.to_vec());
    let config = match storage.read(File::Config, whole, as_it_is) {
        Err(error) if error.is_missing() => return Err(RepositoryError::NoRepository),
        read => read?,
    };
    let mut damaged = None;
    for id in storage.list(Kind::Key)?.into_iter().take(MAX_KEYS_TRIED) {
        match storage.read(File::Key(id), whole, |text| try_key(text, password)) {
            Ok(Some(key)) => return check_config(&key, &config).map(|()| key),
            Ok(None) => {}
            Err(error) => damaged = Some(error),
        }
    }
    Err(damaged.unwrap_or(RepositoryError::WrongPassword))
}

/// `None` when the password opens another key, if any.
fn try_key(text: &[u8], password: &str) -> Result<Option<MasterKey>, String> {
    let file: KeyFile = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if file.kdf != "scrypt" {
        return Err(format!(
            "it needs the unknown key derivation {:?}",
            file.kdf
        ));
    }
    let bytes = [file.r, 128]
        .iter()
        .fold(u64::from(file.n), |bytes, factor| {
            bytes.saturating_mul((*factor).into())
        });
    let work = bytes.saturating_mul(file.p.into());
    if !file.n.is_power_of_two() || bytes > MAX_SCRYPT_BYTES || work > MAX_SCRYPT_WORK {
        return Err("its scrypt parameters are out of bounds".to_owned());
    }
    // The library cuts the content of a key's file apart without looking.
    let opened = std::panic::catch_unwind(|| file.key_from_password(&password));
    match opened {
        Ok(Ok(key)) => {
            let (encrypt, k, r) = key.to_keys();
            let (encrypt, k, r) = (
                Zeroizing::new(encrypt),
                Zeroizing::new(k),
                Zeroizing::new(r),
            );
            let key = MasterKey::new(&encrypt, &k, &r);
            key.map(Some)
                .ok_or_else(|| "the key in it is not whole".to_owned())
        }
        Ok(Err(_)) => Ok(None),
        Err(_) => Err("the key in it is not whole".to_owned()),
    }
}

fn check_config(key: &MasterKey, sealed: &[u8]) -> Result<(), RepositoryError> {
    let damaged = |what: String| RepositoryError::Damaged {
        file: File::Config.to_string(),
        what,
    };
    let text = key.file(sealed, MAX_SMALL_FILE).map_err(damaged)?;
    let config: ConfigFile =
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    match (config.version, config.is_hot) {
        (1 | 2, None | Some(false)) => Ok(()),
        (1 | 2, Some(true)) => Err(RepositoryError::Unsupported(
            "the hot part of a repository".to_owned(),
        )),
        (version, _) => Err(RepositoryError::Unsupported(format!(
            "version {version} of the repository"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(script: &str) -> Result<String, String> {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let read = PasswordSource::Command(command).read();
        read.map(|password| password.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_prints_the_password() {
        assert_eq!(command("echo secret; echo more"), Ok("secret".to_owned()));
        assert_eq!(
            command("printf 'with space \\r\\n'"),
            Ok("with space ".to_owned())
        );
        for script in ["echo secret; exit 3", "echo", "exit 1"] {
            let message = command(script).unwrap_err();
            assert!(!message.contains("secret\n"), "{message}");
        }
        let missing = PasswordSource::Command(vec!["/no/such/program".to_owned()]).read();
        assert!(matches!(missing, Err(RepositoryError::NoPassword(_))));
    }

    #[test]
    fn a_key_file_cannot_ask_for_all_memory() {
        let file = |n: &str, r: &str, p: &str, data: &str| {
            format!(
                r#"{{"hostname":"h","username":"u","kdf":"scrypt","N":{n},"r":{r},"p":{p},"created":"2026-11-20T02:00:00Z","data":"{data}","salt":"AAAA"}}"#
            )
        };
        for (n, r, p) in [
            ("2147483648", "8", "1"),
            ("32768", "4294967295", "1"),
            ("32768", "8", "4294967295"),
            ("1048576", "8", "9"),
            ("0", "8", "1"),
            ("3", "8", "1"),
            ("-1", "8", "1"),
        ] {
            assert!(
                try_key(file(n, r, p, "AAAA").as_bytes(), "x").is_err(),
                "{n} {r} {p}"
            );
        }
        // Too short to hold a key, and r of nothing: refused by the library, or by a panic in it.
        for (n, r, data) in [("2", "8", ""), ("2", "8", "AAAA"), ("2", "0", "AAAA")] {
            let tried = try_key(file(n, r, "1", data).as_bytes(), "x");
            assert!(matches!(tried, Ok(None) | Err(_)), "{n} {r} {data}");
        }
    }
}
