//! Stores, options and mails for the mailbox tests.

use std::time::Duration;

use mailsonde::clock;
use mailsonde::daemon::keys;
use mailsonde::daemon::mailbox::StoreKeeper;
use mailsonde::limits;
use mailsonde::mailbox::{
    After, Aim, Credentials, Fault, MailboxKind, MailboxOptions, MailboxTls, Pass, Source, SpamFolder,
    Timeouts, WatchOptions, look_once, pass,
};
use mailsonde::probe::lifecycle::{Event, MailPlace, Seen, What};
use mailsonde::probe::token::{KeyRing, Kind, TokenTexts};
use mailsonde::store::Store;
use mailsonde::summary::Query;
use mailsonde::tls_client::Verify;

pub(super) use crate::support::dovecot::PASSWORD;

/// A mail with one aggregate report: `id` is its report id and the number of its messages.
pub(super) fn report_mail(id: u32) -> Vec<u8> {
    let xml = format!(
        "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>reporter.example</org_name>\
         <email>dmarc@reporter.example</email><report_id>r{id}</report_id><date_range><begin>1772323200</begin>\
         <end>1772409599</end></date_range></report_metadata><policy_published><domain>example.com</domain>\
         <p>none</p></policy_published><record><row><source_ip>192.0.2.1</source_ip><count>{id}</count>\
         <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row>\
         <identifiers><header_from>example.com</header_from></identifiers><auth_results><spf>\
         <domain>example.com</domain><result>pass</result></spf></auth_results></record></feedback>"
    );
    format!(
        "From: dmarc@reporter.example\r\nTo: dmarc@example.com\r\nSubject: Report Domain: example.com {id}\r\n\
         Message-ID: <r{id}@reporter.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/xml; name=\"r{id}.xml\"\r\n\
         Content-Disposition: attachment; filename=\"r{id}.xml\"\r\n\r\n{xml}\r\n<!--\r\n.\r\n..two dots\r\n-->\r\n"
    )
    .into_bytes()
}

/// A mail with a report that is cut off: it is kept as unread.
pub(super) fn broken_mail(id: u32) -> Vec<u8> {
    let mail = report_mail(id);
    let text = String::from_utf8(mail).unwrap();
    text.as_bytes()[..text.find("<record>").unwrap()].to_vec()
}

/// A store with its keeper, in a folder of its own.
pub(super) struct Kept {
    pub(super) folder: tempfile::TempDir,
    pub(super) store: Store,
    pub(super) keeper: StoreKeeper,
}

impl Kept {
    /// A new store.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("t.db"), crate::store::make::options()).unwrap();
        let keeper = StoreKeeper::new(store.clone(), keys::load_or_create(store.path()).unwrap()).unwrap();
        Self { folder, store, keeper }
    }

    /// Reports that count, and their messages.
    pub(super) fn sums(&self) -> (u64, u64) {
        self.store.flush().unwrap();
        let totals = self.store.reader().unwrap().summary(&Query::default()).unwrap().totals;
        (totals.sums.reports, totals.sums.messages)
    }

    /// Rows of the message table: what came more than once is listed once only.
    pub(super) fn messages(&self) -> u64 {
        self.store.flush().unwrap();
        let connection = rusqlite::Connection::open(self.store.path()).unwrap();
        let rows: i64 = connection.query_row("SELECT COUNT(*) FROM message", [], |row| row.get(0)).unwrap();
        u64::try_from(rows).unwrap()
    }

    /// One look through a mailbox.
    pub(super) fn pass(&self, options: &MailboxOptions) -> (Pass, Result<(), Fault>) {
        let credentials = Credentials::Password(PASSWORD.to_owned());
        runtime().block_on(pass(options, &credentials, &self.keeper))
    }

    /// One look that must go well; gives its folders' sums: found, read, duplicates.
    #[track_caller]
    pub(super) fn good(&self, options: &MailboxOptions) -> (u64, u64, u64) {
        let (pass, result) = self.pass(options);
        assert_eq!(result, Ok(()), "{pass:?}");
        let faults: Vec<_> = pass.folders.iter().filter_map(|folder| folder.fault.clone()).collect();
        assert_eq!(faults, Vec::<String>::new());
        let sum = |of: fn(&mailsonde::mailbox::FolderPass) -> u64| pass.folders.iter().map(of).sum();
        (sum(|folder| folder.found), sum(|folder| folder.read), sum(|folder| folder.duplicates))
    }
}

/// A probe of a store, as a mail.
pub(super) struct Probe {
    pub(super) name: String,
    pub(super) texts: TokenTexts,
    /// When its token was made, milliseconds.
    pub(super) made_at_ms: i64,
    pub(super) mail: Vec<u8>,
}

impl Probe {
    /// A probe that was sent a minute ago; `hop` is the id in the field of the last host that took it.
    pub(super) fn made(ring: &KeyRing, counter: u32, hop: &str) -> Self {
        let made_at = clock::Timestamp::from_seconds(clock::now().seconds() - 60);
        let token = ring.mint(Kind::Probe, 1, made_at, counter);
        let texts = ring.texts(&token).unwrap();
        let mail = format!(
            "Received: from relay.example by mx.example with ESMTPS id {hop};\r\n\tFri, 06 Mar 2026 12:00:00 +0000\r\n\
             From: probe@probe.example\r\nTo: them@example.net\r\nSubject: Weekly numbers [{}]\r\n\
             Message-ID: <{}@probe.example>\r\nX-Mailsonde-Probe: v=1; t={}; r=hq\r\n\
             Auto-Submitted: auto-generated\r\n\r\nHello.\r\n-- {} --\r\n",
            texts.subject, texts.message_id, texts.header, texts.body
        );
        let name = texts.name().to_owned();
        Self { name, texts, made_at_ms: made_at.ms(), mail: mail.into_bytes() }
    }
}

