//! What other records would have done to the mail that reports tell of. Pure.
//!
//! The mail is that of the reports: its source, its author domain, the domains that SPF and DKIM spoke about.
//! DKIM passes where the reports say so. SPF is checked anew, with the records of now and with the candidate,
//! for domains at or below the candidate's; for others, which the candidate does not change, the reports'
//! result is taken: nothing that only a report names is looked up. Alignment and policy are ours (RFC 9989).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::AuthResultRow;
use crate::authentication::dmarc::{DmarcResult, Identifier, Mechanism, Policy, Standing, evaluate};
use crate::authentication::spf::{Identity, Input, SpfResult, check};
use crate::clock::Timestamp;
use crate::dns::{Answer, Answers, Ask, Name, Question, RecordData, RecordType};
use crate::limits;

/// Mail of one source, author domain and set of raw results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRow {
    /// The source address as reported.
    pub source_ip: Option<String>,
    /// The author domain.
    pub header_from: String,
    /// The domain of the reverse-path.
    pub envelope_from: Option<String>,
    /// The raw results.
    pub auth_results: Vec<AuthResultRow>,
    /// True if the reporter found DKIM aligned and passing.
    pub dkim_aligned: bool,
    /// The same of SPF.
    pub spf_aligned: bool,
    /// Messages.
    pub messages: u64,
}

/// The records to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The domain whose records they are to be.
    pub domain: Name,
    /// The SPF record in the place of that of now.
    pub spf: Option<String>,
    /// The DMARC record in the place of that of now.
    pub dmarc: Option<String>,
}

/// Mail of one source, author domain and SPF domain, now and with the candidate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SimulatedRow {
    /// The source address as reported.
    pub source_ip: Option<String>,
    /// The author domain.
    pub header_from: String,
    /// The domain that SPF is about.
    pub spf_domain: Option<String>,
    /// Messages.
    pub messages: u64,
    /// Of these: DMARC passes, as the reporters found.
    pub pass_reported: u64,
    /// The result of SPF with the records of now; that of the reports for domains of others.
    pub spf_now: Option<&'static str>,
    /// The result of SPF with the candidate.
    pub spf_then: Option<&'static str>,
    /// Messages for which DMARC passes with the records of now.
    pub pass_now: u64,
    /// The same with the candidate.
    pub pass_then: u64,
    /// Messages that fail with the candidate and would be quarantined.
    pub quarantine_then: u64,
    /// The same that would be rejected.
    pub reject_then: u64,
    /// Messages of which one of the two is not known: a question was not answered.
    pub not_known: u64,
}

impl SimulatedRow {
    /// `loses`, `gains`, `same` or `not-known`: what the candidate does to DMARC.
    pub const fn change(&self) -> &'static str {
        // Where a side is not known, fewer that pass are no loss.
        if self.not_known > 0 {
            "not-known"
        } else if self.pass_then < self.pass_now {
            "loses"
        } else if self.pass_then > self.pass_now {
            "gains"
        } else {
            "same"
        }
    }
}

/// The sums of a simulation, in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SimulatedTotals {
    /// Messages looked at.
    pub messages: u64,
    /// DMARC passes, as the reporters found.
    pub pass_reported: u64,
    /// With the records of now.
    pub pass_now: u64,
    /// With the candidate.
    pub pass_then: u64,
    /// Of rows that gain: how many more pass.
    pub gained: u64,
    /// Of rows that lose: how many fewer pass.
    pub lost: u64,
    /// Fail with the candidate and would be quarantined.
    pub quarantine_then: u64,
    /// Fail with the candidate and would be rejected.
    pub reject_then: u64,
    /// One of the two is not known.
    pub not_known: u64,
}

/// What came of one stream with one set of records.
struct Judged {
    spf: Option<&'static str>,
    result: DmarcResult,
    policy: Option<Policy>,
}

