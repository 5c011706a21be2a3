//! `messages show`: one mail that came, as facts, header, text, parts or bytes.
//!
//! Nothing of a mail acts on a terminal: every text is escaped, and bytes are escaped too where standard output
//! is a terminal. Into a pipe or file go the bytes as they came.

mod verification;

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Read as _, Write};

use jiff::tz::TimeZone;

use crate::classify::MessageKind;
use crate::cli::args::{Format, MessageShowArguments, MessagesCommand};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::report::reveal;
use crate::limits;
use crate::mail::message::{Message, Standing};
use crate::mail::{MessageId, PeerSource, Purpose};
use crate::render::value::Object;
use crate::render::{Column, Head, Kind, Sheet, Show, Value, escape};
use crate::store::{Reader, StoreError, StoredMessage, StoredVerification, UnreadablePart};
use crate::summary::Trust;

/// Everything shown of one mail.
#[derive(Debug)]
pub struct Shown {
    /// What the store knows.
    stored: StoredMessage,
    /// What in it could not be read.
    unreadable: Vec<UnreadablePart>,
    /// What its verification found.
    verification: Option<StoredVerification>,
    /// Its header fields, absent where its bytes are gone or it is no mail.
    fields: Vec<(String, String)>,
    /// Its text, at most [`limits::SHOWN_TEXT_BYTES`] of it.
    text: Option<String>,
}

/// One part of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRow {
    number: u64,
    content_type: String,
    file_name: String,
    size_bytes: u64,
    standing: &'static str,
    is_attachment: bool,
}

/// The columns of `messages show`: the parts.
pub static PARTS: &[Column<PartRow>] = &[
    Column::new("number", "part", Kind::Count("number"), Show::Whole, "For `--part`, from 1.", |row| {
        Value::Count(row.number)
    }),
    Column::new(
        "content_type",
        "type",
        Kind::Text,
        Show::Cut(12),
        "The declared type; null without one.",
        |row| Value::text(Some(row.content_type.as_str()).filter(|text| !text.is_empty())),
    ),
    Column::new(
        "file_name",
        "file name",
        Kind::Text,
        Show::Cut(12),
        "The declared name; null without one.",
        |row| Value::text(Some(row.file_name.as_str()).filter(|text| !text.is_empty())),
    ),
    Column::new("size_bytes", "bytes", Kind::Count("bytes"), Show::Whole, "Decoded.", |row| {
        Value::Count(row.size_bytes)
    }),
    Column::new(
        "standing",
        "stands in",
        Kind::Text,
        Show::Spare(1, 0),
        "`message`, `attached` (in a message attached to it) or `quoted` (as evidence in a report).",
        |row| Value::Text(Cow::Borrowed(row.standing)),
    ),
    Column::new(
        "is_attachment",
        "attachment",
        Kind::Flag,
        Show::Spare(2, 0),
        "True if it is declared one.",
        |row| Value::Flag(row.is_attachment),
    ),
];

