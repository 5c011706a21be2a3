//! A mailbox that somebody else's server fills: Postfix delivers into a Dovecot that `serve` watches by IMAP.

use super::{Monitor, token};
use crate::support::dovecot::{Dovecot, NOBODY, PASSWORD};
use crate::support::postfix::{self, Postfix};

/// The user of the mailbox.
const USER: &str = "seed";

/// A Postfix that puts mail for `seed@` and `junk@mailbox.example` into the inbox and the folder for spam of one user, as a
/// filter would, and sends all else to us.
fn deliverer(monitor: &Monitor, dovecot: &Dovecot) -> Postfix {
    // So that its folders have their owner.
    for folder in ["", ".Junk"] {
        dovecot.deliver_in(USER, folder, b"From: <a@b.example>\r\nSubject: not ours\r\n\r\nx\r\n");
    }
    let boxes = dovecot.folder.path().join("boxes");
    std::fs::write(
        &boxes,
        format!("seed@mailbox.example {USER}/Maildir/\njunk@mailbox.example {USER}/Maildir/.Junk/\n"),
    )
    .unwrap();
    let more = format!(
        "virtual_mailbox_domains = mailbox.example\nvirtual_mailbox_base = {}/mail\n\
         virtual_mailbox_maps = texthash:{}\nvirtual_uid_maps = static:{NOBODY}\n\
         virtual_gid_maps = static:{NOBODY}\nvirtual_minimum_uid = 1\n",
        dovecot.folder.path().display(),
        boxes.display()
    );
    Postfix::with_transports(&[("*", monitor.smtp())], "mailbox.example virtual:\n", &more)
}

/// A `serve` that watches the mailbox.
fn watcher(dovecot: &Dovecot) -> Monitor {
    Monitor::with(&format!(
        "\n[mailbox.seed]\npurpose = \"watch\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nuser = \"{USER}\"\n\
         password = {{ command = [\"echo\", \"{PASSWORD}\"] }}\nspam = \"Junk\"\npoll = \"1s\"\n",
        dovecot.imap
    ))
}

#[test]
fn spam_is_told_from_the_inbox_of_a_mailbox_that_a_relay_fills() {
    let Some(dovecot) = Dovecot::start() else { return };
    if !postfix::is_usable() {
        return;
    }
    let monitor = watcher(&dovecot);
    let relay = deliverer(&monitor, &dovecot);
    let more = "watch = \"seed\"\n";
    monitor.add_route("inbox", relay.smtp, "seed@mailbox.example", more);
    monitor.add_route("junk", relay.smtp, "junk@mailbox.example", more);
    let (inbox, junk) = (token(&monitor.send("inbox")), token(&monitor.send("junk")));
    for (sent, place) in [(&inbox, "inbox"), (&junk, "spam")] {
        let shown = monitor.wait_for(sent, "arrived");
        assert_eq!(shown["place"], place, "{shown:#}");
        assert!(shown["latency_ms"].as_i64().unwrap() >= 0, "{shown:#}");
    }
    let kept = monitor.say(&["report", "messages", "--format", "csv"]);
    assert!(!kept.stdout.contains("not ours"), "{}", kept.stdout);
}
