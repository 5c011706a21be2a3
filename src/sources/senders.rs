//! The table of senders: names of hosts and domains, or networks, with the organisation behind them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use crate::limits;
use crate::mail::DomainName;

/// What a sender is to the domain whose mail it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Runs mailboxes for others.
    MailProvider,
    /// Sends newsletters for others.
    Newsletter,
    /// Sends single mails of applications, or is such an application.
    Transactional,
    /// Sales, support, customers.
    Crm,
    /// Sends mail on that came from elsewhere.
    Forwarder,
    /// Sends mail to the members of lists.
    MailingList,
    /// Filters or encrypts mail on its way.
    SecurityGateway,
    /// Rents machines or web space: whose machine it is, not whose mail.
    Hosting,
    /// The domain's own.
    Own,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::MailProvider,
        Self::Newsletter,
        Self::Transactional,
        Self::Crm,
        Self::Forwarder,
        Self::MailingList,
        Self::SecurityGateway,
        Self::Hosting,
        Self::Own,
    ];

    /// The word in JSON and in the tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MailProvider => "mail-provider",
            Self::Newsletter => "newsletter",
            Self::Transactional => "transactional",
            Self::Crm => "crm",
            Self::Forwarder => "forwarder",
            Self::MailingList => "mailing-list",
            Self::SecurityGateway => "security-gateway",
            Self::Hosting => "hosting",
            Self::Own => "own",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// True for services that send for others with the others' leave.
    pub const fn is_service(self) -> bool {
        matches!(
            self,
            Self::MailProvider
                | Self::Newsletter
                | Self::Transactional
                | Self::Crm
                | Self::SecurityGateway
                | Self::Hosting
        )
    }
}

/// One sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// What matched: a suffix or a network, as written.
    pub pattern: String,
    /// The organisation.
    pub organisation: String,
    /// What it is.
    pub kind: Kind,
    /// True if the user's file says it.
    pub is_override: bool,
}

/// A fault of a table: the line, from 1, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SendersFault {
    /// The line.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// The table: ours, and the user's over it.
#[derive(Debug, Clone, Default)]
pub struct Senders {
    names: HashMap<String, Sender>,
    networks: Vec<(IpAddr, u8, Sender)>,
}

/// Our table.
const OURS: &str = include_str!("senders.txt");

/// Our table, read once. A line that cannot be read is left out here and fails a test.
static SHIPPED: LazyLock<Senders> = LazyLock::new(|| {
    let mut senders = Senders::default();
    for line in OURS.lines() {
        if let Ok(Some(line)) = read_line(line, false) {
            senders.put(line);
        }
    }
    senders
});

/// What a line is for.
enum Line {
    Name(String, Sender),
    Network(IpAddr, u8, Sender),
}

impl Senders {
    /// The table that comes with the program.
    pub fn shipped() -> &'static Self {
        &SHIPPED
    }

    /// Our table with a user's over it: `pattern | organisation | kind`, a line each, `#` begins a remark.
    /// A pattern is the end of a name, an address, or a network such as `192.0.2.0/24`.
    ///
    /// Errors: every line that cannot be read.
    pub fn with_overrides(text: &str) -> Result<Self, Vec<SendersFault>> {
        let mut senders = Self::shipped().clone();
        let mut faults = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            if number > limits::SOURCE_OVERRIDES {
                let reason = format!("more than {} lines", limits::SOURCE_OVERRIDES);
                faults.push(SendersFault { line: number, reason });
                break;
            }
            match read_line(line, true) {
                Ok(None) => {}
                Ok(Some(line)) => {
                    let pattern = match &line {
                        Line::Name(_, sender) | Line::Network(_, _, sender) => sender.pattern.clone(),
                    };
                    if let Some(before) = seen.insert(pattern.to_ascii_lowercase(), number) {
                        let reason = format!("{pattern} stands in line {before} already; keep one");
                        faults.push(SendersFault { line: number, reason });
                    }
                    senders.put(line);
                }
                Err(reason) => faults.push(SendersFault { line: number, reason }),
            }
        }
        // The narrowest network first.
        senders.networks.sort_by_key(|(_, length, _)| std::cmp::Reverse(*length));
        if faults.is_empty() { Ok(senders) } else { Err(faults) }
    }

    /// Adds a line; a later one stands over an earlier one.
    fn put(&mut self, line: Line) {
        match line {
            Line::Name(suffix, sender) => {
                self.names.insert(suffix, sender);
            }
            Line::Network(ip, length, sender) => self.networks.push((ip, length, sender)),
        }
    }

    /// The sender of a host or domain name: the longest suffix that matches.
    pub fn of_name(&self, name: &str) -> Option<&Sender> {
        let name = name.trim_end_matches('.');
        let lower = name.to_ascii_lowercase();
        let mut rest = lower.as_str();
        // A single label is no sender, whatever the table says.
        while rest.contains('.') {
            if let Some(sender) = self.names.get(rest) {
                return Some(sender);
            }
            rest = rest.split_once('.')?.1;
        }
        None
    }

    /// The sender of an address: only the user's file knows any.
    pub fn of_address(&self, ip: IpAddr) -> Option<&Sender> {
        self.networks.iter().find(|(network, length, _)| holds(*network, *length, ip)).map(|(_, _, s)| s)
    }

    /// The number of names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True without any name.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// True if `ip` is in the network.