/// The facts of `messages show`, in the place of totals.
pub static FACTS: &[Column<Shown>] = &[
    Column::total("id", Kind::Text, "Its id.", |row| Value::Text(Cow::Owned(row.stored.id.to_string()))),
    Column::total("received_at", Kind::Instant, "When its last byte was here.", |row| {
        Value::Instant(row.stored.envelope.received_at)
    }),
    Column::total("origin", Kind::Text, "As in `messages`.", |row| {
        Value::Text(Cow::Borrowed(row.stored.envelope.origin.as_str()))
    }),
    Column::total("kind", Kind::Text, "As in `messages`; null while it was never read.", |row| {
        Value::text(row.stored.kind.map(MessageKind::as_str))
    }),
    Column::total("status", Kind::Text, "As in `messages`.", |row| {
        Value::Text(Cow::Borrowed(row.stored.status.as_str()))
    }),
    Column::total("reason", Kind::Text, "Why it has this status.", |row| {
        Value::text(row.stored.reason.as_deref())
    }),
    Column::total("duplicate_of", Kind::Text, "The id of the mail whose copy it is.", |row| {
        row.stored.duplicate_of.map_or(Value::Unknown, |id| Value::Text(Cow::Owned(id.to_string())))
    }),
    Column::total(
        "unreadable",
        Kind::Objects("kind, reason, place"),
        "What in it looks like a report and could not be read.",
        |row| {
            let object = |part: &UnreadablePart| Object {
                text: format!("{}: {} ({})", part.kind, part.reason, part.place),
                fields: vec![
                    ("kind", Value::Text(Cow::Owned(part.kind.clone()))),
                    ("reason", Value::Text(Cow::Owned(part.reason.clone()))),
                    ("place", Value::Text(Cow::Owned(part.place.clone()))),
                ],
            };
            Value::Objects(row.unreadable.iter().map(object).collect())
        },
    ),
    Column::total("deviations", Kind::List, "Names of deviations from standards.", |row| {
        Value::list(&row.stored.deviations)
    }),
    Column::total("purposes", Kind::List, "What its recipients are for.", |row| {
        Value::List(
            row.stored.purposes.iter().map(|purpose: &Purpose| Cow::Borrowed(purpose.as_str())).collect(),
        )
    }),
    Column::total("file_name", Kind::Text, "The name of an imported file that is no mail.", |row| {
        Value::text(row.stored.file_name.as_deref())
    }),
    Column::total("peer_source", Kind::Text, "As in `messages`.", |row| {
        Value::text(row.stored.envelope.peer_source.map(PeerSource::as_str))
    }),
    Column::total("relay_ip", Kind::Text, "As in `messages`.", |row| {
        row.stored.envelope.relay.map_or(Value::Unknown, |ip| Value::Text(Cow::Owned(ip.to_string())))
    }),
    Column::total("peer_ip", Kind::Text, "The client's address; null where nothing proves one.", |row| {
        row.stored.envelope.peer.map_or(Value::Unknown, |peer| Value::Text(Cow::Owned(peer.ip().to_string())))
    }),
    Column::total("peer_port", Kind::Count("port"), "The client's port.", |row| {
        Value::count(row.stored.envelope.peer.map(|peer| peer.port().into()).filter(|port| *port != 0))
    }),
    Column::total("helo", Kind::Text, "Its HELO or EHLO name.", |row| {
        Value::text(row.stored.envelope.helo.as_deref())
    }),
    Column::total("is_esmtp", Kind::Flag, "True if it said EHLO.", |row| {
        Value::Flag(row.stored.envelope.is_esmtp)
    }),
    Column::total("tls_version", Kind::Text, "Null without TLS.", |row| {
        Value::text(row.stored.envelope.tls.as_ref().map(|tls| tls.version.as_str()))
    }),
    Column::total("tls_cipher", Kind::Text, "The cipher suite's standard name.", |row| {
        Value::text(row.stored.envelope.tls.as_ref().map(|tls| tls.cipher.as_str()))
    }),
    Column::total("tls_server_name", Kind::Text, "The name that the client asked for.", |row| {
        Value::text(row.stored.envelope.tls.as_ref().and_then(|tls| tls.server_name.as_deref()))
    }),
    Column::total("mail_from", Kind::Text, "The reverse-path; `<>` is the null one.", |row| {
        row.stored
            .envelope
            .mail_from
            .as_ref()
            .map_or(Value::Unknown, |from| Value::Text(Cow::Owned(from.to_string())))
    }),
    Column::total("rcpt_to", Kind::List, "The accepted recipients.", |row| {
        Value::List(row.stored.envelope.rcpt_to.iter().map(|to| Cow::Owned(to.to_string())).collect())
    }),
    Column::total("message_id", Kind::Text, "The Message-ID field.", |row| {
        Value::text(row.stored.message_id.as_deref())
    }),
    Column::total("subject", Kind::Text, "The Subject field, decoded.", |row| {
        Value::text(row.stored.subject.as_deref())
    }),
    Column::total("header_from", Kind::Text, "The address in the From field.", |row| {
        Value::text(row.stored.header_from.as_deref())
    }),
    Column::total("trust", Kind::Text, "How far its reports can be believed.", |row| {
        Value::text(row.stored.trust.map(Trust::as_str))
    }),
    Column::total(
        "verification",
        Kind::Text,
        "`waiting`, `open` (DNS did not answer, it is tried again) or `done`; null for what is not verified, as imported files.",
        |row| Value::text(row.verification.as_ref().map(|found| found.state.as_str())),
    ),
    Column::total("verified_at", Kind::Instant, "When it was verified last.", |row| {
        Value::instant(row.verification.as_ref().and_then(|found| found.verified_at))
    }),
    Column::total("verify_again_at", Kind::Instant, "When it is tried again.", |row| {
        Value::instant(row.verification.as_ref().and_then(|found| found.next_at))
    }),
    Column::total(
        "spf",
        Kind::Text,
        "SPF of MAIL FROM, or of the HELO name where that is empty; `not-known` where nothing proves who handed it over.",
        |row| verification::word(row.verification.as_ref(), |words| Some(words.spf.as_str())),
    ),
    Column::total("spf_domain", Kind::Text, "The domain that it spoke about.", |row| {
        verification::word(row.verification.as_ref(), |words| words.spf_domain.as_deref())
    }),
    Column::total("spf_helo", Kind::Text, "SPF of the HELO name.", |row| {
        verification::word(row.verification.as_ref(), |words| Some(words.spf_helo.as_str()))
    }),
    Column::total(
        "dkim",
        Kind::Text,
        "`pass` if any signature passes, else the first one's result.",
        |row| verification::word(row.verification.as_ref(), |words| Some(words.dkim.as_str())),
    ),
    Column::total("arc", Kind::Text, "The ARC chain.", |row| {
        verification::word(row.verification.as_ref(), |words| Some(words.arc.as_str()))
    }),
    Column::total("dmarc", Kind::Text, "DMARC by RFC 9989.", |row| {
        verification::word(row.verification.as_ref(), |words| Some(words.dmarc.as_str()))
    }),
    Column::total(
        "dmarc_by_suffix",
        Kind::Text,
        "DMARC by the public suffix list, where that differs.",
        |row| verification::word(row.verification.as_ref(), |words| words.dmarc_by_suffix.as_deref()),
    ),
    Column::total("dmarc_policy", Kind::Text, "What is to be done with it if DMARC fails.", |row| {
        verification::word(row.verification.as_ref(), |words| words.policy.as_deref())
    }),
    Column::total("iprev", Kind::Text, "Reverse DNS of the client.", |row| {
        verification::word(row.verification.as_ref(), |words| words.reverse.as_deref())
    }),
    Column::total("from_tricks", Kind::List, "What is odd about its From field.", |row| {
        let words = row.verification.as_ref().and_then(|found| found.words.as_ref());
        words.map_or(Value::Unknown, |words| Value::list(&words.tricks))
    }),
    Column::total("sender", Kind::Text, "The domain that authenticated, on which the trust rests.", |row| {
        Value::text(row.verification.as_ref().and_then(|found| found.sender.as_deref()))
    }),
    Column::total("trust_reason", Kind::Text, "Why its reports can be believed or not.", |row| {
        Value::text(row.verification.as_ref().and_then(|found| found.trust_reason.as_deref()))
    }),
    Column::total(
        "evidence",
        Kind::Objects("method, subject, result, reason, facts"),
        "What the results rest on.",
        |row| {
            let lines = row.verification.as_ref().map(|found| found.lines.as_slice()).unwrap_or_default();
            Value::Objects(lines.iter().map(verification::object).collect())
        },
    ),
    Column::total("size_bytes", Kind::Count("bytes"), "As received.", |row| {
        Value::Count(row.stored.size_bytes)
    }),
    Column::total("sha256", Kind::Text, "Of the bytes as received, hexadecimal.", |row| {
        Value::Text(Cow::Owned(data_encoding::HEXLOWER.encode(&row.stored.sha256)))
    }),
    Column::total("parser_version", Kind::Count("version"), "Of the reader that read it last.", |row| {
        Value::count(row.stored.parser_version.map(u64::from))
    }),
    Column::total("read_at", Kind::Instant, "When it was read last.", |row| {
        Value::instant(row.stored.read_at)
    }),
    Column::total(
        "headers",
        Kind::Objects("name, value"),
        "Its header fields in order, names in lower case; empty where its bytes are gone.",
        |row| {
            let object = |(name, value): &(String, String)| Object {
                text: format!("{name}: {value}"),
                fields: vec![
                    ("name", Value::Text(Cow::Owned(name.clone()))),
                    ("value", Value::Text(Cow::Owned(value.clone()))),
                ],
            };
            Value::Objects(row.fields.iter().map(object).collect())
        },
    ),
    Column::total("text", Kind::Text, "Its text for people, cut after 64 KiB; null without any.", |row| {
        Value::text(row.text.as_deref())
    }),
];

