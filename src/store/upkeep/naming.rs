//! Texts that name a mailbox, wherever they stand: in every text column of every table, as the schema tells them.
//!
//! The name is replaced within its text and the row stays, so that what is counted keeps its sums. A table that comes later is
//! looked through without anybody thinking of it.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::super::writer::Work;
use super::super::{MessageId, Reader, StoreError};

// One row a column: table, column, whether it holds text, place in the primary key or 0, whether a unique index holds it.
const COLUMNS: &str = "SELECT t.name, c.name, c.type = 'TEXT', c.pk, EXISTS (
        SELECT 1 FROM pragma_index_list(t.name) AS l, pragma_index_info(l.name) AS i
        WHERE l.\"unique\" = 1 AND i.name = c.name)
    FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY t.name, c.cid";
const MAILBOXES: &str = "SELECT account FROM mailbox_folder UNION SELECT account FROM mailbox_message
    UNION SELECT account FROM mailbox_arrival UNION SELECT account FROM mailbox_stand";
const DELETE_FOLDERS: &str = "DELETE FROM mailbox_folder WHERE account = $1";
const DELETE_WAITING: &str = "DELETE FROM mailbox_message WHERE account = $1";
const DELETE_ARRIVALS: &str = "DELETE FROM mailbox_arrival WHERE account = $1";
const DELETE_STANDS: &str = "DELETE FROM mailbox_stand WHERE account = $1";

/// What stands in the place of a name.
const ERASED: &str = "erased";

/// The forms in which a mailbox is named, in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names(pub(super) Vec<String>);

/// A row with texts that name somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamingText {
    table: Arc<Table>,
    key: Vec<Key>,
    names: Names,
}

/// A value of a primary key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl rusqlite::ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

impl Key {
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
            ValueRef::Null | ValueRef::Real(_) => Self::Integer(0),
        }
    }
}

impl Names {
    /// The text without the names; `None` where it has none of them.
    ///
    /// `suffix` follows what stands for a name. A longer name that ends or begins like one is another one.
    fn without(&self, text: &str, suffix: &str) -> Option<String> {
        let mut text = text.to_owned();
        let mut is_changed = false;
        for name in &self.0 {
            let lower = text.to_ascii_lowercase();
            let mut kept = String::new();
            let mut done = 0;
            for (at, _) in lower.match_indices(name.as_str()) {
                let end = at + name.len();
                let before = lower.get(..at).and_then(|rest| rest.chars().next_back());
                let mut after = lower.get(end..).unwrap_or_default().chars();
                let goes_on = match after.next() {
                    Some('.' | '-') => after.next().is_some_and(char::is_alphanumeric),
                    next => next.is_some_and(char::is_alphanumeric),
                };
                if goes_on || before.is_some_and(is_of_local_part) {
                    continue;
                }
                kept.push_str(text.get(done..at).unwrap_or_default());
                kept.push_str(ERASED);
                kept.push_str(suffix);
                done = end;
            }
            if done > 0 {
                kept.push_str(text.get(done..).unwrap_or_default());
                text = kept;
                is_changed = true;
            }
        }
        is_changed.then_some(text)
    }
}

/// True for what goes on before an address without a mark between; `<`, `:`, `=`, `/` and quotes are such marks.
fn is_of_local_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '+' | '-' | '~')
}

// ---- Tables ----

/// The columns of one table that are of interest.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    name: String,
    key: Vec<String>,
    /// Name of the column, and whether no two rows may have the same value in it.
    texts: Vec<(String, bool)>,
    has_message: bool,
    has_token: bool,
}

/// All tables with texts.
fn tables(connection: &Connection) -> Result<Vec<Table>, StoreError> {
    let mut tables: Vec<Table> = Vec::new();
    let mut statement = connection.prepare_cached(COLUMNS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, column): (String, String) = (row.get(0)?, row.get(1)?);
        if tables.last().is_none_or(|last| last.name != table) {
            tables.push(Table { name: table, ..Table::default() });
        }
        let Some(last) = tables.last_mut() else { continue };
        last.has_message |= column == "message_id";
        last.has_token |= column == "token";
        if row.get::<_, i64>(3)? > 0 {
            last.key.push(column);
        } else if row.get(2)? {
            last.texts.push((column, row.get(4)?));
        }
    }
    // Names of tables and columns come from the schema itself: nothing from outside is in a statement.
    tables.retain(|table| !table.texts.is_empty() && !table.key.is_empty());
    Ok(tables)
}

impl Table {
    fn quoted(names: impl Iterator<Item = impl AsRef<str>>) -> Vec<String> {
        names.map(|name| format!("\"{}\"", name.as_ref())).collect()
    }

    fn keys(&self) -> Vec<String> {
        Self::quoted(self.key.iter())
    }

    fn columns(&self) -> Vec<String> {
        Self::quoted(self.texts.iter().map(|(name, _)| name))
    }

    /// Rows that may name somebody: key, texts, message, token.
    fn find(&self) -> String {
        let named: Vec<String> =
            self.columns().iter().map(|text| format!("instr(lower({text}), $1) > 0")).collect();
        let of = |has: bool, column: &str| if has { format!(", {column}") } else { ", NULL".to_owned() };
        format!(
            "SELECT {}, {}{}{} FROM \"{}\" WHERE {}",
            self.keys().join(", "),
            self.columns().join(", "),
            of(self.has_message, "message_id"),
            of(self.has_token, "token"),
            self.name,
            named.join(" OR ")
        )
    }

