//! The body of the message that comes in: in memory while it is small, in a spool file when it is not.
//!
//! All sessions together hold at most a budget of bytes in memory; above it even small bodies are spooled.
//! A spooled body is synced, and so is its folder, before it is handed over; it is removed when dropped.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ring::digest;

use crate::limits;
use crate::mail::envelope::SpoolFile;
use crate::mail::{Body, Refusal};

use super::super::data;
use super::counters::Counter;

/// Beginning of the names of spool files. One that is left by a crash was never answered with 250.
pub const SPOOL_PREFIX: &str = "incoming-";

/// Bodies up to this size are not counted against the budget: it is less than a session costs anyway.
const UNCOUNTED_BYTES: usize = 8 * 1024;

/// What the bodies of all sessions share.
#[derive(Debug)]
pub(super) struct BodyStore {
    directory: PathBuf,
    /// Bytes of one body in memory.
    memory_bytes: usize,
    /// Bytes of all bodies in memory.
    budget_bytes: usize,
    used: AtomicUsize,
}

impl BodyStore {
    /// A store that spools into `directory`.
    pub(super) fn new(directory: PathBuf, memory_bytes: usize, budget_bytes: usize) -> Self {
        Self { directory, memory_bytes, budget_bytes, used: AtomicUsize::new(0) }
    }