/// One fact for a table.
struct Fact {
    name: &'static str,
    value: String,
}

/// The columns of the facts in a table.
static FACT_COLUMNS: &[Column<Fact>] = &[
    Column::new("fact", "fact", Kind::Text, Show::Whole, "What.", |row| Value::Text(Cow::Borrowed(row.name))),
    Column::new("value", "value", Kind::Text, Show::Cut(20), "Its value.", |row| {
        Value::Text(Cow::Borrowed(&row.value))
    }),
];

/// Runs the command.
pub fn run(context: &Context, command: &MessagesCommand, out: &mut dyn Write) -> Result<Exit, Failure> {
    match command {
        MessagesCommand::Show(arguments) => show(context, arguments, out),
    }
}

/// Shows one mail.
fn show(context: &Context, arguments: &MessageShowArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let hint = "`mailsonde report messages` shows the ids";
    let id = MessageId::parse(arguments.id.trim())
        .ok_or_else(|| Failure::usage(format!("no id of a mail: {:?}", arguments.id), hint))?;
    let reader = context.open_reader()?;
    let stored = match reader.message(id) {
        Err(StoreError::NotFound(_)) => {
            return Err(Failure::run(format!("no mail {id} in the store")).hint(hint));
        }
        other => other?,
    };
    let is_in_full = arguments.raw || arguments.text || arguments.headers || arguments.part.is_some();
    let is_closed = stored.kind == Some(MessageKind::Failure) && !arguments.reveal;
    if is_closed && is_in_full {
        return Err(Failure::usage(
            "a failure report quotes somebody's mail",
            "add --reveal to see it all the same; it is written down that you did",
        ));
    }
    if arguments.reveal {
        // Nothing is shown that was not written down.
        let (_, store) = context.open_store()?;
        store.audit("reveal", &reveal::user(), &format!("messages show {id}"))?;
        store.close();
    }
    let is_terminal = io::stdout().is_terminal();
    if arguments.raw {
        raw(&reader, id, is_terminal, out)?;
        return Ok(Exit::Fine);
    }
    let bytes = match bytes_of(&reader, &stored) {
        Err(failure) if is_in_full => return Err(failure),
        other => other.ok(),
    };
    let is_mail = stored.file_name.is_none();
    let message = bytes.as_deref().filter(|_| is_mail).map(Message::parse);
    if let Some(number) = arguments.part {
        part(bytes.as_deref().unwrap_or_default(), message.as_ref(), number, is_terminal, out)?;
        return Ok(Exit::Fine);
    }
    if arguments.headers {
        let Some(message) = &message else {
            return Err(Failure::run(format!("{id} is a file and no mail: it has no header")));
        };
        for (name, value) in message.header.fields() {
            writeln!(out, "{}: {}", escape::terminal(name), escape::terminal(value))?;
        }
        out.flush()?;
        return Ok(Exit::Fine);
    }
    if arguments.text {
        let text = message.as_ref().and_then(|message| text_of(message, limits::TOKEN_SEARCH_BYTES));
        let text = text.ok_or_else(|| {
            Failure::run(format!("{id} has no text for people"))
                .hint("--part N writes a part of it, --raw all of it")
        })?;
        write_text(&text, out)?;
        out.flush()?;
        return Ok(Exit::Fine);
    }
    let parts = match (&message, &bytes) {
        (Some(message), _) => rows_of(message),
        (None, Some(bytes)) => vec![file_row(&stored, bytes.len())],
        (None, None) => Vec::new(),
    };
    let open = message.as_ref().filter(|_| !is_closed);
    let shown = Shown {
        unreadable: reader.unreadable(id)?,
        verification: reader.verification(id)?,
        fields: open.map(|message| own_fields(message)).unwrap_or_default(),
        text: open.and_then(|message| text_of(message, limits::SHOWN_TEXT_BYTES)),
        stored,
    };
    let mut notes = Vec::new();
    if bytes.is_none() {
        notes.push("its bytes are no longer kept ([retention])".to_owned());
    }
    if is_closed {
        notes.push("it quotes somebody's mail: --reveal shows header and text".to_owned());
    }
    print(context, &shown, &parts, notes, out)?;
    Ok(Exit::Fine)
}