    /// The condition on the key, its parameters beginning with `$from`.
    fn is_key(&self, from: usize) -> String {
        let parts: Vec<String> =
            (from..).zip(self.keys()).map(|(at, key)| format!("{key} = ${at}")).collect();
        parts.join(" AND ")
    }
}

/// Rows that name the mailbox, except those of messages and probes that go as a whole.
pub(super) fn find(
    reader: &Reader,
    names: &Names,
    messages: &HashSet<MessageId>,
    probes: &HashSet<String>,
) -> Result<Vec<NamingText>, StoreError> {
    let connection = reader.connection();
    let mut found: Vec<NamingText> = Vec::new();
    for table in tables(connection)?.into_iter().map(Arc::new) {
        let mut seen = HashSet::new();
        let mut statement = connection.prepare(&table.find())?;
        let (keys, texts) = (table.key.len(), table.texts.len());
        for name in &names.0 {
            let mut rows = statement.query([name])?;
            while let Some(row) = rows.next()? {
                let message: Option<i64> = row.get(keys + texts)?;
                let token: Option<String> = row.get(keys + texts + 1)?;
                if message.is_some_and(|id| messages.contains(&MessageId(id)))
                    || token.is_some_and(|token| probes.contains(&token))
                {
                    continue;
                }
                let mut is_named = false;
                for at in keys..keys + texts {
                    let text: Option<String> = row.get(at)?;
                    is_named |= text.is_some_and(|text| names.without(&text, "").is_some());
                }
                let key: Vec<Key> =
                    (0..keys).map(|at| row.get_ref(at).map(Key::of)).collect::<Result<_, _>>()?;
                if is_named && seen.insert(key.clone()) {
                    found.push(NamingText { table: Arc::clone(&table), key, names: names.clone() });
                }
            }
        }
    }
    Ok(found)
}

/// Replaces the names in a row. True if there were any.
pub(super) fn clear(work: &mut Work<'_>, text: &NamingText) -> Result<bool, StoreError> {
    let table = &text.table;
    let select =
        format!("SELECT {} FROM \"{}\" WHERE {}", table.columns().join(", "), table.name, table.is_key(1));
    let found: Option<Vec<Option<String>>> = {
        let mut statement = work.connection.prepare_cached(&select)?;
        let mut rows = statement.query(rusqlite::params_from_iter(&text.key))?;
        match rows.next()? {
            Some(row) => Some((0..table.texts.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?),
            None => None,
        }
    };
    // What must be the only one of its kind has the number of its row behind it.
    let number = text.key.iter().rev().find_map(|key| match key {
        Key::Integer(number) => Some(format!(" {number}")),
        _ => None,
    });
    let mut is_changed = false;
    for ((column, is_unique), value) in table.texts.iter().zip(found.into_iter().flatten()) {
        let suffix = number.as_deref().filter(|_| *is_unique).unwrap_or_default();
        let Some(cleared) = value.and_then(|value| text.names.without(&value, suffix)) else { continue };
        let update = format!("UPDATE \"{}\" SET \"{column}\" = $1 WHERE {}", table.name, table.is_key(2));
        let mut parameters: Vec<&dyn rusqlite::ToSql> = vec![&cleared];
        parameters.extend(text.key.iter().map(|key| -> &dyn rusqlite::ToSql { key }));
        work.connection.prepare_cached(&update)?.execute(parameters.as_slice())?;
        is_changed = true;
    }
    // Names and reporters are known by their texts.
    work.cache.clear();
    Ok(is_changed)
}

// ---- Mailboxes ----

/// Accounts of mailboxes that are named like it.
pub(super) fn accounts(reader: &Reader, names: &Names) -> Result<Vec<String>, StoreError> {
    let mut statement = reader.connection().prepare(MAILBOXES)?;
    let all: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|account| names.without(account, "").is_some()).collect())
}

/// Forgets how far a mailbox was read.
pub(super) fn forget_account(work: &Work<'_>, account: &str) -> Result<(), StoreError> {
    for sql in [DELETE_FOLDERS, DELETE_WAITING, DELETE_ARRIVALS, DELETE_STANDS] {
        work.connection.prepare_cached(sql)?.execute([account])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn a_name_goes_and_longer_ones_stay() {
        let names = Names(vec!["ann@example.com".to_owned(), "~abc@example.com".to_owned()]);
        let cases = [
            ("ann@example.com", Some("erased")),
            ("<Ann@Example.COM>", Some("<erased>")),
            ("rfc822;ann@example.com, again ann@example.com.", Some("rfc822;erased, again erased.")),
            ("[\"ann@example.com\",\"bob@example.com\"]", Some("[\"erased\",\"bob@example.com\"]")),
            ("mailto:ann@example.com?subject=x", Some("mailto:erased?subject=x")),
            ("~abc@example.com", Some("erased")),
            ("ä ann@example.com ä", Some("ä erased ä")),
            ("joann@example.com", None),
            ("jo.ann@example.com", None),
            ("ann@example.com.au", None),
            ("ann@example.community", None),
            ("äann@example.com", None),
            ("nobody", None),
        ];
        for (text, expected) in cases {
            assert_eq!(names.without(text, "").as_deref(), expected, "{text}");
        }
        assert_eq!(names.without("ann@example.com", " 7").as_deref(), Some("erased 7"));
    }
}
