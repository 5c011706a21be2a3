//! Mailboxes in the daemon: who keeps their messages, how they sign in, one task for each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::clock;
use crate::config::{MailboxAuth, MailboxSettings};
use crate::daemon::ingest::{self, Came, Import};
use crate::daemon::mailbox_own::watch_options;
use crate::mailbox::oauth::{self, OAuthOptions, TokenFile};
use crate::mailbox::{
    Credential, Credentials, Fault, FolderKey, FolderState, KeepError, Keeper, Kept, MailboxOptions, Mark,
    Note, Pass, Receipt, Timeouts, watch, watch_own,
};
use crate::probe::token::KeyRing;
use crate::store::{MessageStatus, Store, StoreError};
use crate::tls_client::Verify;

/// Keeps messages of mailboxes in the store.
///
/// One thread reads them, one after the other: the memory of a reading is taken once, however many there are.
#[derive(Clone)]
pub struct StoreKeeper {
    store: Store,
    keys: KeyRing,
    work: mpsc::Sender<Work>,
}

/// What the thread does next.
type Work = Box<dyn FnOnce() + Send>;

impl StoreKeeper {
    /// A keeper over a store and the keys of its probes. Its thread ends with its last clone.
    ///
    /// Errors: the system gives no thread.
    pub fn new(store: Store, keys: KeyRing) -> std::io::Result<Self> {
        let (work, inbox) = mpsc::channel::<Work>();
        std::thread::Builder::new().name("mailbox".to_owned()).spawn(move || {
            for work in inbox {
                // Whoever waits for a piece of work that panics hears that it has no answer.
                if catch_unwind(AssertUnwindSafe(work)).is_err() {
                    tracing::error!("a fault of this program with a message of a mailbox, please report it");
                }
            }
        })?;
        Ok(Self { store, keys, work })
    }

    /// Does work with the store on the thread and waits for its result.
    pub(super) async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, KeepError> {
        let store = self.store.clone();
        self.run(move || work(&store)).await
    }

    /// Does work on the thread and waits for its result.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, KeepError> {
        let (sender, answer) = oneshot::channel();
        let work = Box::new(move || {
            // Nobody waits any more if the mailbox was given up.
            let _ = sender.send(work());
        });
        let lost =
            |is_temporary| KeepError { is_temporary, text: "fault of this program: no answer".to_owned() };
        self.work.send(work).map_err(|_| lost(true))?;
        answer.await.map_err(|_| lost(false))?.map_err(|error| keep_error(&error))
    }
}

/// An error of the store as the mailbox reader sees it.
fn keep_error(error: &StoreError) -> KeepError {
    KeepError { is_temporary: error.is_temporary(), text: error.to_string() }
}

impl Keeper for StoreKeeper {
    async fn state(&self, key: &FolderKey) -> Result<FolderState, KeepError> {
        let key = key.clone();
        self.with_store(move |store| store.reader()?.mailbox_state(&key)).await
    }

    async fn note(&self, key: &FolderKey, note: Note) -> Result<(), KeepError> {
        let key = key.clone();
        self.with_store(move |store| store.note_mailbox(&key, note)).await
    }

    async fn keep(&self, mark: Mark, bytes: Vec<u8>) -> Result<Receipt, KeepError> {
        let (sender, receipt) = oneshot::channel();
        let (store, keys) = (self.store.clone(), self.keys.clone());
        self.run(move || {
            // A full disk is seen before anything is read.
            store.has_room(bytes.len() as u64)?;
            let done = Box::new(move |imported: Result<Import, StoreError>| {
                let kept = imported.map(|import| kept(&import)).map_err(|error| keep_error(&error));
                // The receiver is gone only if the mailbox was given up.
                let _ = sender.send(kept);
            });
            ingest::import(&store, &keys, Came::Mailbox(&mark), bytes, clock::now(), done)
        })
        .await?;
        Ok(receipt)
    }
}

/// What became of a message, for the mailbox reader.
fn kept(import: &Import) -> Kept {
    match import.finished.status {
        MessageStatus::Duplicate => Kept::Duplicate,
        MessageStatus::Unread => Kept::Unread,
        MessageStatus::Kept => Kept::Other,
        MessageStatus::Read | MessageStatus::Pending => Kept::Read,
    }
}

/// What the reader of a mailbox needs to know.
pub fn options(settings: &MailboxSettings) -> MailboxOptions {
    MailboxOptions {
        name: settings.name.clone(),
        kind: settings.kind,
        host: settings.host.clone(),
        port: settings.port,
        tls: settings.tls,
        verify: if settings.accepts_any_certificate { Verify::Off } else { Verify::System },
        user: settings.user.clone(),
        folders: settings.folders.clone(),
        after: settings.after.clone(),
        poll: settings.poll,
        idle: settings.idle,
        message_bytes: settings.message_bytes,
        timeouts: Timeouts::STANDARD,
    }
}