/// Prints facts, parts and text.
fn print(
    context: &Context,
    shown: &Shown,
    parts: &[PartRow],
    notes: Vec<String>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let zone = TimeZone::UTC;
    let head = |title| Head { view: "message", title, is_timeless: true, ..Head::default() };
    if context.output.format != Format::Table {
        let mut sheet = Sheet::of_rows(head("Mail"), PARTS, parts).with_totals(FACTS, shown);
        sheet.notes = notes;
        context.output.print(&sheet, &zone, out)?;
        return Ok(());
    }
    let facts: Vec<Fact> = FACTS
        .iter()
        .filter(|fact| !matches!(fact.spec.name, "headers" | "text" | "evidence"))
        .map(|fact| Fact { name: fact.spec.name, value: (fact.get)(shown).for_eyes(&zone).into_owned() })
        .collect();
    context.output.print(&Sheet::of_rows(head("Mail"), FACT_COLUMNS, &facts), &zone, out)?;
    writeln!(out)?;
    if let Some(found) = shown.verification.as_ref().filter(|found| !found.lines.is_empty()) {
        let sheet = Sheet::of_rows(head("Verification"), verification::EVIDENCE, &found.lines);
        context.output.print(&sheet, &zone, out)?;
        writeln!(out)?;
    }
    let mut sheet = Sheet::of_rows(head("Parts"), PARTS, parts);
    sheet.notes = notes;
    context.output.print(&sheet, &zone, out)?;
    if let Some(text) = &shown.text {
        writeln!(out)?;
        write_text(text, out)?;
    }
    out.flush()?;
    Ok(())
}