    /// Takes `bytes` of the budget, if it has them.
    fn take(&self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.budget_bytes;
        if !fits {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

/// One body as it comes in.
pub(super) struct Incoming {
    store: Arc<BodyStore>,
    /// What is not spooled; the session appends here.
    pub(super) bytes: Vec<u8>,
    /// Bytes taken from the budget.
    taken: usize,
    spool: Option<Box<Spool>>,
    /// `Received` fields in what was in memory when the spooling began.
    received_fields: usize,
}

/// The beginning of a body, as much as the `Received` lines of a relay are looked for in; empty where the
/// spool file cannot be read.
pub(super) async fn head(body: &Body) -> Vec<u8> {
    let file = match body {
        Body::Memory(bytes) => {
            return bytes.get(..limits::RELAY_HEAD_BYTES).unwrap_or(bytes).to_vec();
        }
        Body::Spool(file) => file.path.to_path_buf(),
    };
    let read = blocking(move || {
        let mut head = Vec::new();
        File::open(file)?.take(limits::RELAY_HEAD_BYTES as u64).read_to_end(&mut head)?;
        Ok(head)
    });
    read.await.unwrap_or_default()
}

/// A spool file that is written.
struct Spool {
    file: File,
    path: tempfile::TempPath,
    digest: digest::Context,
    size_bytes: u64,
}

impl Incoming {
    /// An empty body: costs nothing until it has bytes.
    pub(super) fn new(store: Arc<BodyStore>) -> Self {
        Self { store, bytes: Vec::new(), taken: 0, spool: None, received_fields: 0 }
    }

    /// Throws away what is here.
    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
        self.spool = None;
        self.release();
    }

    /// `Received` fields in the beginning of the message: all of it, or what one body has in memory.
    pub(super) fn received_fields(&self) -> usize {
        match self.spool {
            None => data::received_fields(&self.bytes),
            Some(_) => self.received_fields,
        }
    }

    /// Keeps the memory within its caps after bytes were appended: spools if there are too many.
    ///
    /// Errors: the refusal of the message; its bytes are thrown away.
    pub(super) async fn settle(&mut self, spooled: &Counter) -> Result<(), Refusal> {
        let cap = match self.spool {
            None => self.store.memory_bytes,
            Some(_) => limits::SPOOL_BLOCK_BYTES.min(self.store.memory_bytes),
        };
        if self.bytes.len() <= cap && self.has_budget() {
            return Ok(());
        }
        if self.spool.is_none() {
            spooled.add(1);
            self.received_fields = data::received_fields(&self.bytes);
        }
        let (spool, bytes, directory) =
            (self.spool.take(), std::mem::take(&mut self.bytes), self.store.directory.clone());
        let written = blocking(move || {
            let mut spool = match spool {
                Some(spool) => spool,
                None => Box::new(Spool::create(&directory)?),
            };
            spool.write(&bytes)?;
            Ok(spool)
        })
        .await;
        self.release();
        self.spool = Some(written?);
        Ok(())
    }

    /// Ends the body. The memory stays counted until the next [`Self::clear`].
    ///
    /// Errors: the refusal of the message, where the file could not be written and synced.
    pub(super) async fn finish(&mut self) -> Result<Body, Refusal> {
        let bytes = std::mem::take(&mut self.bytes);
        let Some(mut spool) = self.spool.take() else {
            return Ok(Body::Memory(Arc::from(bytes)));
        };
        let directory = self.store.directory.clone();
        blocking(move || {
            spool.write(&bytes)?;
            spool.file.sync_all()?;
            // The name has to survive a loss of power too.
            File::open(&directory)?.sync_all()?;
            let mut sha256 = [0; 32];
            sha256.copy_from_slice(spool.digest.finish().as_ref());
            Ok(Body::Spool(SpoolFile { path: spool.path, size_bytes: spool.size_bytes, sha256 }))
        })
        .await
    }

    /// Counts the memory against the budget; false if there is none left.
    fn has_budget(&mut self) -> bool {
        let wanted = self.bytes.capacity();
        if wanted <= UNCOUNTED_BYTES || wanted <= self.taken {
            return true;
        }
        let granted = self.store.take(wanted - self.taken);
        if granted {
            self.taken = wanted;
        }
        granted
    }

    /// Gives the budget back.
    fn release(&mut self) {
        self.store.used.fetch_sub(std::mem::take(&mut self.taken), Ordering::Relaxed);
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.release();
    }
}

impl Spool {
    /// Makes a new file, readable by us only.
    fn create(directory: &Path) -> io::Result<Self> {
        let file = tempfile::Builder::new().prefix(SPOOL_PREFIX).suffix(".eml").tempfile_in(directory)?;
        let (file, path) = file.into_parts();
        Ok(Self { file, path, digest: digest::Context::new(&digest::SHA256), size_bytes: 0 })
    }

    /// Appends `bytes`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        self.size_bytes = self.size_bytes.saturating_add(bytes.len() as u64);
        Ok(())
    }
}

/// Does file work off the threads that serve sockets; its failure is never the sender's fault.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            let is_full = matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            );
            let cause = format!("spool file: {error}");
            // RFC 3463 §3.4: X.3.1, mail system full.
            Err(if is_full {
                Refusal::new(452, "4.3.1", "Insufficient system storage", cause)
            } else {
                Refusal::new(451, "4.3.0", "Local error, try again later", cause)
            })
        }
        Err(error) => Err(Refusal::new(451, "4.3.0", "Local error, try again later", error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn collect(store: &Arc<BodyStore>, bytes: &[u8], piece: usize) -> (Body, u64, usize) {
        let spooled = Counter::default();
        let mut incoming = Incoming::new(Arc::clone(store));
        let mut most = 0;
        for piece in bytes.chunks(piece) {
            incoming.bytes.extend_from_slice(piece);
            most = most.max(incoming.bytes.len());
            incoming.settle(&spooled).await.unwrap();
        }
        let body = incoming.finish().await.unwrap();
        (body, spooled.value(), most)
    }

    #[tokio::test]
    async fn small_in_memory_large_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(BodyStore::new(directory.path().into(), 100_000, 1_000_000));
        let bytes: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let (body, spooled, _) = collect(&store, &bytes[..100_000], 999).await;
        assert!(matches!(body, Body::Memory(kept) if *kept == bytes[..100_000]));
        assert_eq!(spooled, 0);
        let (body, spooled, most) = collect(&store, &bytes, 999).await;
        let Body::Spool(file) = body else { panic!("not spooled") };
        assert_eq!((spooled, file.size_bytes), (1, 300_000));
        assert!(most < 102_000);
        assert_eq!(std::fs::read(&file.path).unwrap(), bytes);
        assert_eq!(file.sha256.as_slice(), digest::digest(&digest::SHA256, &bytes).as_ref());
        assert_eq!(store.used.load(Ordering::Relaxed), 0);
        drop(file);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn without_budget_every_body_is_spooled() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(BodyStore::new(directory.path().into(), 100_000, 20_000));
        let mut first = Incoming::new(Arc::clone(&store));
        first.bytes = vec![0; 20_000];
        first.settle(&Counter::default()).await.unwrap();
        assert!(first.spool.is_none());
        let (body, spooled, _) = collect(&store, &[1; 9_000], 9_000).await;
        assert!(matches!(body, Body::Spool(_)) && spooled == 1);
        first.clear();
        let (body, ..) = collect(&store, &[1; 9_000], 9_000).await;
        assert!(matches!(body, Body::Memory(_)));
    }

    #[tokio::test]
    async fn a_spool_that_cannot_be_written_is_a_temporary_refusal() {
        let store = Arc::new(BodyStore::new("/nonexistent/folder".into(), 10, 1_000));
        let mut incoming = Incoming::new(store);
        incoming.bytes = vec![0; 11];
        let refusal = incoming.settle(&Counter::default()).await.unwrap_err();
        assert!(refusal.is_temporary() && !refusal.text.contains("nonexistent"));
    }
}
