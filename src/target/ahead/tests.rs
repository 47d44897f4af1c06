use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use disk_image::{
    Cache, DiskFile, Fault, FileId, Format, ImageFile, OpenFault, Owner, Piece, Store,
};
use iscsi_proto::{ByteOffset, ReadId};

use super::*;
use crate::point::{Damage, Disk, Wait};
use crate::target::buffers::Buffers;
use crate::target::places::{DiskKey, Places};
use crate::target::reader::{ColdRead, Hot};

/// Bytes of the disk, and of the chunks that it is fetched in.
const DISK: u64 = 64 << 20;
const CHUNK: u64 = 256 << 10;

/// Bytes that are alike.
const BLOCK: usize = 512;

/// As large as reads are cut to.
const READ: u32 = 256 << 10;

/// A store far away. It counts what is fetched from it.
#[derive(Debug, Default)]
struct Far {
    fetched: Mutex<Vec<(u64, Wait)>>,
    /// Fetches hang for as long as this is set.
    hangs: AtomicBool,
    /// A chunk that cannot be fetched.
    bad: Option<u64>,
    /// It is near, after all.
    is_local: bool,
}

#[derive(Debug)]
struct FarStore(Arc<Far>, Arc<Cache>);

#[derive(Debug)]
struct FarFile {
    far: Arc<Far>,
    owner: Owner,
    path: Arc<Path>,
}

impl Store for FarStore {
    fn open(&self, path: &Path) -> Result<Box<dyn ImageFile>, OpenFault> {
        Ok(Box::new(FarFile {
            far: Arc::clone(&self.0),
            owner: Owner::new(&self.1),
            path: path.into(),
        }))
    }

    fn relative(&self, _: &Path) -> Option<PathBuf> {
        None
    }
}

impl ImageFile for FarFile {
    fn path(&self) -> &Arc<Path> {
        &self.path
    }

    fn size(&self) -> u64 {
        DISK
    }

    fn id(&self) -> FileId {
        FileId(1)
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8], wait: Wait) -> Result<(), Fault> {
        let blocks = (offset..).step_by(BLOCK).zip(buf.chunks_mut(BLOCK));
        for (at, block) in blocks {
            let chunk = at / CHUNK;
            if at == offset || at % CHUNK == 0 {
                let fetch = || self.far.fetch(chunk, wait, &self.path);
                let piece = Piece::Data(chunk.into());
                self.owner.fetch(piece, &self.path, wait, fetch)?;
            }
            block.fill(content(at));
        }
        Ok(())
    }

    fn gains_by_reading_ahead(&self) -> bool {
        !self.far.is_local
    }
}

impl Far {
    fn fetch(&self, chunk: u64, wait: Wait, path: &Arc<Path>) -> Result<Vec<u8>, Fault> {
        self.fetched.lock().unwrap().push((chunk, wait));
        while self.hangs.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        if self.bad == Some(chunk) {
            return Err(Fault::Damaged {
                good: 0,
                path: Arc::clone(path),
                damage: Damage::Truncated { end: 0 },
            });
        }
        Ok(vec![0; CHUNK as usize])
    }

    /// How many chunks were fetched before anyone asked for them.
    fn ahead(&self) -> usize {
        let fetched = self.fetched.lock().unwrap();
        fetched
            .iter()
            .filter(|(_, wait)| *wait == Wait::Ahead)
            .count()
    }
}

fn content(at: u64) -> u8 {
    (at / 512) as u8
}

async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .expect("in time");
}

/// One connection that reads the disk.
struct Reader {
    far: Arc<Far>,
    cache: Arc<Cache>,
    medium: Arc<Medium>,
    ahead: Ahead,
    metrics: Arc<Metrics>,
    cold: u64,
}

impl Reader {
    fn new(far: Far) -> Reader {
        let far = Arc::new(far);
        let cache = Arc::new(Cache::new(1 << 30));
        let file = DiskFile {
            name: "disk".into(),
            path: "disk.raw".into(),
            format: Some(Format::Raw),
            sector_size: None,
            snapshot: None,
            references: Default::default(),
        };
        let store = FarStore(Arc::clone(&far), Arc::clone(&cache));
        let disk = Disk::open(&store, &file, &cache).unwrap();
        let places = Places::default().of(DiskKey {
            source: "far".into(),
            vm: "web01".into(),
            point: "p".into(),
            disk: "disk".into(),
        });
        Reader {
            far,
            cache,
            medium: Arc::new(Medium::new("disk", Some(Arc::new(disk)), places)),
            ahead: Ahead::default(),
            metrics: Arc::default(),
            cold: 0,
        }
    }

    /// Reads as the driver does, and waits until nothing is read ahead any more.
    async fn read(&mut self, at: u64) {
        assert!(self.try_read(at).await);
        until(|| self.metrics.reads_ahead.load(Ordering::Relaxed) == 0).await;
    }