fn holds(network: IpAddr, length: u8, ip: IpAddr) -> bool {
    match (network, ip.to_canonical()) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            let shift = 32u32.saturating_sub(u32::from(length));
            u32::from(network).checked_shr(shift) == u32::from(ip).checked_shr(shift)
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => {
            let shift = 128u32.saturating_sub(u32::from(length));
            u128::from(network).checked_shr(shift) == u128::from(ip).checked_shr(shift)
        }
        _ => false,
    }
}

/// Reads one line; nothing for an empty one or a remark.
fn read_line(line: &str, is_override: bool) -> Result<Option<Line>, String> {
    let text = line.split('#').next().unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(None);
    }
    let mut parts = text.split('|').map(str::trim);
    let (Some(pattern), Some(organisation), Some(kind), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("not `pattern | organisation | kind`".to_owned());
    };
    if organisation.is_empty() || organisation.len() > limits::HEADER_TEXT_BYTES {
        return Err("the organisation is empty or too long".to_owned());
    }
    let Some(kind) = Kind::parse(kind) else {
        let words = Kind::ALL.map(Kind::as_str).join(", ");
        return Err(format!("no such kind: {kind:?}; one of: {words}"));
    };
    let sender =
        Sender { pattern: pattern.to_owned(), organisation: organisation.to_owned(), kind, is_override };
    let (address, length) = match pattern.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (pattern, None),
    };
    if let Ok(ip) = address.parse::<IpAddr>() {
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => Some(most),
            Some(text) => text.parse::<u8>().ok().filter(|length| *length <= most),
        };
        return match length {
            Some(length) => Ok(Some(Line::Network(ip, length, sender))),
            None => Err(format!("{pattern}: the length of a network is 0 to {most}")),
        };
    }
    let bare = pattern.trim_start_matches("*.").trim_start_matches('.');
    match DomainName::parse(bare) {
        Some(name) if name.as_str().contains('.') && !name.as_str().contains('*') => {
            Ok(Some(Line::Name(name.as_str().to_owned(), sender)))
        }
        _ => Err(format!("{pattern:?} is no domain name, address or network")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_table_is_sound() {
        let mut last = String::new();
        let mut count = 0;
        for (number, line) in (1..).zip(OURS.lines()) {
            if line.starts_with('#') {
                continue;
            }
            match read_line(line, false) {
                Ok(Some(Line::Name(suffix, sender))) => {
                    assert!(suffix > last, "line {number}: {suffix} after {last}: sort, and once each");
                    assert_eq!(suffix, sender.pattern, "line {number}: lower case, no dot before it");
                    last = suffix;
                    count += 1;
                }
                Ok(_) => panic!("line {number}: {line:?}: only names, no empty lines"),
                Err(reason) => panic!("line {number}: {reason}"),
            }
        }
        assert_eq!(Senders::shipped().len(), count);
        assert!(count > 500, "{count}");
    }

    #[test]
    fn the_longest_suffix_wins() {
        let cases = [
            ("mail-sor-f41.google.com", Some("Google")),
            ("o1.ptr123.sendgrid.net.", Some("SendGrid")),
            ("A.SMTP-OUT.AmazonSES.com", Some("Amazon SES")),
            ("ec2-192-0-2-1.compute.amazonaws.com", Some("Amazon Web Services")),
            ("vger.kernel.org", Some("Linux kernel")),
            ("example-com.20230601.gappssmtp.com", Some("Google Workspace")),
            ("notgoogle.com", None),
            ("google.com.example", None),
            ("com", None),
            ("", None),
            ("...", None),
        ];
        for (name, want) in cases {
            let found = Senders::shipped().of_name(name).map(|sender| sender.organisation.as_str());
            assert_eq!(found, want, "{name}");
        }
    }

    #[test]
    fn the_users_file_stands_over_ours() {
        let text = "# ours\n192.0.2.0/24 | Data centre | own\n192.0.2.7|Printer|own\n\
                    2001:db8::/32 | Data centre | own # v6\n*.google.com | Alphabet | crm\nshop.example | Shop | crm\n";
        let senders = Senders::with_overrides(text).unwrap();
        let ip =
            |text: &str| senders.of_address(text.parse().unwrap()).map(|sender| sender.organisation.clone());
        assert_eq!(ip("192.0.2.9").as_deref(), Some("Data centre"));
        assert_eq!(ip("192.0.2.7").as_deref(), Some("Printer"));
        assert_eq!(ip("::ffff:192.0.2.7").as_deref(), Some("Printer"));
        assert_eq!(ip("2001:db8:1::1").as_deref(), Some("Data centre"));
        assert_eq!(ip("192.0.3.1"), None);
        let google = senders.of_name("x.google.com").unwrap();
        assert_eq!(
            (google.organisation.as_str(), google.kind, google.is_override),
            ("Alphabet", Kind::Crm, true)
        );
        assert_eq!(senders.of_name("a.shop.example").unwrap().organisation, "Shop");
        assert!(
            Senders::with_overrides("0.0.0.0/0 | Everybody | own")
                .unwrap()
                .of_address([1, 2, 3, 4].into())
                .is_some()
        );
    }

    #[test]
    fn faults_have_lines() {
        let text = "a.example | A | crm\n\nb.example | B\nc.example | C | shop\nnothing | D | crm\n\
                    10.0.0.0/33 | E | own\n | F | own\na.EXAMPLE | A | crm\ng.example | | crm\n";
        let faults = Senders::with_overrides(text).unwrap_err();
        let lines: Vec<usize> = faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9], "{faults:?}");
        assert!(faults[1].to_string().contains("one of: mail-provider"), "{faults:?}");
    }
}
