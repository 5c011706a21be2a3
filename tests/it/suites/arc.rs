//! ARC: the validation suite of ValiMail.

use mailsonde::authentication::arc::{self, Chain};
use mailsonde::authentication::dkim::RawMessage;
use serde_json::Value;

use super::dkim::{Keys, NOW, settled, text};
use super::settle;
use crate::support::shared;

/// The chain of a message.
fn chain(message: &[u8], keys: &Keys) -> Chain {
    let raw = RawMessage::new(message);
    settled(keys, |answers| arc::verify(&raw, NOW, answers))
}

#[test]
fn valimail_validation() {
    let Some(folder) = shared("suites/arc-valimail") else { return };
    let yaml = std::fs::read_to_string(folder.join("arc-draft-validation-tests.yml")).unwrap();
    // Two cases of the same name stand in the file; the later one counts.
    let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins };
    let scenarios: Vec<Value> = serde_saphyr::from_multiple_with_options(&yaml, options).unwrap();
    let (mut right, mut all, mut misses) = (0, 0, Vec::new());
    for scenario in scenarios.iter().filter(|scenario| scenario.is_object()) {
        let records = scenario["txt-records"].as_object().into_iter().flatten();
        let keys: Keys =
            records.map(|(name, record)| (name.clone(), text(record.as_str().unwrap_or_default()))).collect();
        for (name, case) in scenario["tests"].as_object().into_iter().flatten() {
            let message = case["message"].as_str().unwrap_or_default().replace('\n', "\r\n");
            // A chain whose newest seal says `fail` has no expected status in the suite; it fails (RFC 8617 §5.2).
            let want = match case["cv"].as_str().unwrap_or_default() {
                "" => "fail".to_owned(),
                word => word.to_lowercase(),
            };
            let found = chain(message.as_bytes(), &keys);
            all += 1;
            if found.result.as_str() == want {
                right += 1;
            } else {
                misses.push(format!("{name}: {} ({}), expected {want}", found.result.as_str(), found.reason));
            }
        }
    }
    // The one miss: a message signature without `c=` that was made `relaxed`, and is only right to a reader who
    // takes that for the default; RFC 6376 §3.5, to which RFC 8617 §4.1.2 leads, has `simple/simple`.
    assert!(misses.iter().all(|miss| miss.starts_with("ams_fields_c_na:")), "{}", misses.join("\n"));
    settle("ARC, ValiMail", right, all, 170, &misses);
}
