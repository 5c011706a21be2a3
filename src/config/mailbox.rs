//! `[mailbox.NAME]`: accounts elsewhere from which report mail is read.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::file::Section;
use crate::config::secret::Secret;
use crate::config::sections::{host_name, read_secret};
use crate::limits;
use crate::mailbox::oauth::{Flow, http::is_allowed};
use crate::mailbox::{After, MailboxKind, MailboxTls};

/// One mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxSettings {
    /// Its name.
    pub name: String,
    /// The protocol.
    pub kind: MailboxKind,
    /// Host name or IP address.
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

/// How to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxAuth {
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

/// Wait between two looks, unless configured.
const POLL: Duration = Duration::from_secs(300);
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

/// `[mailbox.NAME]`; `None` if it is not usable.
fn read_mailbox(name: &str, section: &Section<'_, '_>) -> Option<MailboxSettings> {
    section.require("host", "\"imap.example.com\"");
    section.require("user", "\"dmarc@example.com\"");
    let kinds = [("imap", MailboxKind::Imap), ("pop3", MailboxKind::Pop3)];
    let kind = section.word("kind", &kinds).unwrap_or(MailboxKind::Imap);
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
        (MailboxKind::Imap, MailboxTls::Implicit) => 993,
        (MailboxKind::Imap, _) => 143,
        (MailboxKind::Pop3, MailboxTls::Implicit) => 995,
        (MailboxKind::Pop3, _) => 110,
    };
    let port = section.port("port").unwrap_or(standard);
    let accepts_any_certificate = section.flag("accept_any_certificate").unwrap_or(false);
    let user = section.parsed("user", "a user name", "dmarc@example.com", |text| {
        (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
    });
    let auth = read_auth(section);
    let folders = read_folders(section, kind);
    let after = read_after(section, kind, &folders);
    let poll = section.duration("poll", "5m").unwrap_or(POLL);
    if poll < POLL_LEAST {
        let hint = "for example `poll = \"5m\"`".to_owned();
        section.fault("poll", format!("`poll` in {} is too short", section.name()), Some(hint));
    }
    let idle = section.flag("idle").unwrap_or(kind == MailboxKind::Imap);
    if idle && kind == MailboxKind::Pop3 {
        section.fault("idle", "POP3 does not tell of new mail", Some("leave `idle` out".to_owned()));
    }
    let message_bytes = section.bytes("message_bytes").unwrap_or(limits::MESSAGE_BYTES);
    Some(MailboxSettings {
        name: name.to_owned(),
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
