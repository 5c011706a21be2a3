//! `mailbox login`, `mailbox poll`, `mailbox test` and `mailbox list`.

use std::io::Write;

use jiff::tz::TimeZone;

use crate::cli::args::MailboxCommand;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, unknown_word};
use crate::clock::Timestamp;
use crate::config::{MailboxSettings, Settings};
use crate::daemon::keys;
use crate::daemon::mailbox::{SettingsCredential, StoreKeeper, oauth, options};
use crate::daemon::mailbox_own::watch_options;
use crate::mailbox::oauth::{Flow, Loopback, OAuthError, begin_device, client_credentials, wait_for_device};
use crate::mailbox::{
    Credential as _, Fault, FolderKey, FolderPass, FolderView, Keeper as _, Note, WatchOptions, inspect,
    inspect_own, look_once, pass,
};
use crate::render::{Column, Head, Kind, Sheet, Show, Value, escape};
use crate::store::{MailboxFolder, Reader, mailbox_eye};

/// Runs the command.
pub fn run(context: &Context, command: &MailboxCommand, out: &mut dyn Write) -> Result<Exit, Failure> {
    match command {
        MailboxCommand::Login { mailbox } => login(context, mailbox, out),
        MailboxCommand::Poll(arguments) => poll(context, &arguments.mailboxes, arguments.again, out),
        MailboxCommand::Test { mailboxes } => test(context, mailboxes, out),
        MailboxCommand::List => list(context, out),
    }
}

/// The mailboxes with these names; all without any.
fn chosen<'s>(settings: &'s Settings, names: &[String]) -> Result<Vec<&'s MailboxSettings>, Failure> {
    if settings.mailboxes.is_empty() {
        return Err(Failure::usage(
            "the configuration has no mailbox",
            "add a [mailbox.NAME]; docs/configuration.md shows its keys",
        ));
    }
    if names.is_empty() {
        return Ok(settings.mailboxes.iter().collect());
    }
    let one = |name: &String| {
        let all = settings.mailboxes.iter().map(|mailbox| mailbox.name.as_str());
        settings.mailbox(name).ok_or_else(|| unknown_word("mailbox", name, all))
    };
    names.iter().map(one).collect()
}

/// A runtime for one command.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::run(format!("cannot start the runtime: {error}")))
}

// ---- Login ----

/// Signs in by OAuth 2.0 and keeps the tokens.
fn login(context: &Context, name: &str, out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let names = [name.to_owned()];
    let Some(mailbox) = chosen(&settings, &names)?.into_iter().next() else {
        return Err(Failure::usage("no mailbox named", "name one of the configuration"));
    };
    let Some((options, file)) =
        oauth(mailbox, &settings.store_path).map_err(|error| Failure::run(format!("{error:#}")))?
    else {
        return Err(Failure::usage(
            format!("mailbox `{name}` signs in by a password or a token"),
            "only a mailbox with `oauth` has a sign-in",
        ));
    };
    let tokens = match options.flow {
        Flow::DeviceCode => {
            let prompt = begin_device(&options).map_err(failed)?;
            let (url, code) = (escape::terminal(&prompt.url), escape::terminal(&prompt.user_code));
            writeln!(out, "Open {url} on any device and type the code {code}")?;
            out.flush()?;
            wait_for_device(&options, &prompt)
        }
        Flow::Loopback => {
            let waiting = Loopback::begin(&options).map_err(failed)?;
            writeln!(out, "Open this address in a browser on this machine:\n{}", waiting.url)?;
            out.flush()?;
            waiting.wait(&options)
        }
        Flow::ClientCredentials => client_credentials(&options, context.now),
    };
    file.save(&tokens.map_err(failed)?).map_err(failed)?;
    writeln!(out, "{name}: signed in, tokens in {}", escape::terminal(&file.path().display().to_string()))?;
    out.flush()?;
    Ok(Exit::Fine)
}

/// A sign-in that did not work.
fn failed(error: OAuthError) -> Failure {
    match error {
        OAuthError::Options(text) => Failure::usage(text, "docs/configuration.md, `oauth`"),
        other => Failure::run(other),
    }
}

// ---- Poll ----