/// Judges all streams with the records of now and with the candidate.
///
/// Shape: a row a source, author domain and SPF domain; what loses first, then what gains, each by messages.
/// Asks all that is lacking for all streams side by side.
pub fn simulate(
    streams: &[StreamRow],
    candidate: &Candidate,
    answers: &Answers,
) -> Result<(Vec<SimulatedRow>, SimulatedTotals), Ask> {
    let then = with_candidate(candidate, answers);
    let mut lacking: Vec<Question> = Vec::new();
    let mut rows: BTreeMap<(Option<String>, String, Option<String>), SimulatedRow> = BTreeMap::new();
    for stream in streams {
        let now = judge(stream, candidate, answers);
        let later = judge(stream, candidate, &then);
        let (now, later) = match (now, later) {
            (Ok(now), Ok(later)) => (now, later),
            (one, other) => {
                for ask in [one.err(), other.err()].into_iter().flatten() {
                    lacking.extend(ask.questions);
                }
                continue;
            }
        };
        let spf_domain = spf_domain(stream);
        let key = (stream.source_ip.clone(), stream.header_from.clone(), spf_domain.clone());
        let row = rows.entry(key).or_insert_with(|| SimulatedRow {
            source_ip: stream.source_ip.clone(),
            header_from: stream.header_from.clone(),
            spf_domain,
            ..SimulatedRow::default()
        });
        add(row, stream, &now, &later);
    }
    lacking.sort();
    lacking.dedup();
    answers.need(lacking)?;
    let mut rows: Vec<SimulatedRow> = rows.into_values().collect();
    let totals = rows.iter().fold(SimulatedTotals::default(), summed);
    let order = |row: &SimulatedRow| match row.change() {
        "loses" => 0,
        "gains" => 1,
        "not-known" => 2,
        _ => 3,
    };
    rows.sort_by_key(|row| (order(row), std::cmp::Reverse(row.messages)));
    Ok((rows, totals))
}

/// Sums with one row more.
fn summed(mut totals: SimulatedTotals, row: &SimulatedRow) -> SimulatedTotals {
    let (mut gained, mut lost) = (0, 0);
    if row.not_known == 0 {
        gained = row.pass_then.saturating_sub(row.pass_now);
        lost = row.pass_now.saturating_sub(row.pass_then);
    }
    let sums = [
        (&mut totals.messages, row.messages),
        (&mut totals.pass_reported, row.pass_reported),
        (&mut totals.pass_now, row.pass_now),
        (&mut totals.pass_then, row.pass_then),
        (&mut totals.gained, gained),
        (&mut totals.lost, lost),
        (&mut totals.quarantine_then, row.quarantine_then),
        (&mut totals.reject_then, row.reject_then),
        (&mut totals.not_known, row.not_known),
    ];
    for (sum, part) in sums {
        *sum = sum.saturating_add(part);
    }
    totals
}

/// Adds one stream to its row.
fn add(row: &mut SimulatedRow, stream: &StreamRow, now: &Judged, then: &Judged) {
    let messages = stream.messages;
    (row.spf_now, row.spf_then) = (now.spf, then.spf);
    row.messages = row.messages.saturating_add(messages);
    let count = |part: &mut u64, is_so: bool| {
        if is_so {
            *part = part.saturating_add(messages);
        }
    };
    let is_unknown = |judged: &Judged| {
        matches!(judged.result, DmarcResult::TempError | DmarcResult::PermError | DmarcResult::NotKnown)
    };
    let fails_with = |policy| then.result == DmarcResult::Fail && then.policy == Some(policy);
    count(&mut row.pass_reported, stream.dkim_aligned || stream.spf_aligned);
    count(&mut row.pass_now, now.result == DmarcResult::Pass);
    count(&mut row.pass_then, then.result == DmarcResult::Pass);
    count(&mut row.quarantine_then, fails_with(Policy::Quarantine));
    count(&mut row.reject_then, fails_with(Policy::Reject));
    count(&mut row.not_known, is_unknown(now) || is_unknown(then));
}

/// The answers as they would be with the candidate.
fn with_candidate(candidate: &Candidate, answers: &Answers) -> Answers {
    let mut then = answers.clone();
    let mut publish = |name: Name, text: &str| {
        let data = RecordData::Txt(vec![text.as_bytes().to_vec()]);
        then.put(Question::new(name, RecordType::Txt), Answer::records(vec![data]));
    };
    if let Some(spf) = &candidate.spf {
        publish(candidate.domain.clone(), spf);
    }
    if let (Some(dmarc), Ok(name)) = (&candidate.dmarc, candidate.domain.below("_dmarc")) {
        publish(name, dmarc);
    }
    then
}

