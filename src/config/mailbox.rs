//! `[mailbox.NAME]`: mailboxes elsewhere from which report mail is read, or in which our own messages are looked for.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::file::{Section, parse_duration};
use crate::config::secret::Secret;
use crate::config::sections::{host_name, read_secret};
use crate::limits;
use crate::mailbox::oauth::{Flow, http::is_allowed};
use crate::mailbox::{After, MailboxKind, MailboxTls, SpamFolder};

/// One mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxSettings {
    /// Its name.
    pub name: String,
    /// What it is read for.
    pub purpose: MailboxPurpose,
    /// The protocol.
    pub kind: MailboxKind,
    /// Host name or IP address; empty for a Maildir.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS on the way there.
    pub tls: MailboxTls,
    /// True if any certificate will do, for servers of one's own with a self-signed one.
    pub accepts_any_certificate: bool,
    /// The user.
    pub user: String,
    /// How to sign in.
    pub auth: MailboxAuth,
    /// The folders to read.
    pub folders: Vec<String>,
    /// What becomes of messages that were kept.
    pub after: After,
    /// Wait between two looks.
    pub poll: Duration,
    /// True to be told of new mail where the server can.
    pub idle: bool,
    /// Largest message, bytes.
    pub message_bytes: u64,
}

/// What a mailbox is read for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxPurpose {
    /// Report mail: every message of its folders is read.
    Reports,
    /// Probes that arrive: our own messages only.
    Watch {
        /// The folder in which mail should arrive.
        inbox: String,
        /// The folder for spam.
        spam: SpamFolder,
        /// Further folders.
        other: Vec<String>,
        /// After how long an arrival is looked for again, rising.
        recheck: Vec<Duration>,
    },
    /// Bounces and answers about probes, in the mailbox of the account that sends them.
    Bounces,
}

impl MailboxPurpose {
    /// The word in the configuration.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Reports => "reports",
            Self::Watch { .. } => "watch",
            Self::Bounces => "bounces",
        }
    }
}

/// How to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxAuth {
    /// Not at all: a Maildir of this machine, and where it is.
    Local(PathBuf),
    /// By a password.
    Password(Secret),
    /// By an OAuth 2.0 access token that a command or file gives.
    Token(Secret),
    /// By OAuth 2.0 that is built in.
    OAuth(OAuthSettings),
}

impl MailboxAuth {
    /// The secret that the configuration names, if there is one.
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Password(secret) | Self::Token(secret) => Some(secret),
            Self::OAuth(oauth) => oauth.client_secret.as_ref(),
            Self::Local(_) => None,
        }
    }
}

/// OAuth 2.0 of one mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthSettings {
    /// How tokens are had.
    pub flow: Flow,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Option<Secret>,
    /// What is asked for.
    pub scope: String,
    /// Where tokens are given.
    pub token_url: String,
    /// Where a device code is given.
    pub device_url: Option<String>,
    /// Where the browser goes.
    pub authorize_url: Option<String>,
}

/// A provider whose addresses are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider {
    /// Microsoft 365 and Outlook.
    Microsoft,
    /// Google Workspace and Gmail.
    Google,
    /// All addresses stand in the configuration.
    Other,
}

/// Wait between two looks for reports, unless configured.
const POLL: Duration = Duration::from_secs(300);
/// Wait between two looks for our own messages: so wide may the interval be in which one arrived.
const POLL_OWN: Duration = Duration::from_secs(60);
/// The same in a Maildir, where a look costs next to nothing.
const POLL_MAILDIR: Duration = Duration::from_secs(1);
/// Shortest wait between two looks: providers lock out who asks more often.
const POLL_LEAST: Duration = Duration::from_secs(1);

/// Reads all mailboxes; faults are noted on the way.
pub(super) fn read(root: &Section<'_, '_>) -> Vec<MailboxSettings> {
    let mut mailboxes = Vec::new();
    for (name, section) in root.named("mailbox") {
        mailboxes.extend(read_mailbox(name, &section));
        section.finish();
    }
    mailboxes
}

