//! Bounces: the public collection with its rates, our own fixtures, the shared cases.

#![expect(clippy::unwrap_used, reason = "files of the tests are there and are whole")]
#![expect(clippy::print_stdout, reason = "rates and misses are shown with --nocapture")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use mailsonde::mail::Message;
use mailsonde::mail::delivery_status::{self, Date, DeliveryReport, Input, Kind, Outcome, RecipientStatus};
use serde_json::{Value, json};

use crate::support;

/// Takes a mail apart for the reader.
fn input(raw: &[u8]) -> Input<'static> {
    Input::of(&Message::parse(raw), None)
}

/// One row of the collection's index: column name to value.
type Row = BTreeMap<String, String>;

fn index(folder: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(folder.join("index.tsv")).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    lines
        .map(|line| names.iter().map(|n| (*n).to_owned()).zip(line.split('\t').map(str::to_owned)).collect())
        .collect()
}

/// A comma-separated column.
fn list(row: &Row, name: &str) -> Vec<String> {
    row[name].split(',').map(str::to_owned).collect()
}

/// How often something is right, and a line for each miss.
#[derive(Default)]
struct Rate {
    right: usize,
    all: usize,
    misses: String,
}

impl Rate {
    fn count(&mut self, is_right: bool, miss: impl FnOnce() -> String) {
        self.all += 1;
        self.right += usize::from(is_right);
        if !is_right {
            let _ = writeln!(self.misses, "  {}", miss());
        }
    }

    /// Prints the rate and its misses, and asserts at least `per_mille`.
    #[track_caller]
    fn check(&self, name: &str, per_mille: usize) {
        println!("{name}: {} of {}\n{}", self.right, self.all, self.misses);
        assert!(
            self.right * 1000 >= self.all * per_mille,
            "{name}: {} of {}\n{}",
            self.right,
            self.all,
            self.misses
        );
    }
}

#[test]
fn public_collection() {
    let Some(folder) = support::shared("corpus/bounces") else { return };
    let (mut recipient, mut status, mut action, mut code, mut reason) =
        (Rate::default(), Rate::default(), Rate::default(), Rate::default(), Rate::default());
    let mut both = Rate::default();
    let mut called_bounce = Rate::default();
    let mut with_token_place = Rate::default();
    for row in index(&folder) {
        let file = &row["file"];
        let raw = std::fs::read(folder.join(file)).unwrap();
        let mail = input(&raw);
        let report = delivery_status::read(&mail);
        let actions = list(&row, "action");
        let wanted = list(&row, "final_recipient");
        let kind = report.as_ref().map_or(Kind::Other, DeliveryReport::kind);
        let score = report.as_ref().map_or(0, |r| r.judgement.score);
        for (i, want) in wanted.iter().enumerate() {
            let want_action = actions.get(i).unwrap_or(&actions[0]).as_str();
            let got = report.as_ref().and_then(|r| {
                let found =
                    r.recipients.iter().find(|s| s.address().is_some_and(|a| a.eq_ignore_ascii_case(want)));
                found.or_else(|| r.recipients.get(i))
            });
            let is_answer = matches!(want_action, "vacation" | "feedback");
            let outcome = match (want_action, kind) {
                ("vacation", Kind::AutoReply) => "vacation",
                ("feedback", Kind::Feedback) => "feedback",
                _ => got.map_or("none", |status| status.outcome.as_str()),
            };
            action.count(outcome == want_action, || {
                format!("{file}: {outcome}, not {want_action} ({kind:?} {score})")
            });
            if is_answer {
                called_bounce.count(kind != Kind::Bounce, || file.clone());
            }
            let right_recipient = got.and_then(|s| s.address()).is_some_and(|a| a.eq_ignore_ascii_case(want));
            if want != "unknown" && !is_answer {
                recipient.count(right_recipient, || {
                    let got: Vec<_> =
                        report.iter().flat_map(|r| &r.recipients).map(|s| s.address()).collect();
                    format!("{file}: {got:?}, not {want} ({kind:?} {score})")
                });
            }
            if list(&row, "status_src").get(i).is_some_and(|src| src == "mail") {
                let want_status = &list(&row, "status")[i];
                let found = got.and_then(|s| s.enhanced_status.as_ref());
                let right = found.is_some_and(|f| f.value.to_string() == *want_status);
                let line = || {
                    let text = found.map(|f| format!("{} {:?}", f.value, f.evidence.rule));
                    format!("{file}: {text:?}, not {want_status}; field {}", row["status_field"])
                };
                status.count(right, line);
                both.count(right && right_recipient, || file.clone());
            }
            if list(&row, "reply_src").get(i).is_some_and(|src| src == "mail") {
                let want_code = &list(&row, "reply_code")[i];
                let found = got.and_then(|s| s.reply_code.as_ref());
                code.count(found.is_some_and(|f| f.value.to_string() == *want_code), || {
                    format!(
                        "{file}: {:?}, not {want_code}",
                        found.map(|f| (f.value.value(), f.evidence.rule))
                    )
                });
            }
            if want_action == "failed" {
                let want_reason = &list(&row, "reason")[i];
                let ours = got.map_or("none", |s| s.reason.value.as_str());
                let same = match ours {
                    "suspended" => want_reason == "suspend",
                    "email_too_large" => matches!(want_reason.as_str(), "mesgtoobig" | "exceedlimit"),
                    "rate_limited" => {
                        matches!(want_reason.as_str(), "toomanyconn" | "speeding" | "ratelimited")
                    }
                    "mail_loop" => want_reason == "networkerror",
                    "other" => want_reason == "undefined",
                    _ => ours.replace('_', "") == *want_reason,
                };
                reason.count(same, || {
                    let words = got.and_then(|s| s.diagnostic.as_ref()).map_or("", |found| &found.value);
                    let words: String = words.chars().take(150).collect();
                    format!("{file}: {ours}, not {want_reason}: {words}")
                });
            }
        }
        if let Some(report) = &report {
            with_token_place.count(!report.token_texts(&mail).is_empty(), || file.clone());
        }
    }
    println!("reason, an opinion of another list: {} of {}", reason.right, reason.all);
    if std::env::var_os("SHOW_REASONS").is_some() {
        println!("{}", reason.misses);
    }
    // The targets are 950 and 970; these hold what is reached.
    recipient.check("recipient", 990);
    status.check("status", 990);
    both.check("status and recipient", 990);
    action.check("action", 990);
    code.check("reply code", 990);
    called_bounce.check("answers that are no bounce", 1000);
    with_token_place.check("texts for tokens", 1000);
}

