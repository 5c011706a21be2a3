//! Gzip and zlib streams inflated within a budget that is kept while reading.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::limits;
use crate::reports::{Unreadable, UnreadableKind, quirk};

/// What one mail or file may cost: bytes out, ratio, entries. Shared by all its attachments and layers.
#[derive(Debug, Default)]
pub struct Budget {
    /// Bytes of the packed attachments looked into so far.
    packed: Cell<u64>,
    /// Bytes unpacked from all attachments and layers.
    unpacked: Cell<u64>,
    /// Archive entries looked at.
    entries: Cell<usize>,
    /// Deviations of the packing, by name.
    notes: RefCell<Vec<&'static str>>,
}

impl Budget {
    /// A budget that knows of packed bytes already.
    pub(super) fn of_packed(packed: u64) -> Self {
        let budget = Self::default();
        budget.packed.set(packed);
        budget
    }

    /// Packed bytes looked into so far.
    pub(super) fn packed(&self) -> u64 {
        self.packed.get()
    }

    /// Adds an attachment of `bytes` to what may be unpacked from.
    pub(super) fn add_packed(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.packed.set(self.packed.get().saturating_add(bytes));
    }

    /// Takes unpacked bytes from the budget.
    ///
    /// Errors: `TooLarge` once the sum or the ratio is over its cap.
    pub(super) fn take(&self, bytes: usize) -> Result<(), Unreadable> {
        let unpacked = self.unpacked.get().saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.unpacked.set(unpacked);
        let too_large = |reason: String| Err(Unreadable::new(UnreadableKind::TooLarge, reason));
        if unpacked > limits::UNPACKED_BYTES {
            return too_large(format!("too large when unpacked: over {} bytes", limits::UNPACKED_BYTES));
        }
        let is_dense = unpacked > self.packed.get().saturating_mul(limits::UNPACKED_RATIO);
        if is_dense && unpacked > limits::UNPACKED_RATIO_FROM_BYTES {
            return too_large(format!(
                "too large when unpacked: over the limit of {} times its packed size",
                limits::UNPACKED_RATIO
            ));
        }
        Ok(())
    }

    /// Takes one archive entry from the budget.
    pub(super) fn take_entry(&self) -> Result<(), Unreadable> {
        self.entries.set(self.entries.get() + 1);
        if self.entries.get() > limits::ARCHIVE_ENTRIES {
            let reason = format!("too large: over {} archive entries", limits::ARCHIVE_ENTRIES);
            return Err(Unreadable::new(UnreadableKind::TooLarge, reason));
        }
        Ok(())
    }

    /// Remembers a deviation of the packing for whoever reads the document in it.
    pub(super) fn note(&self, name: &'static str) {
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&name) {
            notes.push(name);
        }
    }

    /// Gives the deviations since the last call.
    pub(super) fn take_notes(&self) -> Vec<&'static str> {
        self.notes.take()
    }
}

/// The wrapping around deflate data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 1950.
    Zlib,
}

/// Where in a stream we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Body,
    Trailer,
    End,
}

/// A reader that inflates `input`.
///
/// Bytes after the last gzip member and a cut trailer are noted; a stream that ends before its last
/// deflate block, a wrong checksum and damaged data are errors that carry an [`Unreadable`].
pub(super) struct Inflate<'a, R> {
    input: R,
    deflate: Decompress,
    wrapping: Wrapping,
    state: State,
    members: u64,
    crc: Crc,
    budget: &'a Budget,
}

impl<'a, R: BufRead> Inflate<'a, R> {
    pub(super) fn new(input: R, wrapping: Wrapping, budget: &'a Budget) -> Self {
        let (state, deflate) = match wrapping {
            Wrapping::Gzip => (State::Header, Decompress::new(false)),
            Wrapping::Zlib => (State::Body, Decompress::new(true)),
        };
        Self { input, deflate, wrapping, state, members: 0, crc: Crc::new(), budget }
    }