/// What the purposes mean, for the word list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Reports,
    Watch,
    Bounces,
}

/// `[mailbox.NAME]`; `None` if it is not usable.
fn read_mailbox(name: &str, section: &Section<'_, '_>) -> Option<MailboxSettings> {
    let purposes = [("reports", Wanted::Reports), ("watch", Wanted::Watch), ("bounces", Wanted::Bounces)];
    let wanted = section.word("purpose", &purposes).unwrap_or(Wanted::Reports);
    let kinds = [("imap", MailboxKind::Imap), ("pop3", MailboxKind::Pop3), ("maildir", MailboxKind::Maildir)];
    let kind = section.word("kind", &kinds).unwrap_or(MailboxKind::Imap);
    let purpose = read_purpose(section, wanted, kind);
    if kind == MailboxKind::Maildir {
        return read_maildir(name, section, wanted, purpose);
    }
    section.misplaced(&["path"], "only a Maildir has one", "write `kind = \"maildir\"`, or leave it out");
    section.require("host", "\"imap.example.com\"");
    section.require("user", "\"dmarc@example.com\"");
    let host = section.parsed("host", "a host name or an IP address", "imap.example.com", |text| {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        bare.parse::<IpAddr>().ok().map(|ip| ip.to_string()).or_else(|| host_name(text))
    });
    let words =
        [("implicit", MailboxTls::Implicit), ("starttls", MailboxTls::StartTls), ("none", MailboxTls::None)];
    let tls = section.word("tls", &words).unwrap_or(MailboxTls::Implicit);
    let is_local = host
        .as_deref()
        .is_some_and(|host| host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()));
    // RFC 8314 §3: a password in clear over the network is never what somebody wants.
    if tls == MailboxTls::None && host.is_some() && !is_local {
        let hint = "write `tls = \"implicit\"` or `tls = \"starttls\"`; none is for servers on this machine";
        section.fault("tls", format!("{} would sign in without TLS", section.name()), Some(hint.to_owned()));
    }
    let standard = match (kind, tls) {
        (MailboxKind::Pop3, MailboxTls::Implicit) => 995,
        (MailboxKind::Pop3, _) => 110,
        (_, MailboxTls::Implicit) => 993,
        (_, _) => 143,
    };
    let port = section.port("port").unwrap_or(standard);
    let accepts_any_certificate = section.flag("accept_any_certificate").unwrap_or(false);
    let user = section.parsed("user", "a user name", "dmarc@example.com", |text| {
        (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
    });
    let auth = read_auth(section);
    let folders = match &purpose {
        MailboxPurpose::Watch { inbox, .. } => vec![inbox.clone()],
        _ => read_folders(section, kind),
    };
    let after = if wanted == Wanted::Reports { read_after(section, kind, &folders) } else { After::Leave };
    let poll = read_poll(section, if wanted == Wanted::Reports { POLL } else { POLL_OWN });
    let idle = section.flag("idle").unwrap_or(kind == MailboxKind::Imap);
    if idle && kind == MailboxKind::Pop3 {
        section.fault("idle", "POP3 does not tell of new mail", Some("leave `idle` out".to_owned()));
    }
    let message_bytes = section.bytes("message_bytes").unwrap_or(limits::MESSAGE_BYTES);
    Some(MailboxSettings {
        name: name.to_owned(),
        purpose,
        kind,
        host: host?,
        port,
        tls,
        accepts_any_certificate,
        user: user?,
        auth: auth?,
        folders,
        after,
        poll,
        idle,
        message_bytes,
    })
}

