//! Message trace: which messages a question by address, Message-ID, peer or relation is about.
//!
//! Each filter is a list of numbers of messages that an index gives, and the answer is made of what is on all lists: a
//! question about one address among millions of messages reads the few that are about it. Messages that wait to be read
//! are in no such index and are looked at one by one; they are few.

use std::collections::{BTreeSet, VecDeque};

use rusqlite::types::{ToSql, Value};
use rusqlite::{Connection, Params};

use super::super::party::{AUTHOR, MAIL_FROM, RECIPIENT};
use super::super::{StoreError, source};
use super::scope::literal;
use crate::limits;
use crate::mail::MessageId;
use crate::summary::{AddressPattern, Query};

// Each gives numbers of messages. Parameters: one address; one domain; any.
const AT_ADDRESS: &str = "SELECT message_id FROM message_party
    WHERE domain = $1 AND local = $2 AND roles & $3 <> 0";
const AT_DOMAIN: &str = "SELECT message_id FROM message_party
    WHERE domain = $1 AND local LIKE $2 ESCAPE '!' AND roles & $3 <> 0";
const ANYWHERE: &str = "SELECT message_id FROM message_party
    WHERE domain LIKE $1 ESCAPE '!' AND local LIKE $2 ESCAPE '!' AND roles & $3 <> 0";
const WAITING_FROM: &str =
    "SELECT message_id FROM message WHERE status = 'pending' AND mail_from LIKE $1 ESCAPE '!'";
const WAITING_TO: &str = "SELECT message_id FROM message WHERE status = 'pending'
    AND EXISTS (SELECT 1 FROM json_each(rcpt_to) WHERE value LIKE $1 ESCAPE '!')";
const BY_PEER: &str = "SELECT message_id FROM message WHERE peer_ip = $1 AND status <> 'pending'";
const WAITING_PEER: &str = "SELECT message_id FROM message WHERE status = 'pending' AND peer_ip = $1";
const BY_HEADER_ID: &str = "SELECT message_id FROM message WHERE header_message_id = $1";
const THESE: &str = "SELECT value AS message_id FROM json_each($1)";

// What is related to what.
const TOKENS_OF: &str = "SELECT token FROM probe_event WHERE message_id = $1
    UNION SELECT token FROM bounce WHERE message_id = $1 AND token IS NOT NULL";
const NAMES_OF: &str =
    "SELECT header_message_id FROM message WHERE message_id = $1 AND header_message_id IS NOT NULL
    UNION SELECT reference FROM message_reference WHERE message_id = $1";
const OF_TOKEN: &str = "SELECT message_id FROM probe_event WHERE token = $1 AND message_id IS NOT NULL
    UNION SELECT message_id FROM bounce WHERE token = $1";
const NAME_OF_TOKEN: &str =
    "SELECT header_message_id FROM probe WHERE token = $1 AND header_message_id IS NOT NULL";
const OF_NAME: &str = "SELECT message_id FROM message WHERE header_message_id = $1
    UNION SELECT message_id FROM message_reference WHERE reference = $1";
const TOKEN_OF_NAME: &str = "SELECT token FROM probe WHERE header_message_id = $1";

/// Where the rows of a question come from, in place of the table `message AS m`.
pub(super) struct Selection {
    /// What stands after `FROM`; its parameters are numbered from 1.
    pub(super) from: String,
    /// The values of these parameters.
    pub(super) values: Vec<Value>,
    /// Remarks for the reader.
    pub(super) notes: Vec<String>,
}

impl Selection {
    /// The messages that a question is about, by its indexed filters.
    pub(super) fn of(connection: &Connection, query: &Query) -> Result<Self, StoreError> {
        let mut lists = Lists::default();
        let mut notes = Vec::new();
        let trace = &query.trace;
        if let Some(related) = &trace.related {
            let found = related_to(connection, related)?;
            if found.messages.is_empty() {
                notes.push(format!("no mail here is about {related}"));
            }
            if found.is_cut {
                notes.push(format!("of related mails only {} are looked at", limits::RELATED_MESSAGES));
            }
            let ids: Vec<String> = found.messages.iter().map(i64::to_string).collect();
            lists.add(&[(THESE, vec![Value::Text(format!("[{}]", ids.join(",")))])]);
        }
        if let Some(id) = &trace.message_id {
            lists.add(&[(BY_HEADER_ID, vec![Value::Text(bare(id).to_owned())])]);
        }
        if let Some(peer) = query.source.as_deref().map(source::of_text) {
            let peer = || vec![Value::Blob(peer.clone())];
            lists.add(&[(BY_PEER, peer()), (WAITING_PEER, peer())]);
        }
        if let Some(pattern) = &trace.from {
            lists.add(&[party(pattern, MAIL_FROM | AUTHOR), waiting(WAITING_FROM, pattern)]);
        }
        if let Some(pattern) = &trace.to {
            lists.add(&[party(pattern, RECIPIENT), waiting(WAITING_TO, pattern)]);
        }
        let (from, values) = lists.close();
        Ok(Self { from, values, notes })
    }
}

