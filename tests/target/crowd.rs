//! Ten thousand connections that say nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::by_hand::ByHand;
use crate::process::{Process, Site};
use crate::support::{connector, content, log_in, within};

const CROWD: usize = 10_000;

/// Loopback addresses that they come from.
const ADDRESSES: usize = 80;

/// Connections that have not proven who they are: the most that the README says.
const STRANGERS: usize = 512;

/// For the server, which takes it from us, and for our end of all connections.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let enough = CROWD as u64 + 2000;
    let most = limit.maximum;
    assert!(
        most.is_none_or(|most| most >= enough),
        "this test needs {enough} open files, and the hard limit is {most:?} (ulimit -Hn)"
    );
    let current = most.map(|most| most.min(enough)).or(Some(enough));
    if limit.current.is_some_and(|current| current < enough) {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current,
                maximum: most,
            },
        )
        .unwrap();
    }
}

/// One that comes from the n-th address and says nothing.
async fn silent(n: usize, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(1 + n % ADDRESSES).unwrap());
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// All of them at both listeners, 64 at a time.
async fn crowd(server: &Process) -> JoinSet<std::io::Result<TcpStream>> {
    let turns = Arc::new(Semaphore::new(64));
    let mut crowd = JoinSet::new();
    for n in 0..CROWD {
        let turn = Arc::clone(&turns).acquire_owned().await.unwrap();
        let to = if n % 2 == 0 { server.plain } else { server.tls };
        crowd.spawn(async move {
            let _turn = turn;
            silent(n, to).await
        });
    }
    crowd
}

/// Logs in over TLS from an address of its own, reads, logs out.
async fn honest(server: &Process, bundle: &itemlift::tunnel::Bundle) -> Duration {
    let begun = Instant::now();
    let stream = connector(bundle).connect().await.unwrap();
    let mut session = log_in(stream, bundle).await.unwrap();
    let lun = iscsi_proto::scsi::Lun::peripheral(0);
    let read = session.read(lun, 0, 8, 4096).await.unwrap();
    assert_eq!(read, content(4096));
    session.log_out().await.unwrap();
    assert!(server.open_files() > 0);
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_who_say_nothing_keep_nobody_out() {
    allow_open_files();
    let site = Site::new();
    std::fs::write(site.point().join("disk0.raw"), content(1 << 20)).unwrap();
    let server = site.serve(&[]);
    let bundle = server.grant();
    let mut guest = ByHand::log_in(server.connect_plain().await, &bundle, 7).await;
    honest(&server, &bundle).await;
    let (memory, files) = (server.memory(), server.open_files());

    let (arrived, mut during) = tokio::join!(crowd(&server), async {
        let mut took = Vec::new();
        for _ in 0..10 {
            took.push(within(15, honest(&server, &bundle)).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        took
    });
    // Turned away or not, every one of them had its connection, and holds its end of it.
    let crowd: Vec<TcpStream> = arrived.join_all().await.into_iter().flatten().collect();
    assert!(crowd.len() > CROWD * 9 / 10, "{} came", crowd.len());
    let mut after = Vec::new();
    for _ in 0..5 {
        after.push(within(15, honest(&server, &bundle)).await);
    }
    let most = server.open_files() - files;
    assert!(
        most <= STRANGERS + 10,
        "{most} of the crowd are in the house"
    );
    assert!(most > STRANGERS / 2, "{most}: this tests nothing");
    let more = server.memory().saturating_sub(memory);
    assert!(more < 64 << 20, "{more} bytes for those who say nothing");
    for took in [&mut during, &mut after] {
        took.sort();
        assert!(took[took.len() / 2] < Duration::from_secs(1), "{took:?}");
    }
    guest.nop(1).await;
    assert_eq!(within(5, guest.receive()).await.unwrap().bhs[0], 0x20);

    drop(crowd);
    let begun = Instant::now();
    while server.open_files() > files {
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{}",
            server.open_files()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    honest(&server, &bundle).await;
}