/// A Maildir of this machine; `None` if it is not usable.
fn read_maildir(
    name: &str,
    section: &Section<'_, '_>,
    wanted: Wanted,
    purpose: MailboxPurpose,
) -> Option<MailboxSettings> {
    let of_servers =
        ["host", "port", "tls", "accept_any_certificate", "user", "password", "token", "oauth", "idle"];
    section.misplaced(&of_servers, "a Maildir is read from the disk", "leave it out");
    section.require("path", "\"/home/probe/Maildir\"");
    if wanted == Wanted::Reports {
        let hint = "`mailsonde import PATH --follow` reads reports from a Maildir; write `purpose = \"watch\"` to see \
                    probes arrive in it";
        section.fault("kind", format!("{} is a Maildir for reports", section.name()), Some(hint.to_owned()));
    }
    let path = section.path("path", "/home/probe/Maildir");
    let folders = match &purpose {
        MailboxPurpose::Watch { inbox, .. } => vec![inbox.clone()],
        MailboxPurpose::Reports | MailboxPurpose::Bounces => read_folders(section, MailboxKind::Maildir),
    };
    let poll = read_poll(section, POLL_MAILDIR);
    let message_bytes = section.bytes("message_bytes").unwrap_or(limits::MESSAGE_BYTES);
    Some(MailboxSettings {
        name: name.to_owned(),
        purpose,
        kind: MailboxKind::Maildir,
        host: String::new(),
        port: 0,
        tls: MailboxTls::None,
        accepts_any_certificate: false,
        user: String::new(),
        auth: MailboxAuth::Local(path?),
        folders,
        after: After::Leave,
        poll,
        idle: false,
        message_bytes,
    })
}

/// `poll`.
fn read_poll(section: &Section<'_, '_>, default: Duration) -> Duration {
    let poll = section.duration("poll", "5m").unwrap_or(default);
    if poll < POLL_LEAST {
        let hint = "for example `poll = \"5m\"`".to_owned();
        section.fault("poll", format!("`poll` in {} is too short", section.name()), Some(hint));
    }
    poll
}

/// The purpose, with `inbox`, `spam`, `other` and `recheck`.
fn read_purpose(section: &Section<'_, '_>, wanted: Wanted, kind: MailboxKind) -> MailboxPurpose {
    if wanted != Wanted::Watch {
        let why = "only a mailbox that is watched has it";
        section.misplaced(
            &["inbox", "spam", "other", "recheck"],
            why,
            "write `purpose = \"watch\"`, or leave it out",
        );
        if wanted == Wanted::Reports {
            return MailboxPurpose::Reports;
        }
        let why = "a mailbox for bounces is never changed";
        section.misplaced(&["after", "read_folder", "unread_folder"], why, "leave it out");
        return MailboxPurpose::Bounces;
    }
    let why = "a watched mailbox is never changed";
    section.misplaced(&["after", "read_folder", "unread_folder"], why, "leave it out");
    section.misplaced(
        &["folders"],
        "a watched mailbox has `inbox`, `spam` and `other`",
        "for example `inbox = \"INBOX\"`, `spam = \"auto\"`, `other = [\"Archive\"]`",
    );
    if kind == MailboxKind::Pop3 {
        let hint =
            "write `kind = \"imap\"`: POP3 shows neither folders nor which of them is for spam".to_owned();
        section.fault("kind", format!("{} watches over POP3", section.name()), Some(hint));
    }
    let folder = |text: &str| (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned());
    let inbox = section.parsed("inbox", "the name of a folder", "INBOX", folder);
    let inbox = inbox.unwrap_or_else(|| "INBOX".to_owned());
    let spam = match section.parsed("spam", "`auto`, `none` or the name of a folder", "auto", folder) {
        None => SpamFolder::Auto,
        Some(name) if name == "auto" => SpamFolder::Auto,
        Some(name) if name == "none" => SpamFolder::Nowhere,
        Some(name) => SpamFolder::Named(name),
    };
    let mut known = vec![inbox.clone()];
    if let SpamFolder::Named(name) = &spam {
        if *name == inbox {
            let hint = Some("leave `spam` out: it is found".to_owned());
            section.fault("spam", format!("`spam` in {} is the inbox", section.name()), hint);
        }
        known.push(name.clone());
    }
    let mut other = Vec::new();
    for name in section.texts("other", "[\"Archive\"]").unwrap_or_default() {
        if name.is_empty() || name.contains(char::is_control) || known.iter().any(|known| known == name) {
            let message = format!("`other` in {} has an unusable or repeated name {name:?}", section.name());
            section.fault("other", message, None);
        } else {
            known.push(name.to_owned());
            other.push(name.to_owned());
        }
    }
    MailboxPurpose::Watch { inbox, spam, other, recheck: read_recheck(section) }
}