// ---- Bytes ----

/// Writes the bytes as received.
fn raw(reader: &Reader, id: MessageId, is_terminal: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let mut raw = reader.raw(id).map_err(gone)?;
    if !is_terminal {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = raw.read(&mut buffer).map_err(|error| Failure::run(format!("{id}: {error}")))?;
            if read == 0 {
                break;
            }
            out.write_all(buffer.get(..read).unwrap_or_default())?;
        }
        out.flush()?;
        return Ok(());
    }
    let mut bytes = Vec::new();
    let mut raw = raw.take(limits::IMPORT_FILE_BYTES);
    raw.read_to_end(&mut bytes).map_err(|error| Failure::run(format!("{id}: {error}")))?;
    write_bytes(&bytes, is_terminal, out)
}

/// Writes one part, decoded.
fn part(
    bytes: &[u8],
    message: Option<&Message<'_>>,
    number: usize,
    is_terminal: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Some(message) = message else {
        if number == 1 {
            return write_bytes(bytes, is_terminal, out);
        }
        return Err(Failure::usage(format!("--part {number}: it is one file"), "write --part 1"));
    };
    match number.checked_sub(1).and_then(|at| message.parts.get(at)) {
        Some(part) => write_bytes(&part.decode().0, is_terminal, out),
        None => Err(Failure::usage(
            format!("--part {number}: it has {} parts", message.parts.len()),
            "without options `messages show` lists them",
        )),
    }
}

