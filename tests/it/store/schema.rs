//! The file: made whole, refused where it is not ours, readable by others.

use std::time::Duration;

use mailsonde::store::{Reader, SCHEMA_VERSION, Store, StoreError};

use super::make::{deliver, mail, new_store, options};

#[test]
fn other_files_are_refused_with_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let open = |path: &std::path::Path| Store::open(path, options()).map(|_| ()).unwrap_err();

    std::fs::write(&path, "not a database at all, but long enough to have a head".repeat(20)).unwrap();
    let error = open(&path);
    assert!(matches!(&error, StoreError::NotOurs { .. }), "{error}");
    assert!(error.to_string().contains("t.db"), "{error}");

    let path = folder.path().join("other.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE t (a); PRAGMA user_version = 1;").unwrap();
    drop(other);
    let error = open(&path);
    assert!(matches!(&error, StoreError::NotOurs { .. }), "{error}");

    let error = open(&folder.path().join("no/such/folder/t.db"));
    assert!(matches!(&error, StoreError::Io(_)), "{error}");
    let error = Reader::open(&folder.path().join("absent.db"), Duration::from_secs(1)).unwrap_err();
    assert!(matches!(&error, StoreError::Io(_)), "{error}");
    assert!(!folder.path().join("absent.db").exists());
}

#[test]
fn a_newer_or_unknown_version_is_refused() {
    let (folder, store) = new_store();
    deliver(&store, mail("a", 0)).unwrap();
    let path = store.path().to_owned();
    store.close();
    for version in [SCHEMA_VERSION + 1, 1_000, 0, -1] {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        drop(connection);
        let error = Store::open(&path, options()).map(|_| ()).unwrap_err();
        let read_error = Reader::open(&path, Duration::from_secs(1)).map(|_| ()).unwrap_err();
        for error in [error, read_error] {
            let is_right = match &error {
                StoreError::TooNew { found, known, .. } => *found == version && *known == SCHEMA_VERSION,
                StoreError::NotOurs { .. } => version < 1,
                _ => false,
            };
            assert!(is_right, "{version}: {error}");
            assert!(error.to_string().contains(&version.to_string()), "{error}");
            assert!(error.to_string().contains("t.db"), "{error}");
        }
    }
    drop(folder);
}

#[test]
fn every_table_and_column_is_explained() {
    let schema = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.sql")).unwrap();
    let lines: Vec<&str> = schema.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with("CREATE TABLE") || line.starts_with("CREATE VIEW") {
            let comment: Vec<&str> =
                lines[..at].iter().rev().take_while(|line| line.starts_with("--")).copied().collect();
            assert!(
                comment.last().is_some_and(|line| line.starts_with("-- One row:")),
                "no `-- One row:` above: {line}"
            );
        }
        if line.starts_with("CREATE TABLE") {
            let end =
                lines[at..].iter().position(|line| line.starts_with(") STRICT")).expect("a STRICT table");
            assert!(end > 0);
        }
    }
}

#[test]
fn the_views_work() {
    let (_folder, store) = new_store();
    deliver(&store, mail("a", 0)).unwrap();
    let connection = rusqlite::Connection::open(store.path()).unwrap();
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'view'").unwrap();
    let views: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(views.len() >= 5);
    for view in views {
        let rows: i64 =
            connection.query_row(&format!("SELECT COUNT(*) FROM {view}"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, i64::from(view == "v_messages"), "{view}");
    }
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

/// Every statement of the store with the file that it stands in.
fn statements() -> Vec<(String, String)> {
    let source = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut folders = vec![source.clone()];
    let mut out = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests.rs") {
                continue;
            }
            let name = path.strip_prefix(&source).unwrap().display().to_string();
            let text = std::fs::read_to_string(&path).unwrap();
            for statement in text.split('"').skip(1).step_by(2) {
                let is_sql = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "]
                    .iter()
                    .any(|word| statement.trim_start().starts_with(word));
                if is_sql && !statement.contains('{') && !statement.contains('\\') {
                    out.push((name.clone(), statement.to_owned()));
                }
            }
        }
    }
    assert!(out.len() > 60, "{}", out.len());
    out
}

/// SQLite numbers `$n` by first appearance, PostgreSQL by the number: both must mean the same.
#[test]
fn parameters_appear_in_rising_order() {
    for (file, statement) in statements() {
        let mut seen = 0u32;
        for rest in statement.split('$').skip(1) {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let number: u32 = digits.parse().unwrap();
            assert!(number <= seen + 1, "{file}: ${number} after ${seen}: {statement}");
            seen = seen.max(number);
        }
    }
}

/// No statement of daily work reads a whole large table, or sorts what stands in order already.
#[test]
fn statements_find_their_rows() {
    let (_folder, store) = new_store();
    let connection = rusqlite::Connection::open(store.path()).unwrap();
    // Recounting, erasing and copying read everything; starting looks at names of files.
    let whole = ["verify.rs", "read/stats.rs", "upkeep/erase_plan.rs", "upkeep/backup.rs"];
    let mut explained = 0;
    for (file, statement) in statements() {
        if whole.contains(&file.as_str()) {
            continue;
        }
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let none = vec![rusqlite::types::Null; plan.parameter_count()];
        let rows = plan.query_map(rusqlite::params_from_iter(none), |row| row.get::<_, String>(3)).unwrap();
        for line in rows.map(Result::unwrap) {
            let scans = ["report", "record", "rollup", "report_rollup", "deviation", "r", "c", "u", "v"]
                .iter()
                .any(|table| line == format!("SCAN {table}") || line.starts_with(&format!("SCAN {table} ")));
            assert!(!scans, "{file}: {line}: {statement}");
            let is_list = file.starts_with("read/") && statement.contains("c.seq");
            assert!(!(is_list && line.contains("TEMP B-TREE")), "{file}: {line}: {statement}");
            let by_key = statement.contains("external_id = ");
            assert!(!by_key || line.contains("report_key"), "{file}: {line}: {statement}");
        }
        explained += 1;
    }
    assert!(explained > 50, "{explained}");
}
