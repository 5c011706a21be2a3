use std::io::Write;

use super::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in entries {
        let options = zip::write::SimpleFileOptions::default();
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(data).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, data) in entries {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
        header[156] = b'0';
        header[257..263].copy_from_slice(b"ustar\0");
        out.extend(header);
        out.extend(*data);
        out.extend(vec![0; (512 - data.len() % 512) % 512]);
    }
    out.extend([0; 1024]);
    out
}

/// Places and contents of all documents, and the refusals.
fn all(bytes: &[u8]) -> (Vec<(String, String)>, Vec<Unreadable>) {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    walk(bytes, "a", &Budget::default(), None, &mut |item| {
        match item {
            Ok(document) => {
                let mut text = Vec::new();
                match document.input.read_to_end(&mut text) {
                    Ok(_) => {
                        found.push((document.place.to_owned(), String::from_utf8_lossy(&text).into_owned()));
                    }
                    Err(error) => refused.push(Unreadable::from_io(error)),
                }
            }
            Err(error) => refused.push(error),
        }
        ControlFlow::Continue(())
    });
    (found, refused)
}

#[test]
fn every_wrapping() {
    let xml: &[u8] = b"<a/>";
    let two: [(&str, &[u8]); 2] = [("x.xml", xml), ("x2.xml", b"<b/>")];
    type Places<'a> = Vec<(&'a str, &'a str)>;
    let cases: Vec<(Vec<u8>, Places<'_>)> = vec![
        (xml.to_vec(), vec![("a", "<a/>")]),
        (gzip(xml), vec![("a", "<a/>")]),
        (gzip(&gzip(&gzip(xml))), vec![("a", "<a/>")]),
        (zip(&two), vec![("a/x.xml", "<a/>"), ("a/x2.xml", "<b/>")]),
        (zip(&[("d/", b""), ("d/x", xml), ("__MACOSX/d/._x", b"\0\x05")]), vec![("a/d/x", "<a/>")]),
        (gzip(&zip(&two)), vec![("a/x.xml", "<a/>"), ("a/x2.xml", "<b/>")]),
        (zip(&[("y.gz", &gzip(xml))]), vec![("a/y.gz", "<a/>")]),
        (tar(&two), vec![("a/x.xml", "<a/>"), ("a/x2.xml", "<b/>")]),
        (gzip(&tar(&two)), vec![("a/x.xml", "<a/>"), ("a/x2.xml", "<b/>")]),
        (gzip(&tar(&[("y.gz", &gzip(xml))])), vec![("a/y.gz", "<a/>")]),
    ];
    for (bytes, want) in cases {
        let (found, refused) = all(&bytes);
        let found: Vec<_> = found.iter().map(|(place, text)| (place.as_str(), text.as_str())).collect();
        assert_eq!(found, want);
        assert_eq!(refused, []);
    }
}

#[test]
fn refusals_have_a_class() {
    let packed = zip(&[("x.xml", b"<a>some text</a>")]);
    let mut corrupt = packed.clone();
    // The first byte of the entry's data stands after its local header of 30 bytes and its name.
    let at = 30 + "x.xml".len() + 2;
    corrupt[at] ^= 0x20;
    let cases = [
        (gzip(&gzip(&gzip(&gzip(b"<a/>")))), UnreadableKind::TooLarge),
        (gzip(b"<a/>")[..12].to_vec(), UnreadableKind::Truncated),
        (packed[..packed.len() - 30].to_vec(), UnreadableKind::Truncated),
        (corrupt, UnreadableKind::Corrupt),
        (zip(&[]), UnreadableKind::Empty),
    ];
    for (bytes, kind) in cases {
        let (found, refused) = all(&bytes);
        assert_eq!(found, []);
        assert_eq!(refused.iter().map(|error| error.kind).collect::<Vec<_>>(), [kind], "{refused:?}");
    }
}

#[test]
fn layers_of_every_kind_are_capped() {
    type Wrap = fn(&[u8]) -> Vec<u8>;
    let kinds: [(&str, Wrap); 3] =
        [("gzip", gzip), ("zip", |data| zip(&[("x", data)])), ("tar", |data| tar(&[("x", data)]))];
    for (kind, wrap) in kinds {
        let mut bytes = b"<a/>".to_vec();
        for layer in 1..=200 {
            bytes = wrap(&bytes);
            let (found, refused) = all(&bytes);
            let is_within = layer <= limits::ARCHIVE_LAYERS;
            assert_eq!(found.len(), usize::from(is_within), "{layer} times {kind}");
            assert_eq!(refused.len(), usize::from(!is_within), "{layer} times {kind}");
        }
    }
    // One header a layer and nothing else: what a mail has room for is more than a stack has.
    let mut bytes = vec![b'x'; 512];
    for _ in 0..5_000 {
        let mut header = tar(&[("x", b"")])[..512].to_vec();
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        bytes.splice(0..0, header);
    }
    let (found, refused) = all(&bytes);
    assert_eq!((found.len(), refused.len()), (0, 1));
}

#[test]
fn caps_hold_over_all_entries() {
    let blanks = vec![b' '; 6 << 20];
    let (found, refused) = all(&zip(&[("a", &blanks), ("b", &blanks), ("c", &blanks), ("d", &blanks)]));
    assert!(found.len() < 4);
    assert!(refused.iter().any(|error| error.kind == UnreadableKind::TooLarge));
    let names: Vec<String> = (0..limits::ARCHIVE_ENTRIES + 5).map(|number| format!("{number}")).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    let (found, refused) = all(&zip(&entries));
    assert_eq!(found.len(), limits::ARCHIVE_ENTRIES);
    assert_eq!(refused.len(), 1);
}

#[test]
fn one_entry_can_be_asked_for() {
    let mut bytes = zip(&[("x1", b"<a/>"), ("x2", b"<b/>"), ("y", b"<c/>")]);
    // The writer refuses equal names; other writers do not.
    for at in 0..bytes.len() - 1 {
        if &bytes[at..at + 2] == b"x2" {
            bytes[at + 1] = b'1';
        }
    }
    let mut paths = Vec::new();
    walk(&bytes, "a", &Budget::default(), None, &mut |item| {
        paths.push(item.unwrap().path.to_vec());
        ControlFlow::Continue(())
    });
    assert_eq!(paths.len(), 3, "equal names stay apart");
    let mut texts = Vec::new();
    walk(&bytes, "a", &Budget::default(), Some(&paths[1]), &mut |item| {
        let mut text = String::new();
        item.unwrap().input.read_to_string(&mut text).unwrap();
        texts.push(text);
        ControlFlow::Continue(())
    });
    assert_eq!(texts, ["<b/>"]);
}