/// `recheck`.
fn read_recheck(section: &Section<'_, '_>) -> Vec<Duration> {
    let example = "[\"1h\", \"24h\"]";
    let Some(texts) = section.texts("recheck", example) else { return limits::MAILBOX_RECHECK.to_vec() };
    let mut recheck: Vec<Duration> = Vec::new();
    for text in texts {
        match parse_duration(text).filter(|after| !after.is_zero() && *after <= limits::TOKEN_KEEP) {
            Some(after) if !recheck.contains(&after) => recheck.push(after),
            Some(_) => section.fault("recheck", format!("`recheck` has {text:?} twice"), None),
            None => {
                let hint = format!("at most 30 days, for example `recheck = {example}`; `[]` for never");
                section.fault("recheck", format!("`recheck` in {} has {text:?}", section.name()), Some(hint));
            }
        }
    }
    recheck.sort_unstable();
    recheck
}

/// `password`, `token` or `oauth`: exactly one.
fn read_auth(section: &Section<'_, '_>) -> Option<MailboxAuth> {
    let password = section.section("password").map(|secret| read_secret(secret).map(MailboxAuth::Password));
    let token = section.section("token").map(|secret| read_secret(secret).map(MailboxAuth::Token));
    let oauth = section.section("oauth").map(|oauth| {
        let read = read_oauth(&oauth).map(MailboxAuth::OAuth);
        oauth.finish();
        read
    });
    let mut given: Vec<Option<MailboxAuth>> = [password, token, oauth].into_iter().flatten().collect();
    if given.len() != 1 {
        let hint =
            "one of `password`, `token`, `oauth`, for example `password = { env = \"NAME\" }`".to_owned();
        section.fault("", format!("{} has not exactly one way to sign in", section.name()), Some(hint));
    }
    given.pop().flatten()
}

/// `folders`.
fn read_folders(section: &Section<'_, '_>, kind: MailboxKind) -> Vec<String> {
    let inbox = || vec!["INBOX".to_owned()];
    let Some(names) = section.texts("folders", "[\"INBOX\"]") else { return inbox() };
    if kind == MailboxKind::Pop3 {
        section.fault("folders", "POP3 has one folder", Some("leave `folders` out".to_owned()));
        return inbox();
    }
    let mut folders: Vec<String> = Vec::new();
    for name in names {
        if name.is_empty() || name.contains(char::is_control) || folders.iter().any(|known| known == name) {
            section.fault("folders", format!("`folders` has an unusable or repeated name {name:?}"), None);
        } else {
            folders.push(name.to_owned());
        }
    }
    if folders.is_empty() {
        section.fault("folders", "`folders` is empty", Some("leave it out for INBOX".to_owned()));
        return inbox();
    }
    folders
}

/// `after`, `read_folder` and `unread_folder`.
fn read_after(section: &Section<'_, '_>, kind: MailboxKind, folders: &[String]) -> After {
    let is_move = section.word("after", &[("leave", false), ("move", true)]).unwrap_or(false);
    let name = |key: &'static str, default: &str| {
        let name = section.parsed(key, "the name of a folder", default, |text| {
            (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
        });
        let name = name.unwrap_or_else(|| default.to_owned());
        if is_move && folders.contains(&name) {
            section.fault(key, format!("{name:?} is one of the folders that are read"), None);
        }
        name
    };
    let (read, unread) = (name("read_folder", "read"), name("unread_folder", "unread"));
    if is_move && kind == MailboxKind::Pop3 {
        section.fault("after", "POP3 cannot move messages", Some("leave `after` out".to_owned()));
        return After::Leave;
    }
    if is_move { After::Move { read, unread } } else { After::Leave }
}

