use super::*;

/// What is found at a path: names with the text, or with `!` and the reason.
fn found(path: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    each_item(path, &mut |found| {
        all.push(match found {
            Found::Item(item) => {
                let text = match item.content {
                    Content::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    Content::File(path) => fs::read_to_string(path).unwrap(),
                    Content::Temporary(file) => format!("{} bytes", file.as_file().metadata().unwrap().len()),
                };
                (item.name, text)
            }
            Found::Unreadable { name, reason } => (name, format!("!{reason}")),
        });
        Ok(())
    })
    .unwrap();
    let root = path.display().to_string();
    all.into_iter().map(|(name, text)| (name.replacen(&root, "", 1), text)).collect()
}

fn pairs(found: &[(String, String)]) -> Vec<(&str, &str)> {
    found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

#[test]
fn folders_in_sorted_order() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("b/deep")).unwrap();
    fs::write(root.join("c.xml"), "c").unwrap();
    fs::write(root.join("a.xml"), "a").unwrap();
    fs::write(root.join("b/deep/x"), "x").unwrap();
    fs::write(root.join(".hidden"), "h").unwrap();
    std::os::unix::fs::symlink(root, root.join("b/loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("b/dangling")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("s")).unwrap();
    let all = found(root);
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["/a.xml", "/b/dangling", "/b/deep/x", "/c.xml", "/s"]);
    assert!(all[1].1.starts_with('!') && all[4].1.starts_with("!not a file"), "{all:?}");
    assert_eq!(pairs(&found(&root.join("absent")))[0].0, "");
}

#[test]
fn maildirs() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for part in ["cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp"] {
        fs::create_dir_all(root.join(part)).unwrap();
        fs::write(root.join(part).join("1.host:2,S"), part).unwrap();
    }
    fs::write(root.join("dovecot-uidlist"), "3 V1").unwrap();
    let all = found(root);
    let texts: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, [".Sent/cur", ".Sent/new", "cur", "new"]);
}

#[test]
fn mailboxes_and_archives_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let from = "From a@b Thu Jan  1 00:00:00 2026\n";
    let mailbox = format!("{from}A: 1\n\n{from}A: 2\n");
    fs::write(root.join("any.name"), &mailbox).unwrap();
    assert_eq!(pairs(&found(&root.join("any.name"))), [("#1", "A: 1\n"), ("#2", "A: 2\n")]);

    let archive =
        tar_of(&[("r/1.xml", b"one"), ("box", mailbox.as_bytes()), ("big", &vec![b'x'; 2 * 1024 * 1024])]);
    let want = [("/r/1.xml", "one"), ("/box#1", "A: 1\n"), ("/box#2", "A: 2\n"), ("/big", "2097152 bytes")];
    fs::write(root.join("t"), &archive).unwrap();
    assert_eq!(pairs(&found(&root.join("t"))), want);
    fs::write(root.join("tgz"), gzip(&archive)).unwrap();
    assert_eq!(pairs(&found(&root.join("tgz"))), want);

    // Gzip of anything else is one item: a packed report.
    fs::write(root.join("r.gz"), gzip(b"<feedback/>")).unwrap();
    let mut items = 0;
    each_item(&root.join("r.gz"), &mut |found| {
        assert!(matches!(found, Found::Item(Item { content: Content::File(_), .. })));
        items += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(items, 1);

    // Cut off: what came before is read, the rest has its reason.
    fs::write(root.join("cut"), &archive[..archive.len() - 2 * 1024 * 1024]).unwrap();
    let all = found(&root.join("cut"));
    assert_eq!(all.len(), 5, "{all:?}");
    assert!(all[3].1.contains("cut off") && all[4].1.contains("cut off"), "{all:?}");
    fs::write(root.join("cut.gz"), &gzip(&archive)[..200]).unwrap();
    assert!(found(&root.join("cut.gz")).last().unwrap().1.starts_with('!'));
}

#[test]
fn packed_bombs_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb");
    let archive = tar_of(&[("big", &vec![0u8; 40 * 1024 * 1024])]);
    fs::write(&path, gzip(&archive)).unwrap();
    let all = found(&path);
    assert!(all[0].1.contains("times its size"), "{all:?}");
}

/// A ustar archive.
fn tar_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in entries {
        let mut block = vec![0u8; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
        block[156] = b'0';
        block[257..263].copy_from_slice(b"ustar\0");
        block[148..156].copy_from_slice(b"        ");
        let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend(block);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