/// A folder that was read, or the mailbox that was not.
pub struct Polled {
    /// Its name in the configuration.
    pub mailbox: String,
    /// The folder; absent if the mailbox could not be opened.
    pub folder: Option<String>,
    /// What the look gave.
    pub found: FolderPass,
}

/// The columns of `mailbox poll`.
pub static POLLED: &[Column<Polled>] = &[
    Column::new("mailbox", "mailbox", Kind::Text, Show::Whole, "Its name in the configuration.", |row| {
        Value::text(Some(&row.mailbox))
    }),
    Column::new(
        "folder",
        "folder",
        Kind::Text,
        Show::Cut(12),
        "The folder; null if the mailbox could not be opened.",
        |row| Value::text(row.folder.as_deref()),
    ),
    Column::new("found", "found", Kind::Count("messages"), Show::Whole, "Messages asked for.", |row| {
        Value::Count(row.found.found)
    }),
    Column::new("read", "read", Kind::Count("messages"), Show::Whole, "Kept and read.", |row| {
        Value::Count(row.found.read)
    }),
    Column::new(
        "duplicate",
        "duplicate",
        Kind::Count("messages"),
        Show::Whole,
        "Their bytes or reports were there already.",
        |row| Value::Count(row.found.duplicates),
    ),
    Column::new("kept", "kept", Kind::Count("messages"), Show::Whole, "Ordinary mail.", |row| {
        Value::Count(row.found.other)
    }),
    Column::new(
        "unread",
        "unread",
        Kind::Count("messages"),
        Show::Whole,
        "Kept, and could not be read.",
        |row| Value::Count(row.found.unread),
    ),
    Column::new(
        "waiting",
        "waiting",
        Kind::Count("messages"),
        Show::Spare(2, 0),
        "Did not come; asked for again at the next look.",
        |row| Value::Count(row.found.waiting),
    ),
    Column::new(
        "given_up",
        "given up",
        Kind::Count("messages"),
        Show::Spare(1, 0),
        "Too large, or asked for in vain too often; `--again` asks once more.",
        |row| Value::Count(row.found.given_up),
    ),
    Column::new(
        "moved",
        "moved",
        Kind::Count("messages"),
        Show::Spare(3, 0),
        "Moved to another folder.",
        |row| Value::Count(row.found.moved),
    ),
    Column::new("fault", "fault", Kind::Text, Show::Cut(20), "Why not everything was read.", |row| {
        Value::text(row.found.fault.as_deref())
    }),
];

/// Reads mailboxes once. A mailbox that fails keeps nobody from the next one.
fn poll(context: &Context, names: &[String], again: bool, out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let mailboxes = chosen(&settings, names)?;
    let (_, store) = context.open_store()?;
    let keys = keys::load_or_create(store.path())?;
    let ring = keys.clone();
    let keeper = StoreKeeper::new(store.clone(), keys)
        .map_err(|error| Failure::run(format!("cannot start a thread: {error}")))?;
    let runtime = runtime()?;
    let mut rows: Vec<Polled> = Vec::new();
    for mailbox in mailboxes {
        let options = options(mailbox);
        let credential = SettingsCredential::new(mailbox, store.path());
        let result = runtime.block_on(async {
            if again {
                for folder in &options.folders {
                    let key = FolderKey { account: options.account(), folder: folder.clone() };
                    let noted = keeper.note(&key, Note::AskAgain).await;
                    noted.map_err(|error| Fault::Keep(error.text))?;
                }
            }
            let credentials = credential.credentials().await?;
            let (done, result) = match watch_options(mailbox) {
                Some(watched) => look_once(&watched, &ring, Some(&credentials), &keeper).await,
                None => pass(&options, &credentials, &keeper).await,
            };
            if matches!(result, Err(Fault::SignIn(_))) {
                credential.refused().await;
            }
            let is_told = done.folders.iter().any(|folder| folder.fault.is_some());
            rows.extend(done.folders.into_iter().map(|found| Polled {
                mailbox: mailbox.name.clone(),
                folder: Some(found.folder.clone()),
                found,
            }));
            if is_told { Ok(()) } else { result }
        });
        if let Err(fault) = result {
            let found = FolderPass { fault: Some(fault.to_string()), ..FolderPass::default() };
            rows.push(Polled { mailbox: mailbox.name.clone(), folder: None, found });
        }
    }
    store.close();
    let head = Head { view: "poll", title: "Mailboxes read", is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, POLLED, &rows);
    for row in &rows {
        sheet.notes.extend(row.found.notes.iter().map(|note| format!("{}: {note}", row.mailbox)));
    }
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    let is_bad = |row: &Polled| {
        row.found.fault.is_some() || row.found.unread + row.found.waiting + row.found.given_up > 0
    };
    Ok(Exit::findings_if(rows.iter().any(is_bad)))
}