    async fn try_read(&mut self, at: u64) -> bool {
        let wanted = ReadBlocks {
            id: ReadId(1),
            lun: Lun::peripheral(0),
            offset: ByteOffset(at),
            len: READ,
        };
        let hot = self.medium.read_hot(wanted, &Buffers::default());
        let is_hot = matches!(hot, Hot::Done(_));
        self.ahead.read(&self.medium, wanted, is_hot, &self.metrics);
        let outcome = match hot {
            Hot::Done(outcome) => outcome,
            Hot::Cold(buffer) => {
                self.cold += 1;
                let cold = ColdRead::new(&self.metrics);
                Arc::clone(&self.medium)
                    .read_cold(wanted, buffer, cold)
                    .await
            }
        };
        let Ok(bytes) = outcome else {
            return false;
        };
        for (at, block) in (at..).step_by(BLOCK).zip(bytes.chunks(BLOCK)) {
            assert!(block.iter().all(|byte| *byte == content(at)), "{at}");
        }
        true
    }
}

#[tokio::test]
async fn a_sequential_reader_finds_everything_in_memory_and_nothing_is_fetched_twice() {
    let mut reader = Reader::new(Far::default());
    for at in (0..DISK).step_by(READ as usize) {
        reader.read(at).await;
    }
    // 1 MiB, its first chunk aside, and the read that makes it a stream; the others needed no thread but the worker's.
    assert_eq!(reader.cold, 4);
    let mut fetched = reader.far.fetched.lock().unwrap().clone();
    fetched.sort_by_key(|(chunk, _)| *chunk);
    let chunks: Vec<u64> = fetched.iter().map(|(chunk, _)| *chunk).collect();
    let all: Vec<u64> = (0..DISK / CHUNK).collect();
    assert_eq!(chunks, all, "each once, and none behind the end");
    let counts = reader.cache.counts();
    assert_eq!(counts.ahead_bytes, DISK - 5 * CHUNK);
    assert_eq!(counts.ahead_used_bytes, counts.ahead_bytes);
    assert_eq!(counts.ahead_wasted_bytes, 0);
}

#[tokio::test]
async fn a_random_reader_causes_no_fetch_ahead() {
    let mut reader = Reader::new(Far::default());
    let mut number = 3_u64;
    for _ in 0..150 {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        reader
            .read((number >> 33) % (DISK / CHUNK / 4) * 4 * CHUNK)
            .await;
    }
    assert_eq!(reader.far.ahead(), 0);
}

#[tokio::test]
async fn nothing_is_fetched_ahead_once_reads_turn_random() {
    let mut reader = Reader::new(Far::default());
    for at in (0..8 << 20).step_by(READ as usize) {
        reader.read(at).await;
    }
    let ahead = reader.far.ahead();
    assert!(ahead > 0);
    for n in 0..10 {
        reader.read((60 << 20) - n * (4 << 20)).await;
    }
    assert_eq!(reader.far.ahead(), ahead);
}

#[tokio::test]
async fn nothing_is_fetched_ahead_after_the_end_of_the_connection() {
    let mut reader = Reader::new(Far::default());
    for at in (0..1 << 20).step_by(READ as usize) {
        reader.read(at).await;
    }
    reader.far.hangs.store(true, Ordering::Relaxed);
    let far = Arc::clone(&reader.far);
    let metrics = Arc::clone(&reader.metrics);
    let read = tokio::spawn(async move { reader.try_read(1 << 20).await });
    // Two steps, each at its first chunk.
    until(|| far.ahead() == 2).await;
    read.abort();
    assert!(read.await.unwrap_err().is_cancelled());
    far.hangs.store(false, Ordering::Relaxed);
    until(|| metrics.reads_ahead.load(Ordering::Relaxed) == 0).await;
    assert_eq!(far.ahead(), 2);
}

#[tokio::test]
async fn what_cannot_be_read_ahead_fails_for_who_asks_for_it_and_stops_the_rest() {
    let mut reader = Reader::new(Far {
        bad: Some(7),
        ..Far::default()
    });
    for at in (0..7 * CHUNK).step_by(READ as usize) {
        reader.read(at).await;
    }
    let ahead = reader.far.ahead();
    assert!(!reader.try_read(7 * CHUNK).await, "MEDIUM ERROR");
    reader.read(8 * CHUNK).await;
    reader.read(9 * CHUNK).await;
    assert_eq!(reader.far.ahead(), ahead);
}

#[tokio::test]
async fn a_disk_that_does_not_gain_is_not_read_ahead() {
    let mut reader = Reader::new(Far {
        is_local: true,
        ..Far::default()
    });
    for at in (0..8 << 20).step_by(READ as usize) {
        reader.read(at).await;
    }
    // All but the first chunk, which was looked at when the disk was opened.
    assert_eq!((reader.far.ahead(), reader.cold), (0, 31));
}