/// The OAuth 2.0 client of a mailbox, and the file of its tokens. Reads the client's secret.
///
/// `None` for a mailbox that signs in otherwise. Errors: the secret cannot be had.
pub fn oauth(
    settings: &MailboxSettings,
    store: &std::path::Path,
) -> anyhow::Result<Option<(OAuthOptions, TokenFile)>> {
    let MailboxAuth::OAuth(oauth) = &settings.auth else { return Ok(None) };
    let client_secret =
        oauth.client_secret.as_ref().map(|secret| secret.read().map(|text| text.reveal().to_owned()));
    let options = OAuthOptions {
        mailbox: settings.name.clone(),
        flow: oauth.flow,
        client_id: oauth.client_id.clone(),
        client_secret: client_secret.transpose()?,
        scope: oauth.scope.clone(),
        token_url: oauth.token_url.clone(),
        device_url: oauth.device_url.clone(),
        authorize_url: oauth.authorize_url.clone(),
        verify: Verify::System,
    };
    Ok(Some((options, TokenFile::beside(store, &settings.name))))
}

/// How a mailbox signs in.
#[derive(Clone)]
pub struct SettingsCredential {
    settings: Arc<MailboxSettings>,
    store: std::path::PathBuf,
}

impl SettingsCredential {
    /// The way that the settings name; tokens stand beside the database at `store`.
    pub fn new(settings: &MailboxSettings, store: &std::path::Path) -> Self {
        Self { settings: Arc::new(settings.clone()), store: store.to_owned() }
    }

    /// The password or token that is good now. Blocking.
    fn read(&self) -> anyhow::Result<Credentials> {
        Ok(match &self.settings.auth {
            MailboxAuth::Password(secret) => Credentials::Password(secret.read()?.reveal().to_owned()),
            MailboxAuth::Token(secret) => Credentials::Token(secret.read()?.reveal().to_owned()),
            MailboxAuth::Local(_) => Credentials::Password(String::new()),
            MailboxAuth::OAuth(_) => {
                let Some((options, file)) = oauth(&self.settings, &self.store)? else {
                    anyhow::bail!("no OAuth 2.0 here");
                };
                match oauth::access_token(&options, &file, clock::now()) {
                    Ok(token) => Credentials::Token(token),
                    Err(error) => return Err(error.into()),
                }
            }
        })
    }
}

impl Credential for SettingsCredential {
    async fn credentials(&self) -> Result<Credentials, Fault> {
        let this = self.clone();
        let read = spawn_blocking(move || this.read()).await;
        match read {
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(error)) => match error.downcast_ref::<oauth::OAuthError>() {
                // The token server does not answer: no sign-in was refused.
                Some(oauth::OAuthError::Unreachable(text)) => {
                    Err(Fault::Connect(format!("token server: {text}")))
                }
                _ => Err(Fault::Credentials(format!("{error:#}"))),
            },
            Err(error) => Err(Fault::Credentials(error.to_string())),
        }
    }

    async fn refused(&self) {
        let this = self.clone();
        let forgotten = spawn_blocking(move || {
            oauth(&this.settings, &this.store)
                .ok()
                .flatten()
                .map_or(Ok(()), |(_, file)| oauth::forget_access_token(&file))
        });
        if let Ok(Err(error)) = forgotten.await {
            tracing::warn!(mailbox = %self.settings.name, %error, "the refused token stays for now");
        }
    }
}

/// Watches all mailboxes, each in a task of its own, so that none disturbs another.
///
/// Dropping or aborting a task is safe at any point: what was not committed is asked for again.
///
/// Errors: the system gives no thread.
pub fn watch_all(
    mailboxes: &[MailboxSettings],
    store: &Store,
    keys: &KeyRing,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    mailboxes
        .iter()
        .map(|settings| {
            let credential = SettingsCredential::new(settings, store.path());
            let keeper = StoreKeeper::new(store.clone(), keys.clone())?;
            if let Some(options) = watch_options(settings) {
                let ring = keys.clone();
                return Ok(tokio::spawn(async move {
                    let name = options.name.clone();
                    watch_own(&options, &ring, &credential, &keeper, |pass, result| log(&name, pass, result))
                        .await;
                }));
            }
            let options = options(settings);
            Ok(tokio::spawn(async move {
                let name = options.name.clone();
                watch(&options, &credential, &keeper, |pass, result| log(&name, pass, result)).await;
            }))
        })
        .collect()
}

/// One line a folder that had something to say, one a fault.
fn log(mailbox: &str, pass: &Pass, result: Result<(), &Fault>) {
    for folder in &pass.folders {
        let name = folder.folder.as_str();
        if folder.found > 0 || folder.moved > 0 {
            let (found, read, duplicates) = (folder.found, folder.read, folder.duplicates);
            let (unread, other, moved) = (folder.unread, folder.other, folder.moved);
            let (waiting, given_up) = (folder.waiting, folder.given_up);
            tracing::info!(
                mailbox,
                folder = name,
                found,
                read,
                duplicates,
                other,
                unread,
                waiting,
                given_up,
                moved,
                "mailbox read"
            );
        }
        for note in &folder.notes {
            tracing::warn!(mailbox, folder = name, "{note:?}");
        }
        if let Some(fault) = &folder.fault {
            tracing::warn!(mailbox, folder = name, fault = ?fault, "folder not read whole");
        }
    }
    if let Err(fault) = result {
        let fault_text = fault.to_string();
        if fault.is_sign_in() {
            tracing::error!(mailbox, fault = ?fault_text, "mailbox not read");
        } else {
            tracing::warn!(mailbox, fault = ?fault_text, "mailbox not read; trying again");
        }
    }
}
