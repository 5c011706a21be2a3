//! The configuration: one TOML file, its faults in words, the settings of every module.
//!
//! `file` reads what is written and collects every fault with its place; `sections` checks it table by table;
//! `settings` is what comes out, with defaults; `secret` fetches passwords at the time of use. docs/configuration.md is the reference.

pub mod dns;
pub mod example;
pub mod fault;
pub mod file;
pub mod load;
pub mod mailbox;
pub mod places;
pub mod probes;
pub mod secret;
mod sections;
pub mod senders;
pub mod settings;
mod watched;

pub use dns::{DnsSettings, DnsSource, ZoneSource};
pub use fault::Fault;
pub use load::{ConfigError, load};
pub use mailbox::{MailboxAuth, MailboxPurpose, MailboxSettings};
pub use probes::{
    AuthMechanism, Cap, ConsentSettings, DkimSettings, MaintenanceSettings, NegativeSettings, ProbesSettings,
    ProfileSettings, RouteSettings, SenderAuth, SenderKind, SenderSettings, SenderTls, SloSettings,
};
pub use secret::{Secret, SecretError};
pub use settings::{
    ListenerSettings, ListenerTls, ReceiverSettings, RecipientSettings, RetentionSettings, Settings, TlsFiles,
};