impl Kept {
    /// The keys of its tokens.
    pub(super) fn ring(&self) -> KeyRing {
        keys::load_or_create(self.store.path()).unwrap()
    }

    /// A probe that was sent a minute ago; `hop` is the id in the field of the last host that took it.
    pub(super) fn probe(&self, counter: u32, hop: &str) -> Probe {
        Probe::made(&self.ring(), counter, hop)
    }

    /// One look for our own messages.
    pub(super) fn look(&self, options: &WatchOptions) -> (Pass, Result<(), Fault>) {
        let credentials = Credentials::Password(PASSWORD.to_owned());
        runtime().block_on(look_once(options, &self.ring(), Some(&credentials), &self.keeper))
    }

    /// One look that must go well; gives what was found in each folder: ours, and of these known already.
    #[track_caller]
    pub(super) fn seen(&self, options: &WatchOptions) -> Vec<(String, u64, u64)> {
        let (pass, result) = self.look(options);
        assert_eq!(result, Ok(()), "{pass:?}");
        let faults: Vec<_> = pass.folders.iter().filter_map(|folder| folder.fault.clone()).collect();
        assert_eq!(faults, Vec::<String>::new());
        pass.folders.into_iter().map(|folder| (folder.folder, folder.found, folder.duplicates)).collect()
    }

    /// What happened to a probe; nothing if the store does not know it.
    pub(super) fn events(&self, probe: &Probe) -> Vec<Event> {
        self.store.flush().unwrap();
        let found = self.store.reader().unwrap().probe(&probe.name, clock::now());
        found.map(|found| found.events).unwrap_or_default()
    }

    /// The same in words: `arrived inbox INBOX`.
    pub(super) fn told(&self, probe: &Probe) -> Vec<String> {
        let say = |event: &Event| match &event.what {
            What::Arrived { seen, is_timed, .. } => {
                assert!(*is_timed, "{event:?}");
                assert_eq!(seen.watcher.as_deref(), Some("mailbox/test"));
                format!("arrived {} {}", seen.place.as_str(), seen.folder.as_deref().unwrap_or_default())
            }
            What::Moved { watcher, place, folder } => {
                assert_eq!(watcher, "mailbox/test");
                format!("moved {} {folder}", place.as_str())
            }
            other => other.as_str().to_owned(),
        };
        self.events(probe).iter().map(say).collect()
    }

    /// What was seen of the first arrival of a probe.
    pub(super) fn arrival(&self, probe: &Probe) -> (Seen, i64) {
        let events = self.events(probe);
        let found = events.iter().find_map(|event| match &event.what {
            What::Arrived { seen, .. } => Some((seen.clone(), event.at.ms())),
            _ => None,
        });
        let (seen, at) = found.unwrap_or_else(|| panic!("no arrival: {events:?}"));
        assert_ne!(seen.place, MailPlace::Sink);
        (seen, at)
    }
}

/// A watcher of probes in the account of [`options`]; looks again at once.
pub(super) fn watching(port: u16) -> WatchOptions {
    WatchOptions {
        name: "test".to_owned(),
        source: Source::Account(Box::new(options(port))),
        aim: Aim::Arrivals {
            spam: SpamFolder::Auto,
            other: vec!["Archive".to_owned()],
            recheck: [1, 2, 3].map(Duration::from_millis).to_vec(),
        },
        inbox: vec!["INBOX".to_owned()],
        poll: Duration::from_secs(3_600),
        message_bytes: limits::MESSAGE_BYTES,
    }
}

/// A watcher of bounces in the same account.
pub(super) fn catching(options: MailboxOptions) -> WatchOptions {
    WatchOptions { source: Source::Account(Box::new(options)), aim: Aim::Bounces, ..watching(0) }
}

/// A runtime for one call.
pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// An IMAP account on this machine, in the clear, read only.
pub(super) fn options(port: u16) -> MailboxOptions {
    MailboxOptions {
        name: "test".to_owned(),
        kind: MailboxKind::Imap,
        host: "localhost".to_owned(),
        port,
        tls: MailboxTls::None,
        verify: Verify::Off,
        user: "dmarc".to_owned(),
        folders: vec!["INBOX".to_owned()],
        after: After::Leave,
        poll: Duration::from_secs(3_600),
        idle: true,
        message_bytes: limits::MESSAGE_BYTES,
        timeouts: Timeouts {
            connect: Duration::from_secs(20),
            reply: Duration::from_secs(20),
            command: Duration::from_secs(60),
        },
    }
}

/// The same with move mode.
pub(super) fn moving(port: u16) -> MailboxOptions {
    let after = After::Move { read: "read".to_owned(), unread: "unread".to_owned() };
    MailboxOptions { after, ..options(port) }
}

/// The same over POP3.
pub(super) fn pop3(port: u16) -> MailboxOptions {
    MailboxOptions { kind: MailboxKind::Pop3, idle: false, ..options(port) }
}