// ---- Test ----

/// A folder as it was found.
pub struct Tested {
    /// Its name in the configuration.
    pub mailbox: String,
    /// The folder.
    pub view: FolderView,
}

/// The columns of `mailbox test`.
pub static TESTED: &[Column<Tested>] = &[
    Column::new("mailbox", "mailbox", Kind::Text, Show::Whole, "Its name in the configuration.", |row| {
        Value::text(Some(&row.mailbox))
    }),
    Column::new("folder", "folder", Kind::Text, Show::Cut(12), "The folder.", |row| {
        Value::text(Some(row.view.folder.as_str()).filter(|name| !name.is_empty()))
    }),
    Column::new(
        "role",
        "role",
        Kind::Text,
        Show::Cut(12),
        "What a watcher takes it for, and how the folder for spam was found; null where reports are read.",
        |row| Value::text(row.view.role.as_deref()),
    ),
    Column::new(
        "messages",
        "messages",
        Kind::Count("messages"),
        Show::Whole,
        "Messages in it; null if it could not be opened.",
        |row| row.view.messages.map_or(Value::Unknown, Value::Count),
    ),
    Column::new("tls_version", "TLS", Kind::Text, Show::Whole, "TLSv1.2 or TLSv1.3; null without.", |row| {
        Value::text(row.view.tls_version.as_deref())
    }),
    Column::new("idle", "idle", Kind::Flag, Show::Whole, "True if the server tells of new mail.", |row| {
        Value::Flag(row.view.can_idle)
    }),
    Column::new(
        "search",
        "search",
        Kind::Flag,
        Show::Whole,
        "True if the server finds messages by a word of their header; null: not tried.",
        |row| row.view.can_search.map_or(Value::Unknown, Value::Flag),
    ),
    Column::new("fault", "fault", Kind::Text, Show::Cut(20), "Why it cannot be read.", |row| {
        Value::text(row.view.fault.as_deref())
    }),
];

/// Signs in and opens every folder.
fn test(context: &Context, names: &[String], out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let runtime = runtime()?;
    let mut rows: Vec<Tested> = Vec::new();
    for mailbox in chosen(&settings, names)? {
        let credential = SettingsCredential::new(mailbox, &settings.store_path);
        let result = runtime.block_on(async {
            let credentials = credential.credentials().await?;
            match watch_options(mailbox) {
                Some(watched) => inspect_own(&watched, Some(&credentials)).await,
                None => inspect(&options(mailbox), &credentials).await,
            }
        });
        let views = result.unwrap_or_else(|fault| {
            vec![FolderView {
                folder: String::new(),
                role: None,
                messages: None,
                tls_version: None,
                can_idle: false,
                can_search: None,
                fault: Some(fault.to_string()),
            }]
        });
        rows.extend(views.into_iter().map(|view| Tested { mailbox: mailbox.name.clone(), view }));
    }
    let head = Head { view: "mailbox-test", title: "Mailboxes", is_timeless: true, ..Head::default() };
    context.output.print(&Sheet::of_rows(head, TESTED, &rows), &TimeZone::UTC, out)?;
    Ok(Exit::findings_if(rows.iter().any(|row| row.view.fault.is_some())))
}

// ---- List ----

/// A folder as it is remembered.
pub struct Listed {
    /// Its name in the configuration.
    pub mailbox: String,
    /// Protocol, user and host.
    pub account: String,
    /// The folder.
    pub folder: String,
    /// What is remembered of it.
    pub known: Option<MailboxFolder>,
    /// Why a watcher could not look into the account at all.
    pub blind: Option<String>,
}

