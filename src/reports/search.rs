//! Whether a text stands somewhere in a mail or file, packed or not: for erasing what names a person.

use std::io::Read;
use std::ops::ControlFlow;

use memchr::memmem::Finder;

use crate::limits;
use crate::mail::message::Message;
use crate::reports::Budget;
use crate::reports::sniff::Content;
use crate::reports::unpack::walk;

/// A text to look for, in any case of its ASCII letters.
#[derive(Debug, Clone)]
pub struct Needle {
    finder: Finder<'static>,
    bytes: usize,
}

impl Needle {
    /// Looks for `text`, which is not empty.
    pub fn new(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        Self { finder: Finder::new(lower.as_bytes()).into_owned(), bytes: lower.len() }
    }

    /// True if the bytes hold the text as they are, in 8 or 16 bits a character.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.is_in_stream(&mut &*bytes)
    }

    /// The same of a stream, which ends where it cannot be read.
    fn is_in_stream(&self, input: &mut dyn Read) -> bool {
        let mut window = Vec::with_capacity(2 * WINDOW_BYTES);
        loop {
            let kept = window.len();
            let read = input.take(WINDOW_BYTES as u64).read_to_end(&mut window);
            let is_end = window.len() == kept || read.is_err();
            // The zeros of UTF-16, and nothing that a text would miss.
            window.retain(|byte| *byte != 0);
            window.make_ascii_lowercase();
            if self.finder.find(&window).is_some() {
                return true;
            }
            if is_end {
                return false;
            }
            // What may be the beginning of the text stays.
            window.drain(..window.len().saturating_sub(self.bytes));
        }
    }
}

/// Bytes that are looked at in one go.
const WINDOW_BYTES: usize = 64 * 1024;

/// True if a file holds the text: as it is, or in what is packed in it, mails included. Linear, within the caps of
/// reading a report.
pub fn file_holds(bytes: &[u8], needle: &Needle) -> bool {
    let budget = Budget::default();
    budget.add_packed(bytes.len());
    holds(bytes, needle, &budget, 0)
}

/// True if a mail holds the text: as it came, in a part once that is decoded, or in what is packed in one.
pub fn mail_holds(bytes: &[u8], needle: &Needle) -> bool {
    in_mail(bytes, needle, &Budget::default(), 0)
}

/// See [`mail_holds`].
fn in_mail(bytes: &[u8], needle: &Needle, budget: &Budget, layers: usize) -> bool {
    if needle.is_in(bytes) {
        return true;
    }
    Message::parse(bytes).parts.iter().any(|part| {
        let (decoded, _) = part.decode();
        if layers == 0 {
            budget.add_packed(decoded.len());
        }
        holds(&decoded, needle, budget, layers)
    })
}

/// See [`file_holds`].
fn holds(bytes: &[u8], needle: &Needle, budget: &Budget, layers: usize) -> bool {
    let mut is_found = false;
    walk(bytes, "", budget, None, &mut |item| {
        // What cannot be read holds nothing that anybody could read.
        let Ok(document) = item else { return ControlFlow::Continue(()) };
        is_found = if document.content == Content::Mail && layers < limits::ARCHIVE_LAYERS {
            let mut mail = Vec::new();
            // What came before an error is looked at.
            let _ = document.input.take(limits::MESSAGE_BYTES).read_to_end(&mut mail);
            in_mail(&mail, needle, budget, layers + 1)
        } else {
            needle.is_in_stream(document.input)
        };
        if is_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    is_found
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn zip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        writer.start_file("a.xml", zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn it_is_found_wherever_it_stands() {
        let needle = Needle::new("Jane@b.example");
        let text = format!(
            "<feedback>{}<email>JANE@B.example</email></feedback>",
            " x".repeat(WINDOW_BYTES / 2 - 7)
        );
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mail = format!("From: a@b\r\nTo: c@d\r\nContent-Type: text/xml\r\n\r\n{text}\r\n");
        let packed = [
            b"From: a@b\r\nTo: c@d\r\nContent-Transfer-Encoding: binary\r\n\r\n".as_slice(),
            &gzip(text.as_bytes()),
        ]
        .concat();
        let files = [
            text.clone().into_bytes(),
            [&[0xff, 0xfe][..], &wide].concat(),
            gzip(text.as_bytes()),
            zip(text.as_bytes()),
            gzip(&zip(text.as_bytes())),
            zip(mail.as_bytes()),
            gzip(&zip(&packed)),
        ];
        for (at, file) in files.iter().enumerate() {
            assert!(file_holds(file, &needle), "{at}");
            assert!(!file_holds(file, &Needle::new("john@b.example")), "{at}");
        }
        for (at, mail) in [mail.as_bytes(), &packed].into_iter().enumerate() {
            assert!(mail_holds(mail, &needle), "{at}");
            assert!(!mail_holds(mail, &Needle::new("john@b.example")), "{at}");
        }
    }

    #[test]
    fn no_window_hides_it() {
        let needle = Needle::new("jane@b.example");
        for before in (WINDOW_BYTES - 20)..(WINDOW_BYTES + 5) {
            let text = [vec![b' '; before], b"jane@b.example".to_vec(), vec![b' '; 10]].concat();
            assert!(needle.is_in(&text), "{before}");
        }
    }
}