/// `oauth`.
fn read_oauth(section: &Section<'_, '_>) -> Option<OAuthSettings> {
    let providers =
        [("microsoft", Provider::Microsoft), ("google", Provider::Google), ("other", Provider::Other)];
    section.require("provider", "\"microsoft\"");
    section.require("client_id", "\"…\"");
    let provider = section.word("provider", &providers)?;
    let flows = [
        ("device-code", Flow::DeviceCode),
        ("loopback", Flow::Loopback),
        ("client-credentials", Flow::ClientCredentials),
    ];
    let usual = if provider == Provider::Google { Flow::Loopback } else { Flow::DeviceCode };
    let flow = section.word("flow", &flows).unwrap_or(usual);
    let client_id = section.text("client_id", "…").map(str::to_owned);
    let client_secret = section.section("client_secret").and_then(|secret| read_secret(secret));
    if flow == Flow::ClientCredentials && client_secret.is_none() {
        section.fault(
            "client_secret",
            "`client-credentials` needs `client_secret`",
            Some("add `client_secret = { file = \"PATH\" }`".to_owned()),
        );
    }
    let tenant = section.parsed("tenant", "a tenant's name or id", "example.onmicrosoft.com", |text| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        (!text.is_empty() && text.chars().all(is_plain)).then(|| text.to_owned())
    });
    if flow == Flow::ClientCredentials && provider == Provider::Microsoft && tenant.is_none() {
        let hint = "add `tenant = \"example.onmicrosoft.com\"`".to_owned();
        section.fault("tenant", "`client-credentials` needs the `tenant`", Some(hint));
    }
    let url = |key: &'static str| {
        section.parsed(key, "an https:// address", "https://login.example.com/token", |text| {
            is_allowed(text).then(|| text.to_owned())
        })
    };
    let (token_url, device_url, authorize_url) = (url("token_url"), url("device_url"), url("authorize_url"));
    let scope = section.text("scope", "…").map(str::to_owned);
    let known = Addresses::of(provider, flow, tenant.as_deref());
    let token_url = token_url.or(known.token);
    let device_url = device_url.or(known.device);
    let authorize_url = authorize_url.or(known.authorize);
    let missing = [
        ("token_url", token_url.is_none()),
        ("device_url", flow == Flow::DeviceCode && device_url.is_none()),
        ("authorize_url", flow == Flow::Loopback && authorize_url.is_none()),
    ];
    for (key, is_missing) in missing {
        if is_missing {
            section.fault(key, format!("{} needs `{key}` for `{}`", section.name(), flow.as_str()), None);
        }
    }
    Some(OAuthSettings {
        flow,
        client_id: client_id?,
        client_secret,
        scope: scope.unwrap_or_else(|| known.scope.to_owned()),
        token_url: token_url?,
        device_url,
        authorize_url,
    })
}

/// What is known of a provider.
struct Addresses {
    token: Option<String>,
    device: Option<String>,
    authorize: Option<String>,
    scope: &'static str,
}

