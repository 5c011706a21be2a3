//! `--reveal`: the full text of failure reports, read again from the stored mails, and written down.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use crate::classify::{self, Found, MailContext};
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::report::Question;
use crate::clock::Timestamp;
use crate::mail::MessageId;
use crate::reports::failure::ShownFailure;
use crate::store::{Reader, StoreError};
use crate::summary::FailureRow;

/// Puts the full text into rows, after the use was written down. Rows whose mails are gone stay as they are.
///
/// Errors: those of the store; nothing is shown that was not written down.
pub(super) fn persons(
    context: &Context,
    reader: &Reader,
    question: &Question,
    rows: &mut [FailureRow],
) -> Result<(), Failure> {
    let (_, store) = context.open_store()?;
    let head = &question.head;
    let or_all = |text: Option<String>| text.unwrap_or_else(|| "all".to_owned());
    let detail = format!(
        "report failures: {} rows; domain {}, since {}, until {}",
        rows.len(),
        or_all(head.domain.clone()),
        or_all(head.since.map(Timestamp::rfc3339)),
        or_all(head.until.map(Timestamp::rfc3339)),
    );
    store.audit("reveal", &user(), &detail)?;
    let mut last: Option<(String, Vec<ShownFailure>)> = None;
    for row in rows {
        if last.as_ref().is_none_or(|(id, _)| *id != row.id) {
            last = Some((row.id.clone(), read_again(reader, &row.id)?));
        }
        let shown = last.as_ref().map(|(_, reports)| reports.as_slice()).unwrap_or_default();
        if let Some(shown) = usize::try_from(row.seq).ok().and_then(|at| shown.get(at)) {
            row.shown = shown.clone();
        }
    }
    Ok(())
}

/// The feedback reports of a stored message with their full text; none if its bytes are gone.
fn read_again(reader: &Reader, id: &str) -> Result<Vec<ShownFailure>, Failure> {
    let Some(id) = MessageId::parse(id) else { return Ok(Vec::new()) };
    let stored = reader.message(id)?;
    let mut bytes = Vec::new();
    match reader.raw(id) {
        Ok(mut raw) => {
            raw.read_to_end(&mut bytes).map_err(|error| StoreError::Io(error.to_string()))?;
        }
        Err(StoreError::NotFound(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    }
    let mut reports: Vec<ShownFailure> = Vec::new();
    let mut take = |found: Found<'_>| {
        if let Found::Failure { report, .. } = found {
            reports.push(report.revealed());
        }
    };
    match &stored.file_name {
        Some(name) => {
            classify::read_file(name, &bytes, stored.envelope.received_at, &mut take);
        }
        None => {
            let (envelope, purposes) = (&stored.envelope, stored.purposes.as_slice());
            classify::read_mail(
                &bytes,
                &MailContext { envelope, purposes, has_probe_token: false },
                &mut take,
            );
        }
    }
    Ok(reports)
}

/// Who runs this program: the number of the user, and the name that the session gives.
pub(in crate::cli) fn user() -> String {
    let number = std::fs::metadata("/proc/self").map_or_else(|_| "?".to_owned(), |own| own.uid().to_string());
    let name = ["SUDO_USER", "LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
    name.map_or_else(|| format!("uid {number}"), |name| format!("uid {number} ({name})"))
}
