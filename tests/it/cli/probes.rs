//! `probe send`, `list`, `show` and `routes` against a running `serve`.

use std::fmt::Write as _;

use super::commands::run;
use super::data::{json, rows};
use crate::support::program::Server;

#[test]
fn probes_from_sending_to_arrival() {
    let server = Server::start(&[("probe@example.com", "probe"), ("dmarc@example.com", "reports")]);
    let folder = server.path();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut text = std::fs::read_to_string(folder.join("mailsonde.toml")).unwrap();
    for (name, port, tls, to) in [
        ("here", server.smtp.port(), "none", "probe+{token}@example.com"),
        ("secure", server.smtp.port(), "starttls-required", "{token}@example.com"),
        ("unknown", server.smtp.port(), "none", "nobody@example.com"),
        ("closed", closed, "none", "probe+{token}@example.com"),
    ] {
        write!(
            text,

            "[sender.{name}]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"{tls}\"\naccept_any_certificate = true\n\
             [route.{name}]\nsender = \"{name}\"\nto = \"{to}\"\nfrom = \"me@example.org\"\n"
        )
        .unwrap();
    }
    std::fs::write(folder.join("mailsonde.toml"), text).unwrap();

    let mut tokens = Vec::new();
    for (route, want, code) in [
        ("here", "arrived", 0),
        ("secure", "arrived", 0),
        ("unknown", "refused", 1),
        ("closed", "deferred", 1),
    ] {
        let arguments = ["probe", "send", route, "--wait", "60s", "--format", "json"];
        let (exit, out, err) = run(folder, &arguments);
        let answer: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{route}: {error} {err}"));
        let probe = &answer["totals"];
        assert_eq!((probe["state"].as_str().unwrap(), exit), (want, code), "{route}: {out}{err}");
        assert_eq!(probe["route"], route);
        assert_eq!(probe["latency_ms"].is_u64(), want == "arrived", "{probe}");
        assert!(probe["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{probe}");
        tokens.push(probe["token"].as_str().unwrap().to_owned());
    }

    let list = json(folder, &["probe", "list"]);
    assert_eq!(rows(&list).len(), 4, "{list}");
    assert_eq!((&list["totals"]["arrived"], &list["totals"]["refused"]), (&2.into(), &1.into()));
    assert_eq!(list["rows"], json(folder, &["report", "probe-list"])["rows"]);
    let refused = json(folder, &["report", "probe-list", "--result", "refused", "--since", "today"]);
    assert_eq!(rows(&refused).len(), 1, "{refused}");
    let (code, ..) = run(folder, &["report", "probes", "--fail-if", "refused > 0"]);
    assert_eq!(code, 1);

    // A drill: every outcome in its place, kept, and told again.
    let drill = |route: &str, more: &[&str]| {
        let mut arguments = vec!["probe", "drill", route, "--format", "json"];
        arguments.extend(more);
        let (exit, out, err) = run(folder, &arguments);
        let answer: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{route}: {error} {err}"));
        (exit, answer)
    };
    let (exit, good) = drill("here", &["--every", "2s", "--for", "3s", "--wait", "60s"]);
    assert_eq!((exit, rows(&good)[0]["moment"].as_str()), (0, Some("begin")), "{good}");
    assert_eq!((&good["totals"]["probes"], &good["totals"]["arrived"]), (&2.into(), &2.into()), "{good}");
    assert_eq!(rows(&good)[0]["host"], "127.0.0.1");
    let (exit, bad) = drill("closed", &["--for", "1s", "--wait", "0s"]);
    assert_eq!((exit, rows(&bad)[0]["moment"].as_str()), (1, Some("refused")), "{bad}");
    assert_eq!(drill("here", &["--last"]), (0, good));
    let (exit, _, err) = run(folder, &["probe", "drill", "here", "--every", "1s"]);
    assert_eq!((exit, err.contains("at least 2s")), (2, true), "{err}");
    let (exit, _, err) = run(folder, &["probe", "drill", "her"]);
    assert_eq!((exit, err.contains("did you mean `here`?")), (2, true), "{err}");

    // Everything about one, by its token in any form.
    let show = json(folder, &["probe", "show", &format!("probe+{}@example.com", tokens[0].to_uppercase())]);
    assert_eq!((&show["totals"]["state"], &show["totals"]["route"]), (&"arrived".into(), &"here".into()));
    let happened: Vec<&str> = rows(&show).iter().map(|row| row["what"].as_str().unwrap()).collect();
    let at = |what: &str| {
        happened.iter().position(|found| *found == what).unwrap_or_else(|| panic!("{what}: {happened:?}"))
    };
    assert!(at("sending") < at("accepted") && at("accepted") < happened.len(), "{happened:?}");
    assert!(happened.contains(&"arrived") && happened.contains(&"rcpt"), "{happened:?}");
    let (code, table, _) = run(folder, &["probe", "show", &tokens[2]]);
    assert_eq!(code, 0);
    assert!(table.contains("550") && table.contains("refused"), "{table}");
    let (code, _, err) = run(folder, &["probe", "show", "aaaa"]);
    assert_eq!(code, 3);
    assert!(err.contains("no probe") && err.contains("hint: "), "{err}");

    let routes = json(folder, &["probe", "routes"]);
    let names: Vec<&str> = rows(&routes).iter().map(|row| row["route"].as_str().unwrap()).collect();
    assert_eq!(names, ["here", "secure", "unknown", "closed"]);
    let (code, out, err) = run(folder, &["probe", "send", "hree"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("hint: did you mean `here`?"), "{err}");
}