/// Writes bytes: as they are into a pipe or file, escaped on a terminal.
fn write_bytes(bytes: &[u8], is_terminal: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if is_terminal {
        write_text(&String::from_utf8_lossy(bytes), out)?;
    } else {
        out.write_all(bytes)?;
    }
    out.flush()?;
    Ok(())
}

/// Writes a text line by line, each made harmless.
fn write_text(text: &str, out: &mut dyn Write) -> io::Result<()> {
    for line in text.lines() {
        let line = line.trim_end_matches('\r').replace('\t', "    ");
        writeln!(out, "{}", escape::terminal(&line))?;
    }
    Ok(())
}

/// The bytes of a mail in memory.
fn bytes_of(reader: &Reader, stored: &StoredMessage) -> Result<Vec<u8>, Failure> {
    let mut raw = reader.raw(stored.id).map_err(gone)?.take(limits::IMPORT_FILE_BYTES);
    let mut bytes = Vec::new();
    raw.read_to_end(&mut bytes).map_err(|error| Failure::run(format!("{}: {error}", stored.id)))?;
    Ok(bytes)
}

/// Says that the bytes are gone where they are.
fn gone(error: StoreError) -> Failure {
    match error {
        StoreError::NotFound(what) => Failure::run(format!("{what} are no longer kept"))
            .hint("[retention] says for how long; docs/configuration.md"),
        other => other.into(),
    }
}

// ---- What is shown of a mail ----

/// The header fields of the mail itself.
fn own_fields(message: &Message<'_>) -> Vec<(String, String)> {
    message.header.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The parts.
fn rows_of(message: &Message<'_>) -> Vec<PartRow> {
    let row = |(number, part): (u64, &crate::mail::message::Part<'_>)| PartRow {
        number,
        content_type: part.content_type.clone(),
        file_name: part.file_name.clone(),
        size_bytes: u64::try_from(part.decode().0.len()).unwrap_or(u64::MAX),
        standing: match part.standing {
            Standing::Top => "message",
            Standing::Nested => "attached",
            Standing::Quoted => "quoted",
        },
        is_attachment: part.is_attachment,
    };
    (1..).zip(&message.parts).map(row).collect()
}

/// An imported file as its only part.
fn file_row(stored: &StoredMessage, len: usize) -> PartRow {
    PartRow {
        number: 1,
        content_type: String::new(),
        file_name: stored.file_name.clone().unwrap_or_default(),
        size_bytes: u64::try_from(len).unwrap_or(u64::MAX),
        standing: "message",
        is_attachment: false,
    }
}

/// The text for people: the plain parts of the message itself, else the HTML ones without their markup.
fn text_of(message: &Message<'_>, limit: usize) -> Option<String> {
    let bodies = || message.parts.iter().filter(|part| part.standing == Standing::Top && part.is_body());
    let mut text = String::new();
    let mut add = |more: &str| {
        let room = limit.saturating_sub(text.len());
        let mut end = more.len().min(room);
        while !more.is_char_boundary(end) {
            end -= 1;
        }
        text.push_str(more.get(..end).unwrap_or_default());
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
    };
    let is_html = |content_type: &str| content_type == "text/html";
    let has_plain = bodies().any(|part| !is_html(&part.content_type));
    for part in bodies().filter(|part| !has_plain || !is_html(&part.content_type)) {
        let content = part.text(limit);
        if is_html(&part.content_type) { add(&without_markup(&content)) } else { add(&content) }
    }
    (!text.trim().is_empty()).then_some(text)
}

/// HTML as plain text: no markup, no scripts or styles, the usual entities. One pass, for reading only.
fn without_markup(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        push_words(&mut out, rest.get(..at).unwrap_or_default());
        rest = rest.get(at..).unwrap_or_default();
        let end = if rest.starts_with("<!--") {
            rest.find("-->").map(|end| end + 3)
        } else {
            rest.find('>').map(|end| end + 1)
        };
        let Some(end) = end else { return out };
        let name = tag_name(rest);
        rest = rest.get(end..).unwrap_or_default();
        if matches!(name.as_str(), "script" | "style") {
            // What stands in them is for programs.
            let close = format!("</{name}");
            match find_ignoring_case(rest, &close) {
                Some(at) => rest = rest.get(at..).unwrap_or_default(),
                None => return out,
            }
        }
        let breaks = ["br", "p", "div", "tr", "li", "h1", "h2", "h3", "table", "/p", "/div", "/table"];
        if breaks.contains(&name.as_str()) && !out.is_empty() && !out.ends_with("\n\n") {
            out.push('\n');
        }
    }
    push_words(&mut out, rest);
    out
}

