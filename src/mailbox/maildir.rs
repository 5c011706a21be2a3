//! Our own messages in a Maildir of this machine: `new` and `cur` of each folder (Maildir++: `.Junk` beside them).
//!
//! Nothing is moved or renamed. A folder is listed only when the time of change of one of its two directories is
//! another one; a file is opened once, and of one that is not ours only the header is read.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;

use super::fault::Fault;
use super::judge::{self, Concern};
use super::options::Aim;
use super::pass::FolderPass;
use super::shelf::{Fresh, Item, Open, Shelf};
use super::spam::Candidate;
use super::state::FolderState;
use crate::clock::{self, Timestamp};
use crate::limits;
use crate::probe::token::KeyRing;

/// A file's time of change says nothing of what happens within this time after it.
const COARSE: Duration = Duration::from_secs(2);

/// What is known of one folder.
#[derive(Debug, Default)]
struct Known {
    /// Times of change of `new` and `cur` at the last list, if they are to be believed.
    changed: Option<[SystemTime; 2]>,
    /// Files that stand there, by their names without flags; false: not looked at yet.
    files: HashMap<String, bool>,
}

/// What a watcher remembers of a Maildir while it runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    folders: Arc<Mutex<HashMap<String, Known>>>,
}

impl Memory {
    /// The folders; plain values are sound whoever panicked.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A Maildir with the folder that is open in it.
pub(super) struct MaildirShelf<'s> {
    root: &'s Path,
    ring: &'s KeyRing,
    aim: &'s Aim,
    memory: Memory,
    folder: String,
}

impl<'s> MaildirShelf<'s> {
    /// Nothing is open yet.
    pub(super) fn new(root: &'s Path, ring: &'s KeyRing, aim: &'s Aim, memory: Memory) -> Self {
        Self { root, ring, aim, memory, folder: String::new() }
    }

    /// Does blocking work on another thread.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let ended = spawn_blocking(work).await;
        let error = match ended {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        Err(Fault::Refused { command: "Maildir", text: format!("{:?}: {error}", self.folder) })
    }

    /// A file of the open folder, at most so many bytes; `None` if it is gone.
    async fn read(&self, uid: &str, bytes: u64) -> Result<Option<Vec<u8>>, Fault> {
        let (path, uid) = (path_of(self.root, &self.folder), uid.to_owned());
        self.run(move || {
            let Some(file) = open(&path, &uid)? else { return Ok(None) };
            let mut read = Vec::new();
            file.take(bytes).read_to_end(&mut read)?;
            Ok(Some(read))
        })
        .await
    }
}

/// The directory of a folder: `INBOX` is the Maildir itself, `Archive/2026` is `.Archive.2026`.
fn path_of(root: &Path, folder: &str) -> PathBuf {
    if folder.eq_ignore_ascii_case("INBOX") {
        return root.to_owned();
    }
    root.join(format!(".{}", folder.trim_start_matches('.').replace('/', ".")))
}

/// A file's name without its flags.
fn base(name: &str) -> &str {
    name.split_once(":2,").map_or(name, |(base, _)| base)
}

/// The files of a folder with their names as they are now.
fn files(path: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for part in ["new", "cur"] {
        for entry in fs::read_dir(path.join(part))? {
            let entry = entry?;
            let name = entry.file_name();
            // A name that is no text is nobody's delivery.
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            files.push((entry.path(), base(name).to_owned()));
        }
    }
    Ok(files)
}

/// Opens a file by its name without flags, wherever it stands now. Nothing but a plain file is opened.
fn open(path: &Path, uid: &str) -> io::Result<Option<File>> {
    // A reader renames a file between two of our steps.
    for _ in 0..3 {
        let Some((found, _)) = files(path)?.into_iter().find(|(_, base)| base == uid) else {
            return Ok(None);
        };
        match plain(&found) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    Ok(None)
}

/// Opens a plain file; `None` for anything else, such as a link or a pipe.
fn plain(path: &Path) -> io::Result<Option<File>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(None);
    }
    File::open(path).map(Some)
}

/// The header of a file, at most [`limits::MAILBOX_HEADER_BYTES`].
fn header_of(file: File) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::with_capacity(4_096, file.take(limits::MAILBOX_HEADER_BYTES));
    let mut header = Vec::new();
    loop {
        let start = header.len();
        let read = reader.read_until(b'\n', &mut header)?;
        let line = header.get(start..).unwrap_or_default();
        if read == 0 || line == b"\n" || line == b"\r\n" {
            return Ok(header);
        }
    }
}

/// A file's time as ours.
fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_ms(i64::try_from(since.as_millis()).ok()?))
}

