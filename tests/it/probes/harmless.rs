//! No file of ours holds what filters are tested with: no source, document, fixture or program.

use std::path::{Path, PathBuf};

use mailsonde::clock::Timestamp;
use mailsonde::mail::{Address, Message};
use mailsonde::probe::compose::Profile;
use mailsonde::probe::plan::{RoutePlan, plan};
use mailsonde::probe::token::KeyRing;

/// The file of the virus test and the line of the spam test, as a probe has them.
fn tests_of_filters() -> [Vec<u8>; 2] {
    let ring = KeyRing::from_bytes(&[4; 32]).unwrap();
    let from = Address::parse("probe@example.org").unwrap();
    let message = |profile| {
        let route = RoutePlan::new("r", "probe+{token}@example.net", &from, profile);
        plan(&ring, &route, Timestamp::from_seconds(1_790_000_000), 1).unwrap().message.bytes
    };
    let virus = message(Profile::Eicar);
    let virus = Message::parse(&virus).parts.last().unwrap().decode().0.into_owned();
    let spam = message(Profile::Gtube);
    let text = Message::parse(&spam).parts[0].decode().0.into_owned();
    let spam = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).rfind(|line| !line.is_empty());
    let tests = [virus, spam.unwrap().to_vec()];
    // Both have 68 characters.
    assert!(tests.iter().all(|test| test.len() == 68));
    tests
}

/// Every file below a folder, without what is built and what git keeps.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if name == "target" || name == ".git" {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// What a file holds of the two: whole, or in base64.
fn holds(bytes: &[u8], tests: &[Vec<u8>]) -> Option<&'static str> {
    let has = |needle: &[u8]| memchr::memmem::find(bytes, needle).is_some();
    for test in tests {
        if has(test) {
            return Some("whole");
        }
        let word = data_encoding::BASE64_NOPAD.encode(test);
        if has(word.as_bytes()) {
            return Some("in base64");
        }
    }
    None
}

#[test]
fn no_file_holds_the_tests_of_filters() {
    let tests = tests_of_filters();
    let mut paths = vec![std::env::current_exe().unwrap(), PathBuf::from(env!("CARGO_BIN_EXE_mailsonde"))];
    files(Path::new(env!("CARGO_MANIFEST_DIR")), &mut paths);
    assert!(paths.len() > 300, "only {} files", paths.len());
    for path in paths {
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert_eq!(holds(&bytes, &tests), None, "{}", path.display());
    }
}

#[test]
fn the_search_finds_what_it_should() {
    let tests = tests_of_filters();
    for test in &tests {
        let within = [b"before".as_slice(), test, b"after"].concat();
        assert_eq!(holds(&within, &tests), Some("whole"));
        let encoded = data_encoding::BASE64.encode(test);
        assert_eq!(holds(encoded.as_bytes(), &tests), Some("in base64"));
    }
    assert_eq!(holds(b"nothing of the kind", &tests), None);
}
