//! The POP3 client: what any server may send. The client is the real one, over a loopback connection.

use mailsonde::mailbox::{After, Aim, MailboxKind};

use super::imap::{Memory, check_own, check_pass, look, look_for_own};

/// Whatever the server sends: the look ends and keeps only what the server sent.
pub fn check(data: &[u8]) {
    let keeper = Memory::of(data);
    let (pass, result) = look(MailboxKind::Pop3, After::Leave, data, &keeper);
    check_pass(&pass, &result, &keeper);
    let keeper = Memory::of(data);
    let (pass, result) = look_for_own(MailboxKind::Pop3, Aim::Bounces, data, &keeper);
    check_own(&pass, &result, &keeper);
}
