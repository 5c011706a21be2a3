//! The IMAP client: what any server may send. The client is the real one, over a loopback connection.

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use mailsonde::clock::Timestamp;
use mailsonde::limits;
use mailsonde::mailbox::{
    After, Aim, ArrivalKeeper, ArrivalKey, Checked, Credentials, Due, Fault, FolderKey, FolderState,
    KeepError, Keeper, Kept, Look, MailboxKind, MailboxOptions, MailboxTls, Mark, Note, OpenMessage, Pass,
    Receipt, Source, SpamFolder, Step, Timeouts, WatchOptions, look_once, pass,
};
use mailsonde::probe::token::{KEY_BYTES, KeyRing};
use mailsonde::tls_client::Verify;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// One runtime for all runs.
pub(crate) static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));

/// Whatever the server sends: the look ends, keeps only what the server sent, and never steps back or ahead.
pub fn check(data: &[u8]) {
    let Some((how, script)) = data.split_first() else { return };
    let keeper = Memory { script: script.to_vec(), ..Memory::default() };
    let after = match how & 1 {
        0 => After::Leave,
        _ => After::Move { read: "read".to_owned(), unread: "unread \u{e9}".to_owned() },
    };
    if how & 2 != 0 {
        let open =
            OpenMessage { uid: "3".to_owned(), step: Step::Ask, tries: 1, size_bytes: None, reason: None };
        let state = FolderState { uid_validity: 7, last_uid: 5, open: vec![open], good_at: None };
        *keeper.state.lock().expect("one thread") = state;
    }
    let (pass, result) = look(MailboxKind::Imap, after, script, &keeper);
    check_pass(&pass, &result, &keeper);
    // A watcher of our own messages: nobody but us can make one, so none is kept.
    let keeper = Memory::of(script);
    let aims = [
        Aim::Arrivals { spam: SpamFolder::Auto, other: Vec::new(), recheck: vec![Duration::from_millis(1)] },
        Aim::Bounces,
    ];
    for aim in aims {
        let (pass, result) = look_for_own(MailboxKind::Imap, aim, script, &keeper);
        check_own(&pass, &result, &keeper);
    }
}

/// A watcher finds nothing of ours at a stranger's server, and says what is wrong.
pub(crate) fn check_own(pass: &Pass, result: &Result<(), Fault>, keeper: &Memory) {
    assert_eq!(*keeper.kept.lock().expect("one thread"), 0, "a foreign message is kept: {pass:?}");
    assert!(pass.folders.iter().all(|folder| folder.found == 0), "{pass:?}");
    check_pass(pass, result, keeper);
}

/// One look for our own messages at a server that sends `script` and closes.
pub(crate) fn look_for_own(
    kind: MailboxKind,
    aim: Aim,
    script: &[u8],
    keeper: &Memory,
) -> (Pass, Result<(), Fault>) {
    let ring = KeyRing::with_id(1, &[7; KEY_BYTES]).expect("an id below 32");
    RUNTIME.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let port = listener.local_addr().expect("its address").port();
        let account = options(kind, port, After::Leave);
        let options = WatchOptions {
            name: "fuzz".to_owned(),
            poll: account.poll,
            message_bytes: account.message_bytes,
            source: Source::Account(Box::new(account)),
            aim,
            inbox: vec!["INBOX".to_owned()],
        };
        let credentials = Credentials::Password("zq-secret".to_owned());
        let look = look_once(&options, &ring, Some(&credentials), keeper);
        let (found, ()) = tokio::join!(look, serve(listener, script));
        found
    })
}

/// Sums of a look are those of what was kept; a fault says something.
pub(crate) fn check_pass(pass: &Pass, result: &Result<(), Fault>, keeper: &Memory) {
    let kept = *keeper.kept.lock().expect("one thread");
    let sum: u64 = pass.folders.iter().map(|folder| folder.read + folder.duplicates).sum();
    // What was handed over and not waited for when the connection broke is kept and not counted.
    assert!(sum <= kept && (result.is_err() || sum == kept), "{sum} of {kept}: {pass:?}");
    if let Err(fault) = result {
        let text = fault.to_string();
        assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
        assert!(!text.contains("zq-secret"), "a password in a fault: {text}");
    }
}

/// One look at a server that sends `script` and closes.
pub(crate) fn look(
    kind: MailboxKind,
    after: After,
    script: &[u8],
    keeper: &Memory,
) -> (Pass, Result<(), Fault>) {
    RUNTIME.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let port = listener.local_addr().expect("its address").port();
        let options = options(kind, port, after);
        let credentials = Credentials::Password("zq-secret".to_owned());
        let (found, ()) = tokio::join!(pass(&options, &credentials, keeper), serve(listener, script));
        found
    })
}