/// The reported result of SPF for the reverse-path.
fn reported_spf(stream: &StreamRow) -> Option<&AuthResultRow> {
    let is_helo =
        |result: &AuthResultRow| result.scope.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("helo"));
    stream.auth_results.iter().find(|result| result.method == "spf" && !is_helo(result))
}

/// The domain that SPF of the reverse-path is about.
fn spf_domain(stream: &StreamRow) -> Option<String> {
    let reported = reported_spf(stream).and_then(|result| result.domain.as_deref());
    let domain = reported.or(stream.envelope_from.as_deref())?;
    Some(domain.trim().trim_end_matches('.').to_ascii_lowercase()).filter(|domain| !domain.is_empty())
}

/// Judges one stream.
fn judge(stream: &StreamRow, candidate: &Candidate, answers: &Answers) -> Result<Judged, Ask> {
    let mut identifiers = Vec::new();
    let mut spf = None;
    if let Some(domain) = spf_domain(stream).and_then(|domain| Name::from_dotted(&domain).ok()) {
        let (word, standing) = spf_of(stream, &domain, candidate, answers)?;
        spf = word;
        identifiers.push(Identifier { mechanism: Mechanism::Spf, domain, standing });
    }
    let signed =
        stream.auth_results.iter().filter(|result| result.method == "dkim" && result.result == "pass");
    let domains = signed.filter_map(|result| Name::from_dotted(result.domain.as_deref()?.trim()).ok());
    identifiers.extend(domains.take(limits::RECORD_AUTH_RESULTS).map(|domain| Identifier {
        mechanism: Mechanism::Dkim,
        domain,
        standing: Standing::Passed,
    }));
    let Ok(author) = Name::from_dotted(stream.header_from.trim()) else {
        return Ok(Judged { spf, result: DmarcResult::PermError, policy: None });
    };
    // Domains of others are not aligned, and are not looked up.
    let whose = |name: &Name| psl::domain_str(name.as_str()).unwrap_or(name.as_str()).to_owned();
    let own = whose(&author);
    identifiers.retain(|identifier| whose(&identifier.domain) == own);
    let verdict = evaluate(&[author], &identifiers, answers)?;
    Ok(Judged { spf, result: verdict.result, policy: verdict.policy() })
}

