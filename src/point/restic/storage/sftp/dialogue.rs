//! One connection of SFTP: requests in, files and lists out. One call at a time.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::packet::{INIT, MAX_REPLY, Reply, Request, number, parse, parse_version};
use crate::point::restic::error::StorageFault;
use crate::point::restic::storage::remote::TryFault;
use crate::point::restic::storage::{MAX_LISTED, Part};

/// Bytes that are asked for in one request: what every server gives in one piece (§3).
const READ_BYTES: u32 = 32 * 1024;

/// Requests that are sent before the first answer: 2 MiB under way, as OpenSSH's own client has.
const READS_AHEAD: usize = 64;

/// Codes of a status (§7).
const END: u32 = 1;
const NO_SUCH_FILE: u32 = 2;
const PERMISSION_DENIED: u32 = 3;

/// A connection on which version 3 was agreed.
#[derive(Debug)]
pub(super) struct Dialogue<I, O> {
    input: I,
    output: O,
    /// Number of the next request.
    next: u32,
    /// The latest reply, without its length.
    packet: Vec<u8>,
}

/// Bytes that were asked for, and where they are.
#[derive(Clone, Copy, Debug)]
struct Asked {
    id: u32,
    /// From the begin of what is wanted.
    at: usize,
    length: u32,
}

impl<I: AsyncRead + Unpin, O: AsyncWrite + Unpin> Dialogue<I, O> {
    /// Agrees on the version.
    pub(super) async fn begin(input: I, output: O) -> Result<Self, TryFault> {
        let mut dialogue = Dialogue {
            input,
            output,
            next: 0,
            packet: Vec::new(),
        };
        dialogue.send(&INIT).await?;
        dialogue.receive().await?;
        match parse_version(&dialogue.packet) {
            Some(()) => Ok(dialogue),
            None => Err(not_sftp()),
        }
    }

    /// The names in a folder.
    pub(super) async fn list(&mut self, path: &[u8]) -> Result<Vec<String>, TryFault> {
        let handle = self.open(Request::OpenFolder { path }).await?;
        let handle = &handle;
        let mut found = Vec::new();
        while found.len() <= MAX_LISTED {
            let id = self.ask(Request::ReadFolder { handle }).await?;
            match self.answer(id).await? {
                Reply::Names(names) => {
                    let names = names.iter().filter_map(|name| str::from_utf8(name).ok());
                    found.extend(names.map(str::to_owned));
                }
                Reply::Status { code: END, .. } => break,
                other => return Err(fault(&other)),
            }
        }
        self.ask(Request::Close { handle }).await?;
        Ok(found)
    }

