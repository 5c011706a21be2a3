//! The user's table of senders: the file of `[sources] file`, over the one that comes with the program.

use std::io::Read as _;
use std::path::Path;

use crate::config::load::ConfigError;
use crate::config::{Fault, Settings};
use crate::limits;
use crate::sources::Senders;

/// Reads the table of senders that the settings ask for.
///
/// Errors: the file cannot be read, or has faults, each with its line.
pub fn senders(settings: &Settings) -> Result<Senders, ConfigError> {
    match &settings.sources_file {
        Some(path) => read(path),
        None => Ok(Senders::shipped().clone()),
    }
}

/// Reads one file.
fn read(path: &Path) -> Result<Senders, ConfigError> {
    let unreadable = |cause| ConfigError::Unreadable { path: path.to_owned(), cause };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(limits::SOURCE_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    Senders::with_overrides(&text).map_err(|faults| {
        let fault = |fault: crate::sources::SendersFault| Fault {
            file: path.to_owned(),
            line: fault.line,
            column: 1,
            message: fault.reason,
            hint: Some("a line is `example.net | Organisation | kind`".to_owned()),
        };
        ConfigError::Faults(faults.into_iter().map(fault).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stands_over_ours_and_faults_have_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("senders.txt");
        let mut settings = Settings::without_file();
        assert!(senders(&settings).unwrap().of_name("x.google.com").is_some());
        settings.sources_file = Some(path.clone());
        assert!(matches!(senders(&settings), Err(ConfigError::Unreadable { .. })));
        std::fs::write(&path, "shop.example | Shop | crm\n").unwrap();
        assert_eq!(senders(&settings).unwrap().of_name("a.shop.example").unwrap().organisation, "Shop");
        std::fs::write(&path, "# remark\nshop.example | Shop\n").unwrap();
        let Err(ConfigError::Faults(faults)) = senders(&settings) else { panic!("no faults") };
        assert_eq!(faults.len(), 1);
        assert!(faults[0].to_string().contains("senders.txt:2"), "{}", faults[0]);
    }
}
