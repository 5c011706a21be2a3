//! What several tests need: temporary folders, third-party data, loopback peers.
// `cfg(test)` tells the lints that helpers between the tests are tests too.

#[cfg(test)]
pub(crate) mod client;
#[cfg(test)]
pub(crate) mod dns;
#[cfg(test)]
pub(crate) mod dovecot;
#[cfg(test)]
pub(crate) mod exim;
#[cfg(test)]
pub(crate) mod mmdb;
#[cfg(test)]
pub(crate) mod peer;
#[cfg(test)]
pub(crate) mod postfix;
#[cfg(test)]
pub(crate) mod program;
#[cfg(test)]
pub(crate) mod sink;
#[cfg(test)]
pub(crate) mod tls;

use std::path::PathBuf;

/// A folder of the third-party data beside the checkout, or `None` with a message where it is absent.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared").join(folder);
    if path.is_dir() {
        Some(path)
    } else {
        eprintln!("skipped: third-party data absent: ../shared/{folder}");
        None
    }
}