/// The name of the tag at the start, in lower case, with `/` if it closes.
fn tag_name(tag: &str) -> String {
    let inner = tag.trim_start_matches('<');
    let name = inner.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').take(12);
    name.collect::<String>().to_ascii_lowercase()
}

/// Where an ASCII text stands, in any case.
fn find_ignoring_case(text: &str, wanted: &str) -> Option<usize> {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    text.windows(wanted.len().max(1)).position(|window| window.eq_ignore_ascii_case(wanted))
}

/// Appends words with single blanks between them, entities undone.
fn push_words(out: &mut String, text: &str) {
    let text = text.replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&");
    for word in text.split_whitespace() {
        if !out.is_empty() && !out.ends_with(['\n', ' ']) {
            out.push(' ');
        }
        out.push_str(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_text() {
        let cases = [
            ("<p>Hello <b>world</b></p><p>again</p>", "Hello world\n\nagain"),
            ("a<br>b", "a\nb"),
            ("<style>p { color: red }</style>x<script>alert('<p>')</script>y", "x y"),
            ("<!-- <p>hidden</p> -->shown", "shown"),
            ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
            ("cut <a href=", "cut"),
            ("cut <script>for ever", "cut"),
            ("", ""),
        ];
        for (html, want) in cases {
            assert_eq!(without_markup(html).trim(), want, "{html}");
        }
    }

    #[test]
    fn the_text_of_a_mail() {
        let mail = b"Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nplain \x1b[31m\n\
            --b\nContent-Type: text/html\n\n<p>markup</p>\n--b--\n";
        let message = Message::parse(mail);
        assert_eq!(text_of(&message, 100).as_deref(), Some("plain \u{1b}[31m\n"));
        assert_eq!(text_of(&message, 3).as_deref(), Some("pla\n"));
        let mut out = Vec::new();
        write_text(&text_of(&message, 100).unwrap(), &mut out).unwrap();
        assert_eq!(out, b"plain \\x1b[31m\n");
        let html = Message::parse(b"Content-Type: text/html\n\n<p>only</p>");
        assert_eq!(text_of(&html, 100).unwrap().trim(), "only");
        assert_eq!(text_of(&Message::parse(b"A: b\n\n"), 100), None);
        assert_eq!(rows_of(&message).len(), 2);
    }
}