// ---- Own fixtures ----

/// The marker that stands where a token would stand.
const TOKEN: &str = "tk7f3aq2zx5m";

/// A date as the expected files write it: the instant, else the text.
fn date(date: &Date) -> Value {
    date.at.map_or_else(|| json!(date.text), |at| json!(at.rfc3339()))
}

/// What a report says, as the expected files write it; what is absent is left out.
fn summary(mail: &Input<'_>, report: Option<&DeliveryReport>) -> Value {
    let Some(report) = report else { return json!({ "kind": "other" }) };
    let mut out = json!({ "kind": report.kind().as_str() });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            out[name] = value;
        }
    };
    let text = |found: &Option<delivery_status::Found<String>>| found.as_ref().map(|f| json!(f.value));
    let message = &report.message;
    set("reporting_mta", message.reporting_mta.as_ref().map(|f| json!(f.value.name)));
    set("arrival_date", message.arrival_date.as_ref().map(|f| date(&f.value)));
    set("envelope_id", text(&message.envelope_id));
    set("queue_id", text(&message.queue_id));
    set("envelope_sender", message.envelope_sender.as_ref().map(|f| json!(f.value.address)));
    set("deviations", (!report.deviations.is_empty()).then(|| json!(report.deviations)));
    let original = &report.original;
    let mut returned = json!({ "extent": original.extent.as_str() });
    for (name, found) in [("message_id", &original.message_id), ("subject", &original.subject)] {
        if let Some(found) = found {
            returned[name] = json!(found.value);
        }
    }
    set("original", Some(returned));
    let texts = report.token_texts(mail);
    let mut places: Vec<String> = Vec::new();
    for (place, text) in &texts {
        let place = format!("{place:?}");
        if text.to_lowercase().contains(TOKEN) && !places.contains(&place) {
            places.push(place);
        }
    }
    set("token_in", Some(json!(places)));
    let recipients: Vec<Value> = report.recipients.iter().map(recipient).collect();
    set("recipients", Some(json!(recipients)));
    out
}

/// What a report says about one recipient.
fn recipient(status: &RecipientStatus) -> Value {
    let mut out = json!({ "outcome": status.outcome.as_str() });
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            out[name] = json!(value);
        }
    };
    set("final_recipient", status.final_recipient.as_ref().map(|f| f.value.address.clone()));
    set("original_recipient", status.original_recipient.as_ref().map(|f| f.value.address.clone()));
    set("action", status.action.as_ref().map(|f| f.value.as_str().to_owned()));
    set("enhanced_status", status.enhanced_status.as_ref().map(|f| f.value.to_string()));
    set("reply_code", status.reply_code.as_ref().map(|f| f.value.to_string()));
    set("diagnostic", status.diagnostic.as_ref().map(|f| f.value.clone()));
    set("remote_mta", status.remote_mta.as_ref().map(|f| f.value.name.clone()));
    set("remote_ip", status.remote_mta.as_ref().and_then(|f| f.value.ip).map(|ip| ip.to_string()));
    set("phase", status.phase.as_ref().map(|f| f.value.as_str().to_owned()));
    set("disposition", status.disposition.as_ref().map(|f| f.value.clone()));
    let refused = matches!(status.outcome, Outcome::Failed | Outcome::Delayed);
    set("reason", refused.then(|| status.reason.value.as_str().to_owned()));
    set("permanence", refused.then(|| status.permanence.as_str().to_owned()));
    for (name, found) in
        [("last_attempt", &status.last_attempt), ("will_retry_until", &status.will_retry_until)]
    {
        if let Some(found) = found {
            out[name] = date(&found.value);
        }
    }
    out
}

