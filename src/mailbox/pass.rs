//! One look through a mailbox.

use super::fault::Fault;
use super::follow::watched;
use super::imap::folder;
use super::imap::session::Session;
use super::keeper::{Keeper, Kept};
use super::look::WatchedFolder;
use super::maildir;
use super::options::{Credentials, MailboxKind, MailboxOptions, Source, WatchOptions};
use super::pop3;
use super::state::{FolderKey, Note, Step};
use crate::clock;
use crate::probe::lifecycle::MailPlace;

/// What one look through a folder gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FolderPass {
    /// The folder.
    pub folder: String,
    /// Messages that were asked for.
    pub found: u64,
    /// Kept and read.
    pub read: u64,
    /// Kept; their bytes or reports were there already.
    pub duplicates: u64,
    /// Kept; ordinary mail.
    pub other: u64,
    /// Kept; could not be read.
    pub unread: u64,
    /// Did not come: asked for again.
    pub waiting: u64,
    /// Given up.
    pub given_up: u64,
    /// Moved.
    pub moved: u64,
    /// What was odd, in order; at most [`NOTES`].
    pub notes: Vec<String>,
    /// Why the folder, or a part of the work, failed.
    pub fault: Option<String>,
}

/// Notes kept of one folder.
pub const NOTES: usize = 20;

impl FolderPass {
    /// Begins a look.
    pub(super) fn new(folder: &str) -> Self {
        Self { folder: folder.to_owned(), ..Self::default() }
    }

    /// Counts a message that is durable.
    pub(super) fn count(&mut self, kept: Kept) {
        *match kept {
            Kept::Read => &mut self.read,
            Kept::Duplicate => &mut self.duplicates,
            Kept::Other => &mut self.other,
            Kept::Unread => &mut self.unread,
        } += 1;
    }

    /// Counts a message that did not come.
    pub(super) fn set_aside(&mut self, step: Step) {
        *if step == Step::GivenUp { &mut self.given_up } else { &mut self.waiting } += 1;
    }

    /// Notes something odd.
    pub(super) fn note(&mut self, text: String) {
        if self.notes.len() < NOTES {
            self.notes.push(text);
        }
    }

    /// Notes that something failed; the first stays.
    pub(super) fn fail(&mut self, text: String) {
        self.fault.get_or_insert(text);
    }
}

/// What one look through a mailbox gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pass {
    /// Each folder that was looked at, also in part.
    pub folders: Vec<FolderPass>,
}

/// Looks through all folders of a mailbox once and closes the connection.
///
/// What was done stands in the result, also of folders that failed in part; `Err` beside it: the connection or
/// the store failed, and later folders were not looked at.
pub async fn pass<K: Keeper>(
    options: &MailboxOptions,
    credentials: &Credentials,
    keeper: &K,
) -> (Pass, Result<(), Fault>) {
    let mut pass = Pass::default();
    let result = match options.kind {
        MailboxKind::Pop3 => pop3::read(options, credentials, keeper, &mut pass).await,
        // The configuration has no such mailbox for reports.
        MailboxKind::Maildir => Err(Fault::Refused {
            command: "Maildir",
            text: "a Maildir is watched, or read by `import --follow`".to_owned(),
        }),
        MailboxKind::Imap => match Session::open(options, credentials).await {
            Ok(mut session) => {
                let result = read_folders(&mut session, options, keeper, &mut pass).await;
                if result.is_ok() {
                    session.close().await;
                }
                result
            }
            Err(fault) => Err(fault),
        },
    };
    (pass, result)
}

/// Looks through all folders over one connection.
pub(super) async fn read_folders<K: Keeper>(
    session: &mut Session,
    options: &MailboxOptions,
    keeper: &K,
    pass: &mut Pass,
) -> Result<(), Fault> {
    for name in &options.folders {
        let mut found = FolderPass::new(name);
        let result = folder::read(session, options, keeper, &mut found).await;
        if let Err(fault) = &result {
            found.fail(fault.to_string());
        }
        let looked = looked(options, keeper, &found).await;
        pass.folders.push(found);
        match result {
            // A folder that is missing or closed to us keeps nobody from the next one.
            Err(fault) if fault.ends_connection() => return Err(fault),
            _ => looked?,
        }
    }
    Ok(())
}

/// Notes that a folder was looked at.
pub(super) async fn looked<K: Keeper>(
    options: &MailboxOptions,
    keeper: &K,
    found: &FolderPass,
) -> Result<(), Fault> {
    let key = FolderKey { account: options.account(), folder: found.folder.clone() };
    let note = Note::Looked { at: clock::now(), fault: found.fault.clone() };
    keeper.note(&key, note).await.map_err(|error| Fault::Keep(error.text))
}

