//! Mailboxes in one file.

use std::io::BufReader;

use mailsonde::cli::import::mbox::{Message, Splitter, is_mailbox};

use super::Pieces;

/// The pieces change nothing, no byte is made up, and what was split is split again from what we write.
pub fn check(data: &[u8]) {
    let whole = split(data);
    assert_eq!(
        split(BufReader::with_capacity(5, Pieces::new(data))),
        whole,
        "the size of the pieces matters"
    );
    let bytes: usize = whole.iter().map(Vec::len).sum();
    assert!(bytes <= data.len());
    let mut text = Vec::new();
    for message in &whole {
        text.extend_from_slice(b"From a@b.example Thu Jan  1 00:00:00 2026\n");
        for line in message.split_inclusive(|b| *b == b'\n') {
            let bare = line.iter().skip_while(|b| **b == b'>').copied().collect::<Vec<_>>();
            if bare.starts_with(b"From ") {
                text.push(b'>');
            }
            text.extend_from_slice(line);
        }
        // The line end that a last line may lack, and the empty line before the next message.
        if !message.is_empty() && !message.ends_with(b"\n") {
            return;
        }
        text.push(b'\n');
    }
    assert!(whole.is_empty() || is_mailbox(&text));
    assert_eq!(split(text.as_slice()), whole, "written and split again");
}

fn split(input: impl std::io::BufRead) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::new(input);
    let mut messages = Vec::new();
    while let Some(message) = splitter.next_message().expect("memory has no faults") {
        match message {
            Message::Whole(bytes) => messages.push(bytes),
            Message::TooLarge { size_bytes } => panic!("{size_bytes} bytes of less"),
        }
    }
    messages
}
