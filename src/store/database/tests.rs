//! Upgrades: the steps reach the newest schema, keep every row, and stop at what they do not know.

use std::path::PathBuf;

use super::*;

/// A database in a folder of its own.
fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    (folder, path)
}

/// Opens a file as [`open_writer`] does, with another schema and other steps.
fn open(path: &Path, schema: &str, newest: i64, steps: &[Step]) -> Result<Connection, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    prepare_file(&connection, path, schema, newest, steps)?;
    Ok(connection)
}

/// What a database is made of, free of white space and comments.
fn shape(connection: &Connection) -> Vec<String> {
    let mut statement = connection
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY type, name")
        .unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|sql| {
        let sql = sql.unwrap();
        let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
        lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    })
    .collect()
}

/// The version in the file.
fn version(connection: &Connection) -> i64 {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[test]
fn a_new_file_has_the_newest_version_and_shape() {
    let (_folder, path) = file();
    let connection = open_writer(&path, Duration::from_secs(1), None).unwrap();
    assert_eq!(version(&connection), SCHEMA_VERSION);
    let plain = Connection::open_in_memory().unwrap();
    plain.execute_batch(SCHEMA).unwrap();
    assert_eq!(shape(&connection), shape(&plain));
    let setting =
        |name: &str| -> i64 { connection.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
    // FULL: a reply follows the sync. 8 KiB pages.
    assert_eq!((setting("synchronous"), setting("page_size"), setting("foreign_keys")), (2, 8192, 1));
}

#[test]
fn steps_are_numbered_without_gaps_up_to_the_newest() {
    for (version, step) in (2i64..).zip(STEPS) {
        assert_eq!(step.version, version);
    }
    assert_eq!(i64::try_from(STEPS.len()).unwrap() + 1, SCHEMA_VERSION);
}

/// The steps of a made-up future, which add, fill and rename.
const FUTURE: &[Step] = &[
    Step {
        version: SCHEMA_VERSION + 1,
        sql: "ALTER TABLE domain ADD COLUMN note TEXT; UPDATE domain SET note = 'old';",
    },
    Step { version: SCHEMA_VERSION + 2, sql: "CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT;" },
];

#[test]
fn upgrades_keep_every_row_and_reach_the_version() {
    let (_folder, path) = file();
    let before = open_writer(&path, Duration::from_secs(1), None).unwrap();
    before
        .execute_batch(
            "INSERT INTO domain (domain_id, name, is_configured, is_added) VALUES (1, 'example.com', 1, 0)",
        )
        .unwrap();
    drop(before);
    let after = open(&path, SCHEMA, SCHEMA_VERSION + 2, FUTURE).unwrap();
    assert_eq!(version(&after), SCHEMA_VERSION + 2);
    let row: (String, String) =
        after.query_row("SELECT name, note FROM domain", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(row, ("example.com".to_owned(), "old".to_owned()));
    // Again: nothing to do.
    drop(after);
    assert_eq!(version(&open(&path, SCHEMA, SCHEMA_VERSION + 2, FUTURE).unwrap()), SCHEMA_VERSION + 2);
    // The program of today refuses the file of tomorrow, for writing and for reading, and leaves it alone.
    for error in [
        open_writer(&path, Duration::from_secs(1), None).unwrap_err(),
        open_reader(&path, Duration::from_secs(1)).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::TooNew { .. }), "{error}");
    }
}

#[test]
fn a_step_that_fails_changes_nothing() {
    let (_folder, path) = file();
    drop(open_writer(&path, Duration::from_secs(1), None).unwrap());
    let steps =
        [Step { version: SCHEMA_VERSION + 1, sql: "CREATE TABLE half (a INTEGER) STRICT; no such words;" }];
    assert!(open(&path, SCHEMA, SCHEMA_VERSION + 1, &steps).is_err());
    let connection = open_writer(&path, Duration::from_secs(1), None).unwrap();
    assert_eq!(version(&connection), SCHEMA_VERSION);
    assert!(!shape(&connection).iter().any(|sql| sql.contains("half")));
}
