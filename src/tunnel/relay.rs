//! Copies between an initiator and the server.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

/// Bytes. Taken from the server at one time: several TLS records of 16 KiB.
const FROM_SERVER: usize = 128 * 1024;

/// Bytes. Taken from the initiator at one time: requests are small.
const TO_SERVER: usize = 16 * 1024;

/// How long the server may take to end its side after the initiator has ended its own.
const HALF_CLOSED: Duration = Duration::from_secs(5);

/// Whose end of the relay broke.
pub(super) enum Side {
    /// The initiator's.
    Local(io::Error),
    /// The server's.
    Remote(io::Error),
}

/// Copies both ways. Over when the server ends its side, or soon after the initiator ended its own.
pub(super) async fn relay<L, R>(local: L, remote: R) -> Result<(), Side>
where
    L: AsyncRead + AsyncWrite,
    R: AsyncRead + AsyncWrite,
{
    let (local_read, local_write) = tokio::io::split(local);
    let (remote_read, remote_write) = tokio::io::split(remote);
    let upstream = copy(local_read, remote_write, TO_SERVER);
    let downstream = async {
        match copy(remote_read, local_write, FROM_SERVER).await {
            Ok(()) => Ok(()),
            // "peer closed connection without sending TLS close_notify": iSCSI has its own logout.
            Err(Broken::Read(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(Broken::Read(error)) => Err(Side::Remote(error)),
            Err(Broken::Write(error)) => Err(Side::Local(error)),
        }
    };
    tokio::pin!(upstream, downstream);
    tokio::select! {
        ended = &mut downstream => ended,
        // When the server has ended the connection, why is told by the other direction.
        _ = &mut upstream => timeout(HALF_CLOSED, downstream).await.unwrap_or(Ok(())),
    }
}

/// Which end of one direction broke.
enum Broken {
    Read(io::Error),
    Write(io::Error),
}

/// Copies to the end of `from`, then ends `to`. Nothing stays in a buffer while `from` is silent.
async fn copy<R, W>(from: R, mut to: W, buffer: usize) -> Result<(), Broken>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut from = BufReader::with_capacity(buffer, from);
    loop {
        let bytes = from.fill_buf().await.map_err(Broken::Read)?;
        if bytes.is_empty() {
            return to.shutdown().await.map_err(Broken::Write);
        }
        let count = bytes.len();
        to.write_all(bytes).await.map_err(Broken::Write)?;
        to.flush().await.map_err(Broken::Write)?;
        from.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_servers_end_is_the_initiators_end() {
        use tokio::io::AsyncReadExt as _;
        let (mut initiator, local) = tokio::io::duplex(64);
        let (mut server, remote) = tokio::io::duplex(64);
        let relaying = tokio::spawn(async move { relay(local, remote).await.is_ok() });
        initiator.write_all(b"request").await.unwrap();
        let mut request = [0; 7];
        server.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"request");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = String::new();
        initiator.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        assert!(relaying.await.unwrap());
    }
}
