//! CSV: one flat row a record, names in the first line. Standard: RFC 4180.

use std::io::{self, Write};

use crate::render::escape;
use crate::render::sheet::Sheet;

/// Writes the names and the rows; lines end with LF. Lists are joined by a blank, objects by `; `.
///
/// No cell is a formula to a spreadsheet (see [`escape::spreadsheet`]). Errors: those of the writer.
pub fn write(sheet: &Sheet<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().from_writer(out);
    writer.write_record(sheet.columns.iter().map(|column| column.name)).map_err(to_io)?;
    for row in sheet.rows() {
        for value in &row {
            writer.write_field(escape::spreadsheet(&value.plain()).as_bytes()).map_err(to_io)?;
        }
        writer.write_record(None::<&[u8]>).map_err(to_io)?;
    }
    writer.flush()
}

/// The error of the writer behind the CSV writer, with its kind: a closed pipe must be known as one.
fn to_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