impl Listed {
    /// A count of what is known.
    fn count(&self, of: impl FnOnce(&MailboxFolder) -> u64) -> Value<'static> {
        Value::Count(self.known.as_ref().map_or(0, of))
    }
}

/// The columns of `mailbox list`.
pub static LISTED: &[Column<Listed>] = &[
    Column::new("mailbox", "mailbox", Kind::Text, Show::Whole, "Its name in the configuration.", |row| {
        Value::text(Some(&row.mailbox))
    }),
    Column::new("account", "account", Kind::Text, Show::Spare(1, 12), "Protocol, user and host.", |row| {
        Value::text(Some(&row.account))
    }),
    Column::new("folder", "folder", Kind::Text, Show::Cut(12), "The folder.", |row| {
        Value::text(Some(&row.folder))
    }),
    Column::new(
        "looked_at",
        "looked at",
        Kind::Instant,
        Show::Whole,
        "When it was looked through last; null: never.",
        |row| row.known.as_ref().and_then(|known| known.looked_at).map_or(Value::Unknown, instant),
    ),
    Column::new(
        "last_uid",
        "last uid",
        Kind::Count("messages"),
        Show::Spare(2, 0),
        "IMAP: everything up to this UID is kept, gone, waiting or given up.",
        |row| row.count(|known| known.last_uid),
    ),
    Column::new(
        "waiting",
        "waiting",
        Kind::Count("messages"),
        Show::Whole,
        "Messages that did not come and are asked for again.",
        |row| row.count(|known| known.waiting),
    ),
    Column::new(
        "to_move",
        "to move",
        Kind::Count("messages"),
        Show::Spare(3, 0),
        "Kept, waiting to be moved.",
        |row| row.count(|known| known.to_move),
    ),
    Column::new(
        "given_up",
        "given up",
        Kind::Count("messages"),
        Show::Whole,
        "Messages that are no longer asked for.",
        |row| row.count(|known| known.given_up),
    ),
    Column::new(
        "given_up_first",
        "first given up",
        Kind::Text,
        Show::Spare(4, 20),
        "The first of these with its reason.",
        |row| Value::text(row.known.as_ref().and_then(|known| known.first_given_up.as_deref())),
    ),
    Column::new("fault", "fault", Kind::Text, Show::Cut(20), "Why the last look failed.", |row| {
        let of_folder = || row.known.as_ref().and_then(|known| known.fault.as_deref());
        Value::text(row.blind.as_deref().or_else(of_folder))
    }),
];

/// An instant.
fn instant(at: Timestamp) -> Value<'static> {
    Value::Instant(at)
}

/// Lists the folders of the configuration with what is remembered of them.
fn list(context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let reader = if settings.store_path.exists() { Some(context.open_reader()?) } else { None };
    let known = reader.as_ref().map_or_else(|| Ok(Vec::new()), Reader::mailbox_folders)?;
    let mut rows = Vec::new();
    for mailbox in &settings.mailboxes {
        let watched = watch_options(mailbox);
        let account = watched.as_ref().map_or_else(|| options(mailbox).account(), WatchOptions::account);
        let mut folders = mailbox.folders.clone();
        // Which folder is for spam shows when a watcher has looked.
        for other in known.iter().filter(|other| watched.is_some() && other.key.account == account) {
            if !folders.contains(&other.key.folder) {
                folders.push(other.key.folder.clone());
            }
        }
        let eye = mailbox_eye(&mailbox.name);
        let blind = reader.as_ref().map_or(Ok(None), |reader| reader.blind_because(&eye))?;
        for folder in &folders {
            let is_it = |other: &&MailboxFolder| other.key.account == account && other.key.folder == *folder;
            rows.push(Listed {
                mailbox: mailbox.name.clone(),
                account: account.clone(),
                folder: folder.clone(),
                known: known.iter().find(is_it).cloned(),
                blind: blind.clone(),
            });
        }
    }
    let head = Head { view: "mailboxes", title: "Mailboxes", is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, LISTED, &rows);
    if rows.is_empty() {
        sheet
            .notes
            .push("the configuration has no [mailbox.NAME]; docs/configuration.md shows its keys".to_owned());
    }
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::Fine)
}
