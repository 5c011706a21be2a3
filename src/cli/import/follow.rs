//! `import --follow`: looks at folders again and again and reads each file once, when it is whole.
//!
//! A file is whole when two looks in a row see the same size and time of change, or when it has not changed for
//! ten seconds. It is the same file while its inode, size and time are the same, wherever it is moved to (a Maildir
//! renames its mail); one that changes after it was read is read again, and what it holds of old reports counts
//! once as always. Files are looked at, never changed.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::exit::Failure;
use crate::cli::import::walk::{self, Found};
use crate::clock;
use crate::limits;

/// How long a file must rest to be read at the first look.
const SETTLED: Duration = Duration::from_secs(10);
/// Shortest step of a wait: a signal ends it.
const STEP: Duration = Duration::from_millis(50);

/// A file as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    changed_ns: (i64, i64),
}

/// What is known of the files.
#[derive(Debug, Default)]
struct Files {
    /// Files that were read, and those that are watched until they are whole.
    known: HashMap<Seen, bool>,
    /// Paths that cannot be looked at, told once.
    told: HashSet<PathBuf>,
}

/// Takes what was found; nothing at the end of each look.
pub type TakeMore<'t> = dyn FnMut(Option<Found>) -> Result<(), Failure> + 't;

/// Looks until SIGINT or SIGTERM.
///
/// Errors: those of `take`.
pub fn run(paths: &[PathBuf], take: &mut TakeMore<'_>) -> Result<(), Failure> {
    let is_stopped = watch_signals()?;
    let mut files = Files::default();
    while !is_stopped.load(Ordering::Relaxed) {
        files.look(paths, &is_stopped, take)?;
        take(None)?;
        let until = clock::instant() + limits::FOLLOW_INTERVAL;
        while clock::instant() < until && !is_stopped.load(Ordering::Relaxed) {
            std::thread::sleep(STEP);
        }
    }
    Ok(())
}

impl Files {
    /// One look at everything: reads what is whole and new.
    fn look(
        &mut self,
        paths: &[PathBuf],
        is_stopped: &AtomicBool,
        take: &mut TakeMore<'_>,
    ) -> Result<(), Failure> {
        let mut here = HashMap::new();
        let mut folders = HashSet::new();
        let mut open: Vec<PathBuf> = paths.iter().rev().cloned().collect();
        while let Some(path) = open.pop() {
            if is_stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            let metadata = match std::fs::metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) => {
                    // A file below a folder may have gone since; what the user named should be there.
                    if paths.contains(&path) {
                        self.tell(path, &error, take)?;
                    }
                    continue;
                }
            };
            if metadata.is_dir() {
                if folders.insert((metadata.dev(), metadata.ino())) {
                    match walk::folder_names(&path) {
                        Ok(names) => open.extend(names.into_iter().rev()),
                        Err(error) => self.tell(path, &error, take)?,
                    }
                }
                continue;
            }
            if !metadata.is_file() || metadata.len() == 0 {
                continue;
            }
            let seen = Seen {
                device: metadata.dev(),
                inode: metadata.ino(),
                size: metadata.len(),
                changed_ns: (metadata.mtime(), metadata.mtime_nsec()),
            };
            let was_read = match self.known.get(&seen) {
                Some(true) => true,
                // The same at the look before: whole.
                Some(false) => read(&path, take)?,
                None if is_settled(metadata.mtime()) => read(&path, take)?,
                None => false,
            };
            here.insert(seen, was_read);
        }
        // What is gone, or changed, is forgotten.
        self.known = here;
        Ok(())
    }

    /// Tells once that a path cannot be looked at.
    fn tell(
        &mut self,
        path: PathBuf,
        error: &std::io::Error,
        take: &mut TakeMore<'_>,
    ) -> Result<(), Failure> {
        if self.told.contains(&path) {
            return Ok(());
        }
        let name = path.display().to_string();
        self.told.insert(path);
        take(Some(Found::Unreadable { name, reason: error.to_string() }))
    }
}

/// Reads one file; what it holds that cannot be read is told like everything else.
fn read(path: &Path, take: &mut TakeMore<'_>) -> Result<bool, Failure> {
    walk::each_item(path, &mut |found| take(Some(found)))?;
    Ok(true)
}

/// True if a file has not changed for so long that nobody writes it any more.
fn is_settled(changed_at: i64) -> bool {
    clock::now().seconds().saturating_sub(changed_at) >= i64::try_from(SETTLED.as_secs()).unwrap_or(i64::MAX)
}

/// A flag that a signal to stop sets.
fn watch_signals() -> Result<Arc<AtomicBool>, Failure> {
    let trouble = |error: std::io::Error| Failure::run(format!("cannot watch signals: {error}"));
    let is_stopped = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(trouble)?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate()).map_err(trouble)?, signal(SignalKind::interrupt()).map_err(trouble)?)
    };
    let flag = Arc::clone(&is_stopped);
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            });
            flag.store(true, Ordering::Relaxed);
        })
        .map_err(trouble)?;
    Ok(is_stopped)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// The names of what one look finds.
    fn look(files: &mut Files, path: &Path) -> Vec<String> {
        let mut names = Vec::new();
        let mut take = |found: Option<Found>| {
            match found {
                Some(Found::Item(item)) => names.push(item.name),
                Some(Found::Unreadable { name, .. }) => names.push(format!("unreadable {name}")),
                None => {}
            }
            Ok(())
        };
        files.look(&[path.to_owned()], &AtomicBool::new(false), &mut take).unwrap();
        let root = format!("{}/", path.display());
        names.iter().map(|name| name.replace(&root, "")).collect()
    }

    #[test]
    fn each_file_is_read_once_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut files = Files::default();
        assert!(look(&mut files, path).is_empty());

        let mut file = std::fs::File::create(path.join("a.xml")).unwrap();
        assert!(look(&mut files, path).is_empty(), "empty");
        file.write_all(b"<feed").unwrap();
        assert!(look(&mut files, path).is_empty(), "seen for the first time");
        file.write_all(b"back/>").unwrap();
        assert!(look(&mut files, path).is_empty(), "grew");
        assert_eq!(look(&mut files, path), ["a.xml"]);
        assert!(look(&mut files, path).is_empty(), "read already");

        // A new name is no new file; more in it is.
        std::fs::rename(path.join("a.xml"), path.join("b.xml")).unwrap();
        assert!(look(&mut files, path).is_empty());
        file.write_all(b"<!-- more -->").unwrap();
        assert!(look(&mut files, path).is_empty());
        assert_eq!(look(&mut files, path), ["b.xml"]);

        assert_eq!(
            look(&mut files, &path.join("absent")),
            ["unreadable ".to_owned() + &path.join("absent").display().to_string()]
        );
        assert!(look(&mut files, &path.join("absent")).is_empty());
    }

    #[test]
    fn a_maildir_gives_its_mail_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for part in ["cur", "new", "tmp"] {
            std::fs::create_dir(path.join(part)).unwrap();
        }
        std::fs::write(path.join("tmp/1"), "Subject: x\n\n").unwrap();
        let mut files = Files::default();
        for _ in 0..3 {
            assert!(look(&mut files, path).is_empty());
        }
        std::fs::rename(path.join("tmp/1"), path.join("new/1")).unwrap();
        assert!(look(&mut files, path).is_empty());
        assert_eq!(look(&mut files, path), ["new/1"]);
        std::fs::rename(path.join("new/1"), path.join("cur/1:2,S")).unwrap();
        assert!(look(&mut files, path).is_empty());
    }
}