impl Addresses {
    /// The addresses as the providers document them.
    fn of(provider: Provider, flow: Flow, tenant: Option<&str>) -> Self {
        match provider {
            Provider::Microsoft => {
                let base =
                    format!("https://login.microsoftonline.com/{}/oauth2/v2.0", tenant.unwrap_or("common"));
                Self {
                    token: Some(format!("{base}/token")),
                    device: Some(format!("{base}/devicecode")),
                    authorize: Some(format!("{base}/authorize")),
                    // A program for itself asks for what an administrator has granted it.
                    scope: if flow == Flow::ClientCredentials {
                        "https://outlook.office365.com/.default"
                    } else {
                        "https://outlook.office.com/IMAP.AccessAsUser.All \
                         https://outlook.office.com/POP.AccessAsUser.All offline_access"
                    },
                }
            }
            Provider::Google => Self {
                token: Some("https://oauth2.googleapis.com/token".to_owned()),
                // The device flow of Google does not give the mail scope.
                device: None,
                authorize: Some("https://accounts.google.com/o/oauth2/v2/auth".to_owned()),
                scope: "https://mail.google.com/",
            },
            Provider::Other => Self { token: None, device: None, authorize: None, scope: "" },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Settings;

    /// The mailbox of a configuration.
    fn parse(text: &str) -> Result<MailboxSettings, Vec<String>> {
        let text = format!("[mailbox.m]\n{text}");
        match Settings::parse(Path::new("m.toml"), &text) {
            Ok(settings) => Ok(settings.mailbox("m").unwrap().clone()),
            Err(faults) => Err(faults.into_iter().map(|fault| fault.message).collect()),
        }
    }

    #[test]
    fn defaults_are_safe() {
        let mailbox = parse("host = \"imap.example.com\"\nuser = \"u\"\npassword = { env = \"P\" }").unwrap();
        assert_eq!((mailbox.kind, mailbox.tls, mailbox.port), (MailboxKind::Imap, MailboxTls::Implicit, 993));
        assert_eq!((mailbox.after, mailbox.idle), (After::Leave, true));
        assert_eq!(mailbox.folders, ["INBOX"]);
        let text = "kind = \"pop3\"\ntls = \"starttls\"\nhost = \"h.example\"\nuser = \"u\"\ntoken = { env = \"P\" }";
        let mailbox = parse(text).unwrap();
        assert_eq!((mailbox.port, mailbox.idle), (110, false));
    }

    #[test]
    fn providers_are_known() {
        let text = "host = \"outlook.office365.com\"\nuser = \"u@example.com\"\n\
            oauth = { provider = \"microsoft\", flow = \"client-credentials\", client_id = \"c\", \
            client_secret = { env = \"S\" }, tenant = \"example.com\" }";
        let MailboxAuth::OAuth(oauth) = parse(text).unwrap().auth else { panic!() };
        assert_eq!(oauth.token_url, "https://login.microsoftonline.com/example.com/oauth2/v2.0/token");
        assert_eq!(oauth.scope, "https://outlook.office365.com/.default");
        let text = "host = \"imap.gmail.com\"\nuser = \"u\"\n\
            oauth = { provider = \"google\", client_id = \"c\", client_secret = { env = \"S\" } }";
        let MailboxAuth::OAuth(oauth) = parse(text).unwrap().auth else { panic!() };
        assert_eq!(oauth.flow, Flow::Loopback);
    }

    #[test]
    fn watchers_and_bounces() {
        let head = "host = \"imap.example.com\"\nuser = \"u\"\npassword = { env = \"P\" }\n";
        let mailbox = parse(&format!("{head}purpose = \"watch\"")).unwrap();
        let recheck = vec![Duration::from_secs(3_600), Duration::from_secs(86_400)];
        let inbox = "INBOX".to_owned();
        assert_eq!(
            mailbox.purpose,
            MailboxPurpose::Watch { inbox, spam: SpamFolder::Auto, other: vec![], recheck }
        );
        assert_eq!((mailbox.poll, mailbox.idle, mailbox.after), (POLL_OWN, true, After::Leave));
        let text = format!(
            "{head}purpose = \"watch\"\ninbox = \"Eingang\"\nspam = \"Werbung\"\nother = [\"Archive\"]\nrecheck = [\"2h\", \"5m\"]"
        );
        let want = MailboxPurpose::Watch {
            inbox: "Eingang".to_owned(),
            spam: SpamFolder::Named("Werbung".to_owned()),
            other: vec!["Archive".to_owned()],
            recheck: vec![Duration::from_secs(300), Duration::from_secs(7_200)],
        };
        assert_eq!(parse(&text).unwrap().purpose, want);
        let mailbox = parse(&format!("{head}kind = \"pop3\"\npurpose = \"bounces\"")).unwrap();
        assert_eq!((mailbox.purpose, mailbox.folders), (MailboxPurpose::Bounces, vec!["INBOX".to_owned()]));
        let mailbox =
            parse("kind = \"maildir\"\npath = \"Maildir\"\npurpose = \"watch\"\nspam = \"none\"").unwrap();
        assert_eq!(
            (mailbox.auth, mailbox.poll),
            (MailboxAuth::Local(PathBuf::from("Maildir")), POLL_MAILDIR)
        );
        let faults = [
            (format!("{head}kind = \"pop3\"\npurpose = \"watch\""), "watches over POP3"),
            (format!("{head}purpose = \"watch\"\nfolders = [\"INBOX\"]"), "has `inbox`, `spam` and `other`"),
            (format!("{head}purpose = \"watch\"\nafter = \"move\""), "never changed"),
            (format!("{head}purpose = \"bounces\"\nafter = \"move\""), "never changed"),
            (format!("{head}purpose = \"bounces\"\nspam = \"Junk\""), "only a mailbox that is watched"),
            (format!("{head}recheck = [\"1h\"]"), "only a mailbox that is watched"),
            (format!("{head}purpose = \"watch\"\nspam = \"INBOX\""), "is the inbox"),
            (format!("{head}purpose = \"watch\"\nother = [\"INBOX\"]"), "unusable or repeated"),
            (format!("{head}purpose = \"watch\"\nrecheck = [\"soon\"]"), "has \"soon\""),
            (format!("{head}purpose = \"watch\"\nrecheck = [\"1h\", \"60m\"]"), "twice"),
            (format!("{head}purpose = \"watchs\""), "does not know"),
            (format!("{head}path = \"Maildir\""), "only a Maildir has one"),
            ("kind = \"maildir\"\npath = \"M\"".to_owned(), "a Maildir for reports"),
            ("kind = \"maildir\"\npurpose = \"watch\"".to_owned(), "has no `path`"),
            (
                "kind = \"maildir\"\npath = \"M\"\npurpose = \"watch\"\nhost = \"h.example\"".to_owned(),
                "from the disk",
            ),
        ];
        for (text, want) in faults {
            let faults = parse(&text).unwrap_err();
            assert!(faults.iter().any(|fault| fault.contains(want)), "{text}: {faults:?}");
            assert!(!faults.iter().any(|fault| fault.contains("unknown key")), "{text}: {faults:?}");
        }
    }

    #[test]
    fn faults_are_named() {
        let head = "host = \"imap.example.com\"\nuser = \"u\"\n";
        let cases = [
            ("", "not exactly one way to sign in"),
            ("password = { env = \"P\" }\ntoken = { env = \"T\" }", "not exactly one way to sign in"),
            ("password = { env = \"P\" }\ntls = \"none\"", "without TLS"),
            ("password = { env = \"P\" }\nkind = \"pop3\"\nafter = \"move\"", "cannot move"),
            ("password = { env = \"P\" }\nkind = \"pop3\"\nidle = true", "does not tell"),
            (
                "password = { env = \"P\" }\nafter = \"move\"\nread_folder = \"INBOX\"",
                "folders that are read",
            ),
            ("password = { env = \"P\" }\nfolders = []", "is empty"),
            ("password = { env = \"P\" }\npoll = \"0s\"", "too short"),
            ("password = { env = \"P\" }\nflavour = 1", "unknown key"),
            ("oauth = { provider = \"other\", client_id = \"c\" }", "needs `token_url`"),
            (
                "oauth = { provider = \"other\", client_id = \"c\", token_url = \"http://login.example.com/\" }",
                "not an https:// address",
            ),
            (
                "oauth = { provider = \"microsoft\", flow = \"client-credentials\", client_id = \"c\" }",
                "needs `client_secret`",
            ),
        ];
        for (text, want) in cases {
            let faults = parse(&format!("{head}{text}")).unwrap_err();
            assert!(faults.iter().any(|fault| fault.contains(want)), "{text}: {faults:?}");
        }
    }
}