/// Every mail of fixtures/dsn says what stands beside it, no more and no less.
#[test]
fn fixtures_say_what_is_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dsn");
    let mut count = 0;
    let mut wrong = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        count += 1;
        let mail = input(&std::fs::read(&path).unwrap());
        let got = summary(&mail, delivery_status::read(&mail).as_ref());
        let expected = std::fs::read_to_string(path.with_extension("expected.json")).unwrap_or_default();
        let want: Value = serde_json::from_str(&expected).unwrap_or_default();
        if got != want {
            let _ = writeln!(wrong, "{}\n  got  {got}\n  want {want}", path.display());
        }
    }
    assert!(count >= 30, "only {count} mails in fixtures/dsn");
    assert!(wrong.is_empty(), "{wrong}");
}

/// Every value carries where it stood: the line holds what was taken from it.
#[test]
fn evidence_points_at_the_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dsn");
    let mut checked = 0;
    for name in
        ["postfix-alias", "exim-alias", "qmail", "recipients-mixed", "sendmail-old", "opensmtpd-delay"]
    {
        let mail = input(&std::fs::read(folder.join(format!("{name}.eml"))).unwrap());
        let report = delivery_status::read(&mail).unwrap();
        for status in &report.recipients {
            let address = status.final_recipient.as_ref().map(|f| (f.value.address.clone(), f.evidence));
            let code = status.reply_code.as_ref().map(|f| (f.value.to_string(), f.evidence));
            let enhanced = status.enhanced_status.as_ref().map(|f| (f.value.to_string(), f.evidence));
            for (value, evidence) in [address, code, enhanced].into_iter().flatten() {
                let Some(part) = evidence.part else { continue };
                let line = mail.parts[part].text.lines().nth(evidence.line - 1).unwrap_or_default();
                assert!(line.contains(&value), "{name}: {value} not in line {line:?} ({evidence:?})");
                checked += 1;
            }
        }
    }
    assert!(checked >= 25, "{checked}");
}

// ---- The shared cases ----

/// A case's mail read, and its expected values.
fn case(folder: &Path, file: &str) -> (DeliveryReport, Value) {
    let mail = input(&std::fs::read(folder.join(file)).unwrap());
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    (delivery_status::read(&mail).unwrap(), serde_json::from_str(&expected).unwrap())
}

#[test]
fn shared_cases() {
    let Some(folder) = support::shared("cases") else { return };
    let (delayed, want) = case(&folder.join("088-delayed-is-not-bounced"), "delayed.eml");
    assert_eq!(delayed.kind(), Kind::Delay);
    assert_eq!(delayed.recipients[0].outcome.as_str(), want["after_first"]);
    assert!(delayed.recipients[0].will_retry_until.as_ref().unwrap().value.at.is_some());
    let (delivered, _) = case(&folder.join("088-delayed-is-not-bounced"), "delivered.eml");
    assert_eq!(delivered.kind(), Kind::Delivered);
    assert_eq!(delivered.recipients[0].outcome.as_str(), want["after_second"]);

    let (report, want) = case(&folder.join("090-multi-recipient-dsn"), "report.eml");
    let got: BTreeMap<String, Vec<String>> = report
        .recipients
        .iter()
        .map(|status| {
            let code = status.enhanced_status.as_ref().unwrap().value.to_string();
            (status.address().unwrap().to_lowercase(), vec![status.outcome.as_str().to_owned(), code])
        })
        .collect();
    assert_eq!(json!(got), want["recipients"]);
    let failed = report.recipients.iter().filter(|status| status.outcome == Outcome::Failed).count();
    assert_eq!(json!(failed), want["bounces"]);

    let (report, want) = case(&folder.join("092-plain-text-exim-bounce"), "report.eml");
    let status = &report.recipients[0];
    assert_eq!(status.outcome.as_str(), want["status"]);
    assert_eq!(json!(status.address()), want["recipient"]);
    assert_eq!(status.enhanced_status.as_ref().unwrap().value.to_string(), want["enhanced"]);
    assert_eq!(json!(status.reply_code.as_ref().unwrap().value.value()), want["smtp_code"]);
}

/// Reports, notices and letters of the third-party data are no bounces.
#[test]
fn other_mail_is_no_bounce() {
    let Some(folder) = support::shared("corpus") else { return };
    let mut open = vec![folder.join("mail"), folder.join("failure")];
    let mut count = 0;
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            count += 1;
            let judgement = delivery_status::judge(&input(&std::fs::read(&path).unwrap()));
            let is_answer = matches!(judgement.kind, Kind::Other | Kind::Feedback | Kind::AutoReply);
            assert!(is_answer, "{}: {judgement:?}", path.display());
        }
    }
    println!("{count} mails that are no bounce");
}