    /// Reads the header of the next gzip member (RFC 1952 §2.3).
    fn read_header(&mut self) -> io::Result<()> {
        let Some(first) = self.byte()? else { return self.no_member(false) };
        let Some(second) = self.byte()? else { return self.no_member(true) };
        if [first, second] != [0x1f, 0x8b] {
            return self.no_member(true);
        }
        let mut fixed = [0u8; 8];
        for byte in &mut fixed {
            *byte = self.must_byte()?;
        }
        let [method, flags, ..] = fixed;
        if method != 8 {
            return Err(refuse(
                UnreadableKind::Unsupported,
                format!("gzip with compression method {method}"),
            ));
        }
        if flags & 4 != 0 {
            let length = u16::from_le_bytes([self.must_byte()?, self.must_byte()?]);
            for _ in 0..length {
                self.must_byte()?;
            }
        }
        for flag in [8, 16] {
            if flags & flag != 0 {
                while self.must_byte()? != 0 {}
            }
        }
        if flags & 2 != 0 {
            self.must_byte()?;
            self.must_byte()?;
        }
        self.deflate.reset(false);
        self.crc.reset();
        self.state = State::Body;
        Ok(())
    }

    /// Ends the stream where no member follows.
    fn no_member(&mut self, has_bytes: bool) -> io::Result<()> {
        if self.members == 0 {
            return Err(truncated());
        }
        if has_bytes {
            self.budget.note(quirk::GZIP_TRAILING_BYTES);
        }
        self.state = State::End;
        Ok(())
    }

    /// Reads the trailer of a gzip member: CRC-32 and length (RFC 1952 §2.3.1).
    fn read_trailer(&mut self) -> io::Result<()> {
        let mut trailer = [0u8; 8];
        for byte in &mut trailer {
            match self.byte()? {
                Some(value) => *byte = value,
                None => {
                    // The data is whole: only its checksum is lost.
                    self.budget.note(quirk::GZIP_TRAILER_MISSING);
                    self.state = State::End;
                    return Ok(());
                }
            }
        }
        let trailer = u64::from_le_bytes(trailer);
        let (checksum, length) = (trailer & u64::from(u32::MAX), trailer >> 32);
        if checksum != u64::from(self.crc.sum()) {
            return Err(refuse(
                UnreadableKind::Corrupt,
                "gzip checksum (CRC-32) is wrong: the data is corrupt",
            ));
        }
        if length != u64::from(self.crc.amount()) {
            return Err(refuse(
                UnreadableKind::Corrupt,
                "gzip length (CRC trailer) is wrong: the data is corrupt",
            ));
        }
        self.members += 1;
        self.state = State::Header;
        Ok(())
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.input.fill_buf()?.first().copied();
        if byte.is_some() {
            self.input.consume(1);
        }
        Ok(byte)
    }

    fn must_byte(&mut self) -> io::Result<u8> {
        self.byte()?.ok_or_else(truncated)
    }

    /// Inflates into `room` until something comes out or the deflate data ends.
    fn read_body(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            let packed = self.input.fill_buf()?;
            let is_end = packed.is_empty();
            let (before_in, before_out) = (self.deflate.total_in(), self.deflate.total_out());
            let status = self.deflate.decompress(packed, room, FlushDecompress::None).map_err(|_| {
                refuse(UnreadableKind::Corrupt, "the compressed (gzip or zlib) data is corrupt")
            })?;
            let used = usize::try_from(self.deflate.total_in() - before_in).unwrap_or_default();
            let produced = usize::try_from(self.deflate.total_out() - before_out).unwrap_or_default();
            self.input.consume(used);
            if produced > 0 {
                self.budget.take(produced).map_err(io::Error::other)?;
                if self.wrapping == Wrapping::Gzip {
                    self.crc.update(room.get(..produced).unwrap_or_default());
                }
            }
            if status == Status::StreamEnd {
                self.state = if self.wrapping == Wrapping::Gzip { State::Trailer } else { State::End };
                return Ok(produced);
            }
            if produced > 0 {
                return Ok(produced);
            }
            if is_end {
                return Err(truncated());
            }
            if used == 0 {
                return Err(refuse(UnreadableKind::Corrupt, "the compressed (gzip or zlib) data is corrupt"));
            }
        }
    }
}

