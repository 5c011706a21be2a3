//! The POP3 client: what any server may send. The client is the real one, over a loopback connection.

use mailsonde::mailbox::{After, MailboxKind};

use super::imap::{Memory, check_pass, look};

/// Whatever the server sends: the look ends and keeps only what the server sent.
pub fn check(data: &[u8]) {
    let keeper = Memory::of(data);
    let (pass, result) = look(MailboxKind::Pop3, After::Leave, data, &keeper);
    check_pass(&pass, &result, &keeper);
}