/// The result of SPF for one stream: checked for domains at or below the candidate's, else as reported.
fn spf_of(
    stream: &StreamRow,
    domain: &Name,
    candidate: &Candidate,
    answers: &Answers,
) -> Result<(Option<&'static str>, Standing), Ask> {
    let ip = stream.source_ip.as_deref().and_then(|text| text.parse::<IpAddr>().ok());
    let Some(ip) = ip.filter(|_| domain.is_within(&candidate.domain)) else {
        let Some(reported) = reported_spf(stream) else { return Ok((None, Standing::NotKnown)) };
        let known = [
            SpfResult::None,
            SpfResult::Neutral,
            SpfResult::Pass,
            SpfResult::Fail,
            SpfResult::SoftFail,
            SpfResult::TempError,
            SpfResult::PermError,
        ];
        let word = known.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(&reported.result));
        let standing = if word == Some(SpfResult::Pass) { Standing::Passed } else { Standing::Failed };
        return Ok((word.map(SpfResult::as_str), standing));
    };
    let mail_from = format!("postmaster@{domain}");
    let input = Input {
        ip,
        identity: Identity::MailFrom,
        mail_from: &mail_from,
        helo: domain.as_str(),
        receiver: "",
        now: Timestamp::from_seconds(0),
        void_limit: limits::SPF_VOIDS,
    };
    let result = check(&input, answers)?.result;
    let standing = match result {
        SpfResult::Pass => Standing::Passed,
        SpfResult::TempError => Standing::TempError,
        _ => Standing::Failed,
    };
    Ok((Some(result.as_str()), standing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Cause;

    /// A stream of 10 messages.
    fn stream(source: &str, spf: &str, dkim: &str) -> StreamRow {
        let result = |method, domain: &str| AuthResultRow {
            method,
            domain: Some(domain.to_owned()),
            selector: None,
            scope: None,
            result: "pass".to_owned(),
            written: None,
        };
        let mut auth_results = vec![result("spf", spf)];
        if !dkim.is_empty() {
            auth_results.push(result("dkim", dkim));
        }
        StreamRow {
            source_ip: Some(source.to_owned()),
            header_from: "example.com".to_owned(),
            envelope_from: None,
            auth_results,
            dkim_aligned: false,
            spf_aligned: false,
            messages: 10,
        }
    }

    /// Runs a simulation on texts that are published (`!` is silence), and notes what was asked.
    fn run(
        streams: &[StreamRow],
        spf: Option<&str>,
        dmarc: Option<&str>,
        published: &[(&str, &str)],
    ) -> (Vec<SimulatedRow>, SimulatedTotals, Vec<String>) {
        let candidate = Candidate {
            domain: Name::from_dotted("example.com").unwrap(),
            spf: spf.map(str::to_owned),
            dmarc: dmarc.map(str::to_owned),
        };
        let mut answers = Answers::new();
        let mut asked = Vec::new();
        loop {
            let questions = match simulate(streams, &candidate, &answers) {
                Ok((rows, totals)) => return (rows, totals, asked),
                Err(ask) => ask.questions,
            };
            for question in questions {
                let text = published.iter().find(|(name, _)| question.to_string() == format!("{name} TXT"));
                let answer = match text {
                    None => Answer::no_name(),
                    Some((_, "!")) => Answer::not_known(Cause::Timeout, ""),
                    Some((_, text)) => Answer::records(vec![RecordData::Txt(vec![text.as_bytes().to_vec()])]),
                };
                asked.push(question.to_string());
                answers.put(question, answer);
            }
        }
    }

    /// What is published without the candidate.
    const PUBLISHED: [(&str, &str); 3] = [
        ("example.com", "v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 -all"),
        ("_dmarc.example.com", "v=DMARC1; p=none"),
        ("silent.example.com", "!"),
    ];

    #[test]
    fn another_spf_record_gains_and_loses() {
        let streams = [
            stream("192.0.2.1", "example.com", ""),
            stream("192.0.2.2", "example.com", ""),
            stream("192.0.2.2", "example.com", "example.com"),
            stream("192.0.2.3", "example.com", ""),
            stream("192.0.2.4", "bounce.vendor.example", "vendor.example"),
        ];
        let candidate = "v=spf1 ip4:192.0.2.1 ip4:192.0.2.3 -all";
        let (rows, totals, asked) = run(&streams, Some(candidate), None, &PUBLISHED);
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.source_ip.as_deref().unwrap(), row.change(), row.pass_now, row.pass_then))
            .collect();
        let want = [
            ("192.0.2.2", "loses", 20, 10),
            ("192.0.2.3", "gains", 0, 10),
            ("192.0.2.1", "same", 10, 10),
            ("192.0.2.4", "same", 0, 0),
        ];
        assert_eq!(told, want);
        assert_eq!((rows[0].spf_now, rows[0].spf_then), (Some("pass"), Some("fail")));
        assert_eq!((totals.messages, totals.gained, totals.lost), (50, 10, 10));
        // Names of strangers are not looked up.
        assert!(asked.iter().all(|question| !question.contains("vendor")), "{asked:?}");
    }

    #[test]
    fn another_dmarc_record_changes_alignment_and_policy() {
        let streams = [
            stream("192.0.2.1", "mail.example.com", "mail.example.com"),
            stream("192.0.2.9", "example.com", ""),
        ];
        let dmarc = "v=DMARC1; p=reject; adkim=s; aspf=s";
        let (rows, totals, _) = run(&streams, None, Some(dmarc), &PUBLISHED);
        assert_eq!((rows[0].change(), rows[0].reject_then), ("loses", 10));
        assert_eq!((totals.pass_now, totals.pass_then, totals.reject_then), (10, 0, 20));
    }

    #[test]
    fn what_was_not_answered_is_not_known() {
        let streams = [stream("192.0.2.1", "example.com", "")];
        let (rows, totals, _) =
            run(&streams, Some("v=spf1 include:silent.example.com -all"), None, &PUBLISHED);
        assert_eq!((rows[0].change(), rows[0].spf_then), ("not-known", Some("temperror")));
        assert_eq!((totals.lost, totals.not_known), (0, 10));
    }
}
