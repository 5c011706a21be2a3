//! A self-contained HTML page: no script, nothing loaded from anywhere.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use crate::render::escape;
use crate::render::sheet::Sheet;

/// The style of the page; works in print and in the dark.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}\
h1{font-size:1.4rem}\
.scroll{overflow-x:auto}\
table{border-collapse:collapse;width:100%}\
th,td{padding:.3rem .6rem;text-align:left;border-bottom:1px solid #8884;vertical-align:top;\
overflow-wrap:anywhere}\
th{border-bottom:2px solid #888;white-space:nowrap}\
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
tfoot td{font-weight:600;border-top:2px solid #888}\
.note{color:#777}";

/// Writes the page. Instants stand in `zone`. Errors: those of the writer.
pub fn write(sheet: &Sheet<'_>, zone: &TimeZone, out: &mut dyn Write) -> io::Result<()> {
    let title = escape::html(sheet.head.title);
    // The page may be opened from anywhere: the policy forbids what it does not need.
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title} - Mailsonde</title>\n<style>{STYLE}</style></head>\n<body><h1>{title}</h1>"
    )?;
    for line in sheet.head_lines(zone) {
        writeln!(out, "<p>{}</p>", escape::html(&line))?;
    }
    let shown = sheet.shown_columns();
    write!(out, "<div class=\"scroll\"><table><thead><tr>")?;
    for &at in &shown {
        if let Some(column) = sheet.columns.get(at) {
            write!(out, "<th{}>{}</th>", class(column.kind.is_number()), escape::html(column.title))?;
        }
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for row in sheet.rows() {
        write!(out, "<tr>")?;
        for &at in &shown {
            let right = sheet.columns.get(at).is_some_and(|column| column.kind.is_number());
            let text = row.get(at).map(|value| value.for_eyes(zone)).unwrap_or_default();
            write!(out, "<td{}>{}</td>", class(right), escape::html(&text))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody>")?;
    if let Some(cells) = sheet.total_cells(&shown, zone) {
        write!(out, "<tfoot><tr>")?;
        for (&at, text) in shown.iter().zip(cells) {
            let right = sheet.columns.get(at).is_some_and(|column| column.kind.is_number());
            write!(out, "<td{}>{}</td>", class(right), escape::html(&text))?;
        }
        writeln!(out, "</tr></tfoot>")?;
    }
    writeln!(out, "</table></div>")?;
    for line in sheet.other_totals(&shown, zone).into_iter().chain(sheet.notes.iter().cloned()) {
        writeln!(out, "<p class=\"note\">{}</p>", escape::html(&line))?;
    }
    writeln!(out, "</body></html>")
}

/// The class attribute of a cell.
const fn class(is_number: bool) -> &'static str {
    if is_number { " class=\"n\"" } else { "" }
}