/// A folder as the server shows it, without reading anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderView {
    /// The folder.
    pub folder: String,
    /// What a watcher takes it for, and how it knows: `inbox`, `spam (the server says so)`, `other`.
    pub role: Option<String>,
    /// Messages in it.
    pub messages: Option<u64>,
    /// `TLSv1.2` or `TLSv1.3`; absent without TLS.
    pub tls_version: Option<String>,
    /// True if the server tells of new mail.
    pub can_idle: bool,
    /// True if the server finds messages by a word in a field; absent: not tried, or nothing to try it with.
    pub can_search: Option<bool>,
    /// Why it cannot be read.
    pub fault: Option<String>,
}

/// Connects, signs in and opens each folder for reading only.
pub async fn inspect(options: &MailboxOptions, credentials: &Credentials) -> Result<Vec<FolderView>, Fault> {
    if options.kind == MailboxKind::Pop3 {
        return Ok(vec![pop3::inspect(options, credentials).await?]);
    }
    let mut session = Session::open(options, credentials).await?;
    let mut views = Vec::new();
    for folder in &options.folders {
        let mut view = FolderView {
            folder: folder.clone(),
            role: None,
            messages: None,
            tls_version: session.tls_version(),
            can_idle: session.can("IDLE"),
            can_search: None,
            fault: None,
        };
        match session.open_folder(folder, false).await {
            Ok(opened) => view.messages = Some(opened.exists.into()),
            Err(fault) if fault.ends_connection() => return Err(fault),
            Err(fault) => view.fault = Some(fault.to_string()),
        }
        views.push(view);
    }
    session.close().await;
    Ok(views)
}

/// Looks at the folders that a watcher of our own messages would look at: which is the one for spam, can the server
/// search, does it tell of new mail. Reads no message; of one the Message-ID.
///
/// `None` for credentials: a Maildir.
pub async fn inspect_own(
    options: &WatchOptions,
    credentials: Option<&Credentials>,
) -> Result<Vec<FolderView>, Fault> {
    let account = match (&options.source, credentials) {
        (Source::Maildir(root), _) => return inspect_maildir(options, root),
        (Source::Account(_), None) => return Err(Fault::Credentials("no credentials".to_owned())),
        (Source::Account(account), Some(_)) if account.kind != MailboxKind::Imap => account,
        (Source::Account(account), Some(credentials)) => {
            let mut session = Session::open(account, credentials).await?;
            let listed = session.folders().await?;
            let mut views = Vec::new();
            for folder in watched(options, &listed) {
                let mut view = view_of(&folder);
                view.tls_version = session.tls_version();
                view.can_idle = session.can("IDLE");
                match session.open_folder(&folder.name, false).await {
                    Ok(opened) => {
                        view.messages = Some(opened.exists.into());
                        if opened.exists > 0 {
                            view.can_search = session.finds_words().await?;
                        }
                    }
                    Err(fault) if fault.ends_connection() => return Err(fault),
                    Err(fault) => view.fault = Some(fault.to_string()),
                }
                views.push(view);
            }
            session.close().await;
            return Ok(views);
        }
    };
    let Some(credentials) = credentials else { return Ok(Vec::new()) };
    Ok(vec![pop3::inspect(account, credentials).await?])
}

/// The folders of a Maildir.
fn inspect_maildir(options: &WatchOptions, root: &std::path::Path) -> Result<Vec<FolderView>, Fault> {
    let refused = |error: std::io::Error| Fault::Refused {
        command: "Maildir",
        text: format!("{}: {error}", root.display()),
    };
    let listed = maildir::folders(root).map_err(refused)?;
    let view = |folder: WatchedFolder| {
        let mut view = view_of(&folder);
        match maildir::count(root, &folder.name) {
            Ok(count) => view.messages = Some(count),
            Err(error) => view.fault = Some(error.to_string()),
        }
        view
    };
    Ok(watched(options, &listed).into_iter().map(view).collect())
}

/// A folder of which nothing is known but what it is for.
fn view_of(folder: &WatchedFolder) -> FolderView {
    let role = match (folder.place, folder.spam_by) {
        (MailPlace::Spam, Some(by)) => format!("spam ({})", by.as_str()),
        (MailPlace::Spam, None) => "spam".to_owned(),
        (MailPlace::Inbox | MailPlace::Category | MailPlace::Sink, _) => "inbox".to_owned(),
        (MailPlace::Other, _) => "other".to_owned(),
    };
    FolderView {
        folder: folder.name.clone(),
        role: Some(role),
        messages: None,
        tls_version: None,
        can_idle: false,
        can_search: None,
        fault: None,
    }
}
