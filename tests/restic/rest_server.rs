//! A REST server that serves a folder, and misbehaves when it is told to.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does with one request instead of answering it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// 503.
    Busy,
    /// Closes the connection in the middle of the answer.
    Break,
    /// Says nothing for this long.
    Silent(Duration),
    /// 404.
    Missing,
    /// One bit of the right bytes is another.
    Flip,
    /// The first half of the bytes, in an answer that is complete in itself.
    Half,
    /// The whole file in place of a part.
    NoRange,
}

/// A server that is there for as long as its process.
pub(crate) struct RestServer {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    /// What happens to the next requests for packs.
    faults: Mutex<VecDeque<Fault>>,
    requests: Mutex<Vec<String>>,
    /// What cannot be had until somebody says something else.
    busy: Mutex<Option<String>>,
}

impl RestServer {
    pub(crate) fn new(folder: &Path) -> RestServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            faults: Mutex::default(),
            requests: Mutex::default(),
            busy: Mutex::default(),
        });
        let port = listener.local_addr().unwrap().port();
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                thread::spawn(move || while shared.answer(&stream).is_some() {});
            }
        });
        RestServer { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "rest:http://user:pass%20word@127.0.0.1:{}/repository",
            self.port
        )
    }

    /// The next requests for packs meet these.
    pub(crate) fn fail(&self, faults: &[Fault]) {
        *self.shared.faults.lock().unwrap() = faults.iter().copied().collect();
    }

    /// From now on requests for this path are answered with 503, or none is.
    pub(crate) fn is_busy_with(&self, path: Option<&str>) {
        *self.shared.busy.lock().unwrap() = path.map(str::to_owned);
    }

    /// Whether all that was to fail has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.faults.lock().unwrap().is_empty()
    }

    /// The requests since this was called last: method and path.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.requests.lock().unwrap())
    }
}

impl Shared {
    /// Answers one request; `None` when the connection is over.
    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let request = head.first()?;
        self.requests
            .lock()
            .unwrap()
            .push(request.rsplit_once(' ')?.0.to_owned());
        let path = request.split(' ').nth(1)?.strip_prefix("/repository/")?;
        let header = |name: &str| {
            head.iter().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then_some(value)
            })
        };
        // user:pass word
        if header("authorization") != Some("Basic dXNlcjpwYXNzIHdvcmQ=") {
            return say(stream, "401 Unauthorized", b"");
        }
        if self.busy.lock().unwrap().as_deref() == Some(path) {
            return say(stream, "503 Service Unavailable", b"");
        }
        let mut fault = None;
        if path.starts_with("data/") {
            fault = self.faults.lock().unwrap().pop_front();
        }
        match fault {
            Some(Fault::Busy) => return say(stream, "503 Service Unavailable", b""),
            Some(Fault::Missing) => return say(stream, "404 Not Found", b""),
            Some(Fault::Silent(time)) => thread::sleep(time),
            Some(Fault::Break | Fault::Flip | Fault::Half | Fault::NoRange) | None => {}
        }
        let range = header("range").filter(|_| !matches!(fault, Some(Fault::NoRange)));
        let Some((status, mut body)) = self.content(path, range) else {
            return say(stream, "404 Not Found", b"");
        };
        match fault {
            Some(Fault::Flip) => {
                let middle = body.len() / 2;
                body[middle] ^= 1;
            }
            Some(Fault::Half) => body.truncate(body.len() / 2),
            _ => {}
        }
        if matches!(fault, Some(Fault::Break)) {
            let mut stream = stream;
            let half = &body[..body.len() / 2];
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )
            .ok()?;
            stream.write_all(half).ok()?;
            return None;
        }
        say(stream, status, &body)
    }

    fn content(&self, path: &str, range: Option<&str>) -> Option<(&'static str, Vec<u8>)> {
        if let Some(folder) = path.strip_suffix('/') {
            let names = fs::read_dir(self.folder.join(folder)).ok()?;
            let listed: Vec<serde_json::Value> = names
                .map(|entry| {
                    let entry = entry.unwrap();
                    let size = entry.metadata().unwrap().len();
                    serde_json::json!({ "name": entry.file_name().to_str().unwrap(), "size": size })
                })
                .collect();
            return Some(("200 OK", serde_json::to_vec(&listed).unwrap()));
        }
        let path = match path.strip_prefix("data/") {
            Some(name) => self.folder.join("data").join(&name[..2]).join(name),
            None => self.folder.join(path),
        };
        let mut file = fs::File::open(path).ok()?;
        let mut body = Vec::new();
        match range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
            None => {
                file.read_to_end(&mut body).unwrap();
                Some(("200 OK", body))
            }
            Some((first, last)) => {
                let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
                file.seek(SeekFrom::Start(first)).unwrap();
                file.take(last + 1 - first).read_to_end(&mut body).unwrap();
                Some(("206 Partial Content", body))
            }
        }
    }
}

fn say(mut stream: &TcpStream, status: &str, body: &[u8]) -> Option<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .ok()?;
    stream.write_all(body).ok()
}
