//! Erasing a mailbox: whatever table names it, whatever page it stood on, nothing of it stays in the files.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use mailsonde::daemon::ingest::{Bell, Ingest};
use mailsonde::mail::Address;
use mailsonde::probe::token::KeyRing;
use mailsonde::store::{EraseTarget, Store};
use rusqlite::Connection;

use super::make::{deliver, mail, new_store};

/// The mailbox that is erased.
const JANE: &str = "jane.doe@sender.example";

fn keys() -> KeyRing {
    KeyRing::with_id(1, &[7; 32]).unwrap()
}

/// Files beside the database in which the text stands, in any case.
fn traces(store: &Store, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![store.path().parent().unwrap().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).unwrap().to_ascii_lowercase();
            if memchr::memmem::find(&bytes, text.as_bytes()).is_some() {
                found.push(entry.path().display().to_string());
            }
        }
    }
    found
}

/// A column: name, type, place in the key.
type Column = (String, String, i64);

/// Every table with its columns.
fn tables(connection: &Connection) -> Vec<(String, Vec<Column>)> {
    let mut names = connection
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name",
        )
        .unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    names
        .into_iter()
        .map(|table| {
            let mut columns =
                connection.prepare("SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid").unwrap();
            let rows =
                columns.query_map([&table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
            let columns = rows.map(Result::unwrap).collect();
            (table, columns)
        })
        .collect()
}

/// Two rows in every table, which name the mailbox in every text that is no key.
fn name_her_everywhere(path: &Path) -> usize {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let mut count = 0;
    for (table, columns) in tables(&connection) {
        for number in [7, 8] {
            let values: Vec<String> = columns
                .iter()
                .map(|(column, kind, key)| match (kind.as_str(), *key) {
                    ("TEXT", 0) if column == "encoding" => "'plain'".to_owned(),
                    ("TEXT", 0) => {
                        count += 1;
                        // Unique columns forbid the same text twice.
                        format!("'see <Jane.Doe@Sender.example>, number {number}'")
                    }
                    ("TEXT", _) => format!("'key {number}'"),
                    ("BLOB", _) => format!("x'{number:04}'"),
                    _ => number.to_string(),
                })
                .collect();
            let sql = format!("INSERT INTO {table} VALUES ({})", values.join(", "));
            connection.execute(&sql, []).unwrap();
        }
    }
    let account = "INSERT INTO mailbox_folder VALUES ('imap://jane.doe@sender.example@imap.example', 'INBOX', 1, 5, NULL, NULL, NULL)";
    connection.execute(account, []).unwrap();
    count
}

#[test]
fn no_table_names_her_any_more() {
    let (_folder, store) = new_store();
    assert!(name_her_everywhere(store.path()) > 200);
    let target = EraseTarget::Address(Address::parse(JANE).unwrap());
    let plan = store.reader().unwrap().erase_plan(&target, &keys()).unwrap();
    assert_eq!(plan.mailboxes, ["imap://jane.doe@sender.example@imap.example"]);
    assert!(plan.texts.len() > 40, "rows of all tables: {}", plan.texts.len());
    assert!(!traces(&store, JANE).is_empty());
    let rows = |table: &str| -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        Connection::open(store.path()).unwrap().query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let before = (rows("message"), rows("name"), rows("bounce"), rows("probe_step"));
    store.erase(&plan).unwrap();
    assert_eq!(traces(&store, JANE), [""; 0]);
    assert_eq!((rows("message"), rows("name"), rows("bounce"), rows("probe_step")), before, "rows stay");
    let again = store.reader().unwrap().erase_plan(&target, &keys()).unwrap();
    assert!(again.texts.is_empty() && again.mailboxes.is_empty() && again.messages.is_empty(), "{again:?}");
}

/// Rows are written, changed by reading and moved from page to page as others come between: their old places are
/// overwritten too.
#[test]
fn no_page_keeps_an_old_copy_of_a_row() {
    let (_folder, store) = new_store();
    let ingest = Ingest::new(store.clone(), keys(), Arc::new(Bell::default()));
    for number in 0..600 {
        let of_her = number % 3 == 0;
        let address = if of_her { JANE.to_owned() } else { format!("other{number}@sender.example") };
        let mut text =
            format!("From: {address}\r\nTo: dmarc@monitor.example\r\nSubject: for {address}\r\n\r\n");
        for line in 0..number % 40 {
            let _ = writeln!(text, "line {line} of {number} {:x}\r", line * 7919 * number);
        }
        let mut message = mail(&text, number);
        message.envelope.rcpt_to = vec![Address::parse(&address).unwrap()];
        message.file_name = (number % 5 == 0).then(|| format!("{address}.txt"));
        deliver(&store, message).unwrap();
        if number % 50 == 49 {
            ingest.read_pending(&|| false).unwrap();
        }
    }
    let target = EraseTarget::Address(Address::parse(JANE).unwrap());
    let plan = store.reader().unwrap().erase_plan(&target, &keys()).unwrap();
    assert_eq!(plan.messages.len(), 200);
    store.erase(&plan).unwrap();
    assert_eq!(traces(&store, JANE), [""; 0]);
    assert_eq!(traces(&store, "other599@sender.example").len(), 1, "others stay");
}
