//! The rules of the fuzz targets over their corpus and over our fixtures: what the fuzzers found stays found.
//!
//! The same functions that libFuzzer runs (`fuzz/README.md`), without libFuzzer.

#[cfg(test)]
#[path = "../../fuzz/src/targets/mod.rs"]
#[expect(unreachable_pub, reason = "the fuzz programs use them from outside")]
mod targets;

use std::path::{Path, PathBuf};

/// The files of a folder, sorted; none if it is absent.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// The folders of fixtures of which a target reads the files as they are.
fn fixtures(target: &str) -> &'static [&'static str] {
    match target {
        "aggregate" => &["fixtures/aggregate"],
        "tls" => &["fixtures/tls"],
        "failure" => &["fixtures/failure"],
        "delivery_status" => &["fixtures/dsn"],
        "mail" | "token" => &["fixtures/mail", "fixtures/failure", "fixtures/dsn"],
        "smtp_session" => &["fixtures/smtp"],
        "config" => &["contrib"],
        _ => &[],
    }
}

#[test]
fn every_rule_holds_for_the_corpus_and_the_fixtures() {
    let mut failed = Vec::new();
    for (name, check) in targets::ALL {
        let mut inputs = files(&format!("fuzz/corpus/{name}"));
        inputs.extend(fixtures(name).iter().flat_map(|folder| files(folder)));
        assert!(!inputs.is_empty(), "nothing to run {name} over");
        for path in inputs {
            let bytes = std::fs::read(&path).unwrap();
            let result = std::panic::catch_unwind(|| check(&bytes));
            if result.is_err() {
                failed.push(format!("{name}: {}", path.display()));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_target_has_a_program() {
    let programs = files("fuzz/src/bin").into_iter();
    let programs: Vec<_> =
        programs.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(programs, targets::ALL.map(|(name, _)| name));
}
