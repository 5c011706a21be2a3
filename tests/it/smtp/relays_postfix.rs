//! A real Postfix in front of the program: who the true peer is.

use serde_json::Value;

use crate::support::client::Client;
use crate::support::postfix::{Postfix, is_usable};
use crate::support::program::{Server, json};
use crate::support::sink::eventually;

/// The program behind a relay at 127.0.0.1.
fn server() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let text = "[smtp]\nhost_name = \"mx.example.com\"\ntrusted_relays = [\"127.0.0.1\"]\n\
        [[listener]]\naddress = \"127.0.0.1:0\"\n[store]\npath = \"mailsonde.db\"\n\
        [[recipient]]\naddress = \"dmarc@example.com\"\npurpose = \"reports\"\n";
    std::fs::write(folder.path().join("mailsonde.toml"), text).unwrap();
    Server::start_in(folder, &[])
}

/// Hands Postfix a mail from 127.0.0.2, with a line that lies about where it comes from.
fn hand_over(postfix: &Postfix, subject: &str) {
    let mut client = Client::connect_from("127.0.0.2", postfix.smtp);
    client.expect("220");
    client.command("EHLO [6.6.6.6]", "250");
    let forged = "Received: from x (x [6.6.6.6]) by relay.example.net (Postfix) with ESMTP id 1; Wed";
    let message = format!("{forged}\r\nFrom: <a@b.example>\r\nSubject: {subject}\r\n\r\nx\r\n");
    let reply = client.deliver("a@b.example", "dmarc@example.com", message.as_bytes());
    assert!(reply.starts_with("250"), "{reply}");
}

/// The row of the mail, once it is here.
fn arrived(server: &Server, subject: &str) -> Value {
    let mut found = Value::Null;
    eventually("the mail arrives through Postfix", || {
        let answer = json(server.folder.path(), &["report", "messages"]);
        let rows = answer["rows"].as_array().unwrap().clone();
        found = rows.into_iter().find(|row| row["subject"] == subject).unwrap_or_default();
        !found.is_null()
    });
    found
}

#[test]
fn the_peer_of_postfix_is_found_by_xforward_and_by_its_line() {
    if !is_usable() {
        return;
    }
    let server = server();
    for (subject, more, source) in [
        ("with", "smtp_send_xforward_command = yes", "xforward"),
        ("without", "smtp_send_xforward_command = no", "received"),
    ] {
        let postfix = Postfix::start(server.smtp, more);
        hand_over(&postfix, subject);
        let row = arrived(&server, subject);
        assert_eq!(row["peer_source"], source, "{row:#}");
        assert_eq!(row["peer_ip"], "127.0.0.2", "{row:#}");
        assert_eq!(row["helo"], "[6.6.6.6]", "{row:#}");
        assert_eq!(row["relay_ip"], "127.0.0.1", "{row:#}");
        assert_eq!(row["mail_from"], "a@b.example");
    }
}