/// An account on this machine.
fn options(kind: MailboxKind, port: u16, after: After) -> MailboxOptions {
    MailboxOptions {
        name: "fuzz".to_owned(),
        kind,
        host: "127.0.0.1".to_owned(),
        port,
        tls: MailboxTls::None,
        verify: Verify::Off,
        user: "dmarc".to_owned(),
        folders: vec!["INBOX".to_owned()],
        after,
        poll: Duration::from_secs(3_600),
        idle: false,
        message_bytes: 10_000,
        timeouts: Timeouts {
            connect: Duration::from_secs(10),
            reply: Duration::from_secs(10),
            command: Duration::from_secs(10),
        },
    }
}

/// Sends a script to the first client and closes.
async fn serve(listener: TcpListener, script: &[u8]) {
    let (mut stream, _) = listener.accept().await.expect("our own client");
    // The client may be gone before it has read all.
    let _ = stream.write_all(script).await;
    let _ = stream.shutdown().await;
    let mut heard = [0; 4_096];
    while matches!(stream.read(&mut heard).await, Ok(1..)) {}
}

/// Keeps messages in memory and checks what is noted.
#[derive(Default)]
pub(crate) struct Memory {
    /// What the server sends.
    script: Vec<u8>,
    /// What is remembered of the folder.
    state: Mutex<FolderState>,
    /// Messages kept.
    kept: Mutex<u64>,
}

impl Memory {
    /// A keeper for a server that sends `script`.
    pub(crate) fn of(script: &[u8]) -> Self {
        Self { script: script.to_vec(), ..Self::default() }
    }

    /// True if the server sent these bytes in one piece, or stuffed with dots (POP3).
    fn was_sent(&self, bytes: &[u8]) -> bool {
        let squeezed = |bytes: &[u8]| -> Vec<u8> {
            bytes.iter().copied().filter(|b| !matches!(b, b'\r' | b'.' | b'\\')).collect()
        };
        let (script, bytes) = (squeezed(&self.script), squeezed(bytes));
        bytes.is_empty() || memchr::memmem::find(&script, &bytes).is_some()
    }
}

impl Keeper for Memory {
    async fn state(&self, _key: &FolderKey) -> Result<FolderState, KeepError> {
        Ok(self.state.lock().expect("one thread").clone())
    }

    async fn note(&self, key: &FolderKey, note: Note) -> Result<(), KeepError> {
        // A watcher looks into what the server calls its folder for spam, too.
        assert!(!key.folder.is_empty() || key.account.starts_with("watch"));
        let mut state = self.state.lock().expect("one thread");
        match note {
            Note::Begin { uid_validity } => *state = FolderState { uid_validity, ..FolderState::default() },
            Note::Advance { from, to } => {
                assert!(from <= to, "the folder is read backwards: {from} to {to}");
                if state.last_uid == from {
                    state.last_uid = to;
                }
            }
            Note::Aside { reason, step, .. } => {
                assert!(!reason.is_empty() && matches!(step, Step::Ask | Step::GivenUp));
            }
            Note::Clear(uids) => state.open.retain(|message| !uids.contains(&message.uid)),
            Note::AskAgain | Note::Looked { .. } | Note::Passed(_) => {}
        }
        Ok(())
    }

    async fn keep(&self, mark: Mark, bytes: Vec<u8>) -> Result<Receipt, KeepError> {
        assert!(bytes.len() <= 10_000 && limits::MESSAGE_BYTES > 10_000, "a message over the cap is kept");
        assert!(
            self.was_sent(&bytes),
            "a message that the server did not send: {:?}",
            bytes.escape_ascii().to_string()
        );
        if let Mark::Imap { uid, previous, .. } = mark {
            assert!(uid > 0 && previous.is_none_or(|previous| previous < uid), "{previous:?} before {uid}");
            if let Some(previous) = previous {
                let mut state = self.state.lock().expect("one thread");
                if state.last_uid == previous {
                    state.last_uid = uid;
                }
            }
        }
        *self.kept.lock().expect("one thread") += 1;
        let (sender, receipt) = tokio::sync::oneshot::channel();
        let _ = sender.send(Ok(Kept::Read));
        Ok(receipt)
    }
}

impl ArrivalKeeper for Memory {
    async fn knows(&self, _: &ArrivalKey) -> Result<bool, KeepError> {
        Ok(false)
    }

    async fn stands(&self, _: &ArrivalKey, _: &FolderKey, _: &str, _: Timestamp) -> Result<(), KeepError> {
        Ok(())
    }

    async fn due(&self, _: &str, _: Timestamp) -> Result<Vec<Due>, KeepError> {
        Ok(Vec::new())
    }

    async fn checked(&self, _: Checked) -> Result<(), KeepError> {
        Ok(())
    }

    async fn look(&self, look: Look) -> Result<(), KeepError> {
        assert!(look.fault.is_none_or(|fault| !fault.is_empty() && !fault.contains("zq-secret")));
        Ok(())
    }
}
