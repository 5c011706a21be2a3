//! Tar archives that are imported.

use std::io::Read as _;

use mailsonde::cli::import::tar::{Archive, is_tar};

use super::Pieces;

/// The pieces change nothing, entries lie within the archive, and passing over them finds the same names.
pub fn check(data: &[u8]) {
    let data = &with_checksums(data);
    let whole = read(data.as_slice(), true);
    assert_eq!(read(Pieces::new(data), true), whole, "the size of the pieces matters");
    let bytes: usize = whole.0.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes <= data.len());
    let passed = read(data.as_slice(), false);
    let names = |found: &[(String, Vec<u8>)]| found.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let (got, want) = (names(&passed.0), names(&whole.0));
    // A cut entry is noticed one step later where it is passed over.
    assert!(got == want || got.starts_with(&want) && got.len() == want.len() + 1, "{got:?} {want:?}");
    assert_eq!(passed.1, whole.1);
    if !whole.0.is_empty() && data.get(257..262) == Some(b"ustar") {
        assert!(is_tar(&data[..512]));
    }
}

/// Entries with their bytes, and the fault that ended it.
type Read = (Vec<(String, Vec<u8>)>, Option<std::io::ErrorKind>);

fn read(input: impl std::io::Read, with_content: bool) -> Read {
    let mut archive = Archive::new(input);
    let mut found = Vec::new();
    loop {
        match archive.next_entry() {
            Ok(Some(entry)) => {
                let mut bytes = Vec::new();
                if with_content {
                    if let Err(error) = archive.content().read_to_end(&mut bytes) {
                        return (found, Some(error.kind()));
                    }
                    assert_eq!(bytes.len() as u64, entry.size_bytes);
                }
                found.push((entry.name, bytes));
            }
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error.kind())),
        }
    }
}

/// Puts the right checksum into every block that looks like a header: no mutation finds one.
fn with_checksums(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    for block in data.chunks_exact_mut(512) {
        if block.get(257..262) == Some(b"ustar") {
            block[148..156].copy_from_slice(b"        ");
            let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    data
}