    /// Bytes of a file: fewer than are asked for if it has no more.
    pub(super) async fn read(&mut self, path: &[u8], part: Part) -> Result<Vec<u8>, TryFault> {
        let handle = self.open(Request::Open { path }).await?;
        let (offset, most) = match part {
            Part::Range { offset, length } => (offset, length.into()),
            Part::Whole { .. } => {
                let id = self.ask(Request::Attributes { handle: &handle }).await?;
                match self.answer(id).await? {
                    Reply::Attributes(size) => (0, size.unwrap_or(u64::MAX).min(part.most())),
                    other => return Err(fault(&other)),
                }
            }
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let content = self.read_at(&handle, offset, most).await?;
        self.ask(Request::Close { handle: &handle }).await?;
        Ok(content)
    }

    async fn read_at(
        &mut self,
        handle: &[u8],
        offset: u64,
        most: usize,
    ) -> Result<Vec<u8>, TryFault> {
        let mut content = vec![0; most];
        let mut asked: Vec<Asked> = Vec::new();
        // What is not asked for yet begins here, and what is not there at all.
        let (mut next, mut end) = (0, most);
        loop {
            while next < end && asked.len() < READS_AHEAD {
                let left = u32::try_from(end - next).unwrap_or(u32::MAX);
                let length = left.min(READ_BYTES);
                asked.push(self.ask_bytes(handle, offset, next, length).await?);
                next += length as usize;
            }
            if asked.is_empty() {
                content.truncate(end);
                return Ok(content);
            }
            // Answers come in any order.
            let answered = self.receive_answer().await?;
            let Some(index) = asked.iter().position(|asked| asked.id == answered) else {
                continue;
            };
            let Asked { at, length, .. } = asked.swap_remove(index);
            let (at, left) = match self.answered()? {
                Reply::Data(data) if !data.is_empty() && data.len() <= length as usize => {
                    let to = content.get_mut(at..at + data.len());
                    to.ok_or_else(not_sftp)?.copy_from_slice(data);
                    (at + data.len(), length as usize - data.len())
                }
                Reply::Status { code: END, .. } => {
                    end = end.min(at);
                    continue;
                }
                other => return Err(fault(&other)),
            };
            if left > 0 {
                // A server may give less than it has.
                let left = u32::try_from(left).unwrap_or(READ_BYTES);
                asked.push(self.ask_bytes(handle, offset, at, left).await?);
            }
        }
    }

    async fn ask_bytes(
        &mut self,
        handle: &[u8],
        offset: u64,
        at: usize,
        length: u32,
    ) -> Result<Asked, TryFault> {
        let request = Request::Read {
            handle,
            offset: offset.saturating_add(at as u64),
            length,
        };
        let id = self.ask(request).await?;
        Ok(Asked { id, at, length })
    }

    async fn open(&mut self, request: Request<'_>) -> Result<Vec<u8>, TryFault> {
        let id = self.ask(request).await?;
        match self.answer(id).await? {
            Reply::Handle(handle) => Ok(handle.to_vec()),
            other => Err(fault(&other)),
        }
    }

    /// Sends a request. Its answer is waited for by its number, or not at all.
    async fn ask(&mut self, request: Request<'_>) -> Result<u32, TryFault> {
        let id = self.next;
        self.next = id.wrapping_add(1);
        self.send(&request.encode(id)).await?;
        Ok(id)
    }

    async fn send(&mut self, packet: &[u8]) -> Result<(), TryFault> {
        let sent = async {
            self.output.write_all(packet).await?;
            self.output.flush().await
        };
        sent.await.map_err(|_| ended())
    }

    /// The answer to a request. Others that come before are to requests that nobody waits for any more.
    async fn answer(&mut self, id: u32) -> Result<Reply<'_>, TryFault> {
        while self.receive_answer().await? != id {}
        self.answered()
    }

    /// Waits for the next answer; gives the number of its request.
    async fn receive_answer(&mut self) -> Result<u32, TryFault> {
        self.receive().await?;
        number(&self.packet).ok_or_else(not_sftp)
    }

    /// The answer that came last.
    fn answered(&self) -> Result<Reply<'_>, TryFault> {
        parse(&self.packet).ok_or_else(not_sftp)
    }

    async fn receive(&mut self) -> Result<(), TryFault> {
        let mut length = [0; 4];
        let head = self.input.read_exact(&mut length).await;
        head.map_err(|_| ended())?;
        let length = u32::from_be_bytes(length);
        if length > MAX_REPLY {
            return Err(not_sftp());
        }
        self.packet.resize(length as usize, 0);
        let body = self.input.read_exact(&mut self.packet).await;
        body.map(|_| ()).map_err(|_| ended())
    }
}

fn ended() -> TryFault {
    TryFault::Passing("the connection broke".to_owned())
}

fn not_sftp() -> TryFault {
    TryFault::Passing("what answers does not speak SFTP version 3".to_owned())
}

/// What an answer means that is not the one that was hoped for.
fn fault(reply: &Reply<'_>) -> TryFault {
    match reply {
        Reply::Status {
            code: NO_SUCH_FILE, ..
        } => TryFault::Final(StorageFault::Missing),
        Reply::Status {
            code: PERMISSION_DENIED,
            message,
        } => TryFault::Final(StorageFault::Denied(message.clone())),
        Reply::Status { code, message } => {
            TryFault::Passing(format!("the server answers with status {code}: {message}"))
        }
        Reply::Handle(_) | Reply::Data(_) | Reply::Names(_) | Reply::Attributes(_) => not_sftp(),
    }
}

#[cfg(test)]
mod tests;
