//! The files of the business profile: a small picture and a small document, both made by the token.
//!
//! Standards: ISO/IEC 15948 (PNG), RFC 1950 and RFC 1951 (what its pixels are packed in, here not compressed),
//! ISO 32000-1 (PDF 1.4).

// Writing to a string cannot fail: the results are dropped.
use std::fmt::Write as _;

use super::sentences::{Choices, wrapped};
use crate::probe::token::Token;

// ---- Picture ----

/// Squares of a side of the picture.
const SQUARES: usize = 6;
/// Points of a side of a square.
const POINTS: usize = 8;

/// A PNG of 48 by 48 points: squares in a color of the token, the left half mirrored.
pub(super) fn picture(token: &Token) -> Vec<u8> {
    let side = SQUARES * POINTS;
    let mut choices = Choices::new(token, "picture");
    // Not too light, so that the picture shows on white.
    let color = [choices.byte() / 2, choices.byte() / 2, choices.byte() / 2];
    let half = SQUARES / 2;
    let squares: Vec<bool> = (0..SQUARES * half).map(|_| choices.byte().is_multiple_of(2)).collect();
    let mut pixels = Vec::with_capacity(side * (1 + side * 3));
    for y in 0..side {
        // Filter type 0 before each line.
        pixels.push(0);
        for x in 0..side {
            let column = x / POINTS;
            let column = if column < half { column } else { SQUARES - 1 - column };
            let is_set = squares.get(y / POINTS * half + column).copied().unwrap_or_default();
            pixels.extend_from_slice(if is_set { &color } else { &[255, 255, 255] });
        }
    }
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let side = u32::try_from(side).unwrap_or_default().to_be_bytes();
    // 8 bits a channel, red green blue, no interlacing.
    chunk(&mut png, *b"IHDR", &[side.as_slice(), &side, &[8, 2, 0, 0, 0]].concat());
    chunk(&mut png, *b"IDAT", &stored(&pixels));
    chunk(&mut png, *b"IEND", &[]);
    png
}

/// One chunk: length, name, data, check.
fn chunk(png: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    png.extend_from_slice(&u32::try_from(data.len()).unwrap_or_default().to_be_bytes());
    let checked = [name.as_slice(), data].concat();
    png.extend_from_slice(&checked);
    png.extend_from_slice(&crc32(&checked).to_be_bytes());
}

/// A zlib stream of blocks that are not compressed (RFC 1951 §3.2.4).
fn stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks = data.chunks(usize::from(u16::MAX));
    let last = blocks.len().saturating_sub(1);
    for (at, block) in blocks.enumerate() {
        let length = u16::try_from(block.len()).unwrap_or_default();
        stream.push(u8::from(at == last));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    stream.extend_from_slice(&adler32(data).to_be_bytes());
    stream
}

/// The check of a chunk: CRC-32, reflected, as in PNG's annex D.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// The check of a zlib stream (RFC 1950 §8.2).
fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1u32, 0u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    (high << 16) | low
}

// ---- Document ----

/// A PDF of one page with these lines, each cut to what fits on it.
pub(super) fn document(lines: &[&str]) -> Vec<u8> {
    let mut text = String::from("BT /F1 11 Tf 15 TL 60 780 Td\n");
    for line in lines.iter().flat_map(|line| wrapped(line)).take(40) {
        let _ = writeln!(text, "({}) Tj T*", escaped(&line));
    }
    text.push_str("ET\n");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R \
         /Resources << /Font << /F1 4 0 R >> >> >>"
            .to_owned(),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{text}endstream", text.len()),
    ];
    let mut pdf = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        offsets.push(pdf.len());
        let _ = write!(pdf, "{} 0 obj\n{object}\nendobj\n", at + 1);
    }
    let table_at = pdf.len();
    let count = offsets.len() + 1;
    let _ = write!(pdf, "xref\n0 {count}\n0000000000 65535 f \n");
    for offset in offsets {
        // Each entry has 20 bytes, with a blank before its line end (ISO 32000-1, 7.5.4).
        let _ = writeln!(pdf, "{offset:010} 00000 n ");
    }
    let _ = write!(pdf, "trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{table_at}\n%%EOF\n");
    pdf.into_bytes()
}

/// A text as a literal string of PDF: ASCII, with its three special characters escaped.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(c, '(' | ')' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

// ---- Attachment ----

/// Bytes that anyone with the token can make again, and that no compression makes smaller.
pub(super) fn noise(token: &Token, size: usize) -> Vec<u8> {
    const HASH_BYTES: usize = ring::digest::SHA256_OUTPUT_LEN;
    let mut content = Vec::with_capacity(size + HASH_BYTES);
    let clear = token.clear_bytes();
    let mut block = 0u64;
    while content.len() < size {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(b"mailsonde attachment");
        context.update(&clear);
        context.update(&block.to_be_bytes());
        content.extend_from_slice(context.finish().as_ref());
        block += 1;
    }
    content.truncate(size);
    content
}