/// The lists of a question, as SQL.
#[derive(Default)]
struct Lists {
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Lists {
    /// Adds a filter: numbers that any of its statements gives.
    fn add(&mut self, any_of: &[(&str, Vec<Value>)]) {
        let mut parts = Vec::with_capacity(any_of.len());
        for (sql, values) in any_of {
            parts.push(shifted(sql, self.values.len()));
            self.values.extend(values.iter().cloned());
        }
        self.sql.push(format!("SELECT message_id FROM ({}) AS a", parts.join(" UNION ")));
    }

    /// The source of rows: numbers on all lists, each once, and only then their messages.
    fn close(self) -> (String, Vec<Value>) {
        if self.sql.is_empty() {
            return ("message AS m".to_owned(), self.values);
        }
        let all = self.sql.join(" INTERSECT ");
        // A cross join is done in the order in which it is written.
        (format!("({all}) AS w CROSS JOIN message AS m ON m.message_id = w.message_id"), self.values)
    }
}

/// A statement whose parameters are numbered after `before` others.
pub(super) fn shifted(sql: &str, before: usize) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    while let Some((text, after)) = rest.split_once('$') {
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = after.split_at(digits);
        let number = number.parse::<usize>().unwrap_or(0) + before;
        out.push_str(text);
        out.push('$');
        out.push_str(&number.to_string());
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Messages by one of their parties.
fn party(pattern: &AddressPattern, roles: i64) -> (&'static str, Vec<Value>) {
    let (is_wild_local, is_wild_domain) = (pattern.local.contains('*'), pattern.domain.contains('*'));
    let text = |text: &str, is_wild: bool| Value::Text(if is_wild { like(text) } else { text.to_owned() });
    let (sql, domain, local) = match (is_wild_domain, is_wild_local) {
        (false, false) => (AT_ADDRESS, text(&pattern.domain, false), text(&pattern.local, false)),
        (false, true) => (AT_DOMAIN, text(&pattern.domain, false), text(&pattern.local, true)),
        (true, _) => (ANYWHERE, text(&pattern.domain, true), text(&pattern.local, true)),
    };
    (sql, vec![domain, local, Value::Integer(roles)])
}

/// Messages that wait to be read, by an address in their envelope.
fn waiting(sql: &'static str, pattern: &AddressPattern) -> (&'static str, Vec<Value>) {
    let is_null = pattern.local.is_empty() && pattern.domain.is_empty();
    let text =
        if is_null { "<>".to_owned() } else { format!("{}@{}", like(&pattern.local), like(&pattern.domain)) };
    (sql, vec![Value::Text(text)])
}

/// A pattern for `LIKE ... ESCAPE '!'` in which `*` stands for anything.
fn like(text: &str) -> String {
    literal(text).replace('*', "%")
}

/// A Message-ID without its brackets.
fn bare(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}

// ---- What belongs together ----

/// Messages about the same.
struct Related {
    messages: BTreeSet<i64>,
    is_cut: bool,
}

/// One thing from which a relation goes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Link {
    Message(i64),
    Token(String),
    Name(String),
}

/// Everything that hangs together with a message, token or Message-ID: the probe that a mail is, answers or sends back, and the mails
/// that name each other. At most [`limits::RELATED_MESSAGES`] of them.
fn related_to(connection: &Connection, text: &str) -> Result<Related, StoreError> {
    let mut seen: BTreeSet<Link> = BTreeSet::new();
    let mut open: VecDeque<Link> = VecDeque::new();
    let text = text.trim();
    let name = bare(text);
    let local = text.rsplit(['+', '/']).next().unwrap_or(text);
    let token = local.split('@').next().unwrap_or(local).to_ascii_lowercase();
    // What is no number of a message, token or name here leads nowhere.
    open.extend(MessageId::parse(text).map(|id| Link::Message(id.0)));
    open.push_back(Link::Token(token));
    open.push_back(Link::Name(name.to_owned()));
    let mut related = Related { messages: BTreeSet::new(), is_cut: false };
    while let Some(link) = open.pop_front() {
        if !seen.insert(link.clone()) {
            continue;
        }
        match &link {
            Link::Message(id) => {
                if related.messages.len() >= limits::RELATED_MESSAGES {
                    related.is_cut = true;
                    break;
                }
                related.messages.insert(*id);
                texts(connection, TOKENS_OF, [id], |token| open.push_back(Link::Token(token)))?;
                texts(connection, NAMES_OF, [id], |name| open.push_back(Link::Name(bare(&name).to_owned())))?;
            }
            Link::Token(token) => {
                numbers(connection, OF_TOKEN, token, |id| open.push_back(Link::Message(id)))?;
                texts(connection, NAME_OF_TOKEN, [token], |name| {
                    open.push_back(Link::Name(bare(&name).to_owned()));
                })?;
            }
            Link::Name(name) => {
                numbers(connection, OF_NAME, name, |id| open.push_back(Link::Message(id)))?;
                texts(connection, TOKEN_OF_NAME, [format!("<{name}>")], |token| {
                    open.push_back(Link::Token(token));
                })?;
            }
        }
    }
    // A number that stands for no message is in no answer: the join leaves it out.
    Ok(related)
}

/// Hands every text of a statement to `each`.
fn texts(
    connection: &Connection,
    sql: &str,
    key: impl Params,
    mut each: impl FnMut(String),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(key)?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?);
    }
    Ok(())
}

