//! The configuration file, and the file that names senders.

use std::path::Path;

use mailsonde::config::Settings;
use mailsonde::sources::Senders;

/// Every text gives settings or faults, each with its line.
pub fn check(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    match Settings::parse(Path::new("mailsonde.toml"), text) {
        Ok(settings) => {
            for route in &settings.routes {
                assert_eq!(settings.route(&route.name).map(|found| &found.name), Some(&route.name));
            }
            assert!(settings.receiver.recipients > 0);
            let _ = (settings.store_options(), settings.retention.for_store(), settings.secrets().count());
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in &faults {
                let shown = fault.to_string();
                assert!(!shown.is_empty() && !shown.contains('\u{1b}'), "{shown:?}");
            }
        }
    }
    match Senders::with_overrides(text) {
        Ok(senders) => assert!(senders.len() >= Senders::shipped().len()),
        Err(faults) => assert!(!faults.is_empty()),
    }
}