impl<R: BufRead> Read for Inflate<'_, R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if room.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Header => self.read_header()?,
                State::Body => {
                    let produced = self.read_body(room)?;
                    if produced > 0 {
                        return Ok(produced);
                    }
                }
                State::Trailer => self.read_trailer()?,
                State::End => return Ok(0),
            }
        }
    }
}

/// The refusal of a stream that is cut.
fn truncated() -> io::Error {
    refuse(UnreadableKind::Truncated, "the gzip or zlib stream ends early (truncated)")
}

/// An error of the stream that carries its class.
pub(super) fn refuse(kind: UnreadableKind, reason: impl Into<String>) -> io::Error {
    io::Error::other(Unreadable::new(kind, reason))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(data).unwrap();
        writer.finish().unwrap()
    }

    fn inflate(packed: &[u8], wrapping: Wrapping) -> Result<(Vec<u8>, Vec<&'static str>), Unreadable> {
        let budget = Budget::default();
        budget.add_packed(packed.len());
        let mut out = Vec::new();
        match Inflate::new(packed, wrapping, &budget).read_to_end(&mut out) {
            Ok(_) => Ok((out, budget.take_notes())),
            Err(error) => Err(error.downcast::<Unreadable>().unwrap()),
        }
    }

    #[test]
    fn whole_and_odd_streams() {
        let packed = gzip(b"hello hello");
        let mut named = packed.clone();
        named[3] = 4 | 8 | 16 | 2;
        named.splice(10..10, [2, 0, 9, 9].into_iter().chain(*b"name\0comment\0\0\0"));
        let cases: [(Vec<u8>, &[u8], &[&str]); 6] = [
            (packed.clone(), b"hello hello", &[]),
            (named, b"hello hello", &[]),
            ([packed.clone(), packed.clone()].concat(), b"hello hellohello hello", &[]),
            ([packed.clone(), b"\r\n".to_vec()].concat(), b"hello hello", &[quirk::GZIP_TRAILING_BYTES]),
            (packed[..packed.len() - 8].to_vec(), b"hello hello", &[quirk::GZIP_TRAILER_MISSING]),
            (packed[..packed.len() - 1].to_vec(), b"hello hello", &[quirk::GZIP_TRAILER_MISSING]),
        ];
        for (bytes, want, notes) in cases {
            let (out, noted) = inflate(&bytes, Wrapping::Gzip).unwrap();
            assert_eq!(out, want);
            assert_eq!(noted, notes);
        }
    }

    #[test]
    fn damage_has_a_class() {
        let packed = gzip(b"hello hello");
        for cut in 0..packed.len() - 8 {
            assert_eq!(inflate(&packed[..cut], Wrapping::Gzip).unwrap_err().kind, UnreadableKind::Truncated);
        }
        let mut bad = packed.clone();
        let at = bad.len() - 6;
        bad[at] ^= 1;
        let error = inflate(&bad, Wrapping::Gzip).unwrap_err();
        assert_eq!(error.kind, UnreadableKind::Corrupt);
        assert!(error.reason.contains("CRC"));
        assert_eq!(inflate(b"\x78\x9c\xff\xff", Wrapping::Zlib).unwrap_err().kind, UnreadableKind::Corrupt);
    }

    #[test]
    fn a_bomb_stops_at_its_ratio() {
        let packed = gzip(&vec![b' '; 64 << 20]);
        let error = inflate(&packed, Wrapping::Gzip).unwrap_err();
        assert_eq!(error.kind, UnreadableKind::TooLarge);
    }
}