/// Hands every number of a statement to `each`.
fn numbers(
    connection: &Connection,
    sql: &str,
    key: &dyn ToSql,
    mut each: impl FnMut(i64),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([key])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Trace;

    #[test]
    fn parameters_go_on_counting() {
        assert_eq!(shifted("a = $1 AND b = $2 OR c = $1", 0), "a = $1 AND b = $2 OR c = $1");
        assert_eq!(shifted("a = $1 AND b = $12$3", 8), "a = $9 AND b = $20$11");
        assert_eq!(shifted("none", 3), "none");
    }

    #[test]
    fn asterisks_alone_are_wild() {
        assert_eq!(like("a*b"), "a%b");
        assert_eq!(like("100%_!"), "100!%!_!!");
    }

    /// The lines of the plan of a question about one thing.
    fn plan(query: &Query) -> Vec<String> {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        connection.execute_batch(include_str!("../statistics.sql")).unwrap();
        let selection = Selection::of(&connection, query).unwrap();
        let sql = super::super::message::list_sql(&selection);
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let none = vec![Value::Null; statement.parameter_count()];
        let rows =
            statement.query_map(rusqlite::params_from_iter(none), |row| row.get::<_, String>(3)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn questions_about_one_thing_read_no_whole_table() {
        let pattern = |text: &str| AddressPattern::parse(text);
        let of = |trace: Trace| Query { trace, ..Query::default() };
        let questions = [
            of(Trace { from: pattern("anna@example.com"), ..Trace::default() }),
            of(Trace { from: pattern("*@example.com"), ..Trace::default() }),
            of(Trace { from: pattern("<>"), to: pattern("bob@example.net"), ..Trace::default() }),
            of(Trace { to: pattern("n*s@example.com"), ..Trace::default() }),
            of(Trace { message_id: Some("<1@example.com>".to_owned()), ..Trace::default() }),
            of(Trace { related: Some("slxnlz9ryx5c".to_owned()), ..Trace::default() }),
            Query { source: Some("192.0.2.1".to_owned()), ..Query::default() },
            Query {
                source: Some("192.0.2.1".to_owned()),
                trace: Trace {
                    from: pattern("anna@example.com"),
                    kind: Some("probe".to_owned()),
                    ..Trace::default()
                },
                ..Query::default()
            },
        ];
        for query in questions {
            let lines = plan(&query);
            assert!(
                lines.iter().any(|line| line.starts_with("SEARCH m USING INTEGER PRIMARY KEY")),
                "{lines:?}"
            );
            for line in &lines {
                let scanned =
                    line.strip_prefix("SCAN ").map(|rest| rest.split(' ').next().unwrap_or_default());
                // Only what waits to be read is looked through, and lists that were made.
                let is_fine = scanned.is_none_or(|table| ["w", "a", "json_each"].contains(&table))
                    || line.contains("INDEX message_pending")
                    || line.starts_with("SCAN (");
                assert!(is_fine, "{line} in {lines:#?}");
            }
        }
        // The other way round: without such a filter it is the list of all, and the test sees that.
        assert!(plan(&Query::default()).iter().any(|line| line.starts_with("SCAN m ")));
    }
}