/// Lists a folder again if it changed. True if it did.
fn refresh(path: &Path, known: &mut Known) -> io::Result<bool> {
    let times = || -> io::Result<[SystemTime; 2]> {
        Ok([fs::metadata(path.join("new"))?.modified()?, fs::metadata(path.join("cur"))?.modified()?])
    };
    let before = times()?;
    if known.changed == Some(before) {
        return Ok(false);
    }
    let listed = files(path)?;
    let names: HashSet<&str> = listed.iter().map(|(_, base)| base.as_str()).collect();
    known.files.retain(|name, _| names.contains(name.as_str()));
    for (_, base) in &listed {
        known.files.entry(base.clone()).or_insert(false);
    }
    // What is changed right now may change again without another time.
    let newest = before.iter().max().copied();
    let is_settled = newest.and_then(timestamp).is_some_and(|newest| newest.after(COARSE) < clock::now());
    known.changed = is_settled.then_some(before);
    Ok(true)
}

/// The header of every file that was not looked at, of those that may be ours.
fn look(
    path: &Path,
    known: &mut Known,
    ring: &KeyRing,
    aim: &Aim,
    most: usize,
) -> io::Result<(Vec<Item>, bool)> {
    refresh(path, known)?;
    if known.files.values().all(|is_known| *is_known) {
        return Ok((Vec::new(), false));
    }
    let mut items = Vec::new();
    let mut looked_at = 0;
    for (file, base) in files(path)? {
        let Some(is_known) = known.files.get_mut(&base).filter(|is_known| !**is_known) else { continue };
        if looked_at >= most {
            return Ok((items, true));
        }
        looked_at += 1;
        let opened = match plain(&file) {
            // Renamed or gone in between: the next list has it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                known.changed = None;
                continue;
            }
            other => other?,
        };
        *is_known = true;
        let Some(opened) = opened else { continue };
        let metadata = opened.metadata()?;
        let header = header_of(opened)?;
        let is_ours = match aim {
            Aim::Arrivals { .. } => judge::own(ring, &header, None).is_some(),
            Aim::Bounces => judge::concern(ring, &header) != Concern::Nobody,
        };
        if is_ours {
            let internal_at = metadata.modified().ok().and_then(timestamp);
            items.push(Item { uid: base, header, size: Some(metadata.len()), internal_at, gmail_id: None });
        }
    }
    items.sort_by(|a, b| a.uid.cmp(&b.uid));
    Ok((items, false))
}

impl Shelf for MaildirShelf<'_> {
    async fn open(&mut self, folder: &str) -> Result<Open, Fault> {
        folder.clone_into(&mut self.folder);
        let path = path_of(self.root, folder);
        let is_there =
            self.run(move || Ok(["new", "cur"].iter().all(|part| path.join(part).is_dir()))).await?;
        if !is_there {
            // What comes back is another folder.
            self.memory.lock().remove(folder);
            let text = format!("{folder:?} has no `new` and `cur`");
            return Err(Fault::Refused { command: "Maildir", text });
        }
        Ok(Open { uid_validity: 1, uid_next: None, exists: 0 })
    }

    async fn fresh(&mut self, _: &FolderState, _: &mut FolderPass) -> Result<Fresh, Fault> {
        let (path, folder) = (path_of(self.root, &self.folder), self.folder.clone());
        let (ring, aim, memory) = (self.ring.clone(), self.aim.clone(), self.memory.clone());
        let (items, is_more) = self
            .run(move || {
                let mut folders = memory.lock();
                let known = folders.entry(folder).or_default();
                look(&path, known, &ring, &aim, limits::MAILBOX_WATCH_FIELDS)
            })
            .await?;
        Ok(Fresh { items, read_to: None, is_more })
    }

    async fn beginning(&mut self, item: &Item, bytes: u64) -> Result<Option<Vec<u8>>, Fault> {
        self.read(&item.uid, bytes).await
    }

    async fn whole(&mut self, item: &Item) -> Result<Option<Vec<u8>>, Fault> {
        self.read(&item.uid, item.size.unwrap_or_default().saturating_add(limits::MAILBOX_HEADER_BYTES)).await
    }

    fn again(&mut self, item: &Item) {
        let mut folders = self.memory.lock();
        let file = folders.get_mut(&self.folder).and_then(|known| known.files.get_mut(&item.uid));
        if let Some(is_known) = file {
            *is_known = false;
        }
    }

    async fn still(&mut self, folder: &str, uids: &[String]) -> Result<Vec<String>, Fault> {
        self.open(folder).await?;
        let (path, uids) = (path_of(self.root, folder), uids.to_vec());
        self.run(move || {
            let there: HashSet<String> = files(&path)?.into_iter().map(|(_, base)| base).collect();
            Ok(uids.into_iter().filter(|uid| there.contains(uid)).collect())
        })
        .await
    }
}

/// The folders of a Maildir.
pub(super) fn folders(root: &Path) -> io::Result<Vec<Candidate>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix('.')) else { continue };
        if name.is_empty() || name == "." || folders.len() >= limits::MAILBOX_FOLDERS {
            continue;
        }
        let is_selectable = entry.path().join("cur").is_dir();
        folders.push(Candidate {
            name: name.to_owned(),
            delimiter: Some('.'),
            is_marked: false,
            is_selectable,
        });
    }
    folders.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(folders)
}

/// How many messages stand in a folder.
pub(super) fn count(root: &Path, folder: &str) -> io::Result<u64> {
    Ok(files(&path_of(root, folder))?.len() as u64)
}
