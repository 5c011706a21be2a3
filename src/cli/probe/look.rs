//! `probe routes --check`: consent, leave and what receivers see of us, route by route.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::cli::args::ProbeRoutesArguments;
use crate::cli::context::Context;
use crate::cli::dns::{resolver_of, wait};
use crate::cli::exit::{Exit, Failure, unknown_word};
use crate::config::{RouteSettings, Settings};
use crate::daemon::keys;
use crate::daemon::manners::{Manners, consent_of, leave_domains};
use crate::probe::look::Found;
use crate::probe::manners::{Leave, Whose, record_name};
use crate::render::{Column, Head, Kind, Sheet, Show, Value};

/// One point of one route.
pub struct Checked {
    /// The route.
    route: String,
    /// What is looked at.
    point: &'static str,
    /// The answer.
    found: Found,
    /// What was seen.
    evidence: String,
    /// What to do about it.
    mend: Option<String>,
}

/// The columns of `probe routes --check`.
pub static CHECKED: &[Column<Checked>] = &[
    Column::new("route", "route", Kind::Text, Show::Whole, "The route.", |row| Value::text(Some(&row.route))),
    Column::new(
        "point",
        "point",
        Kind::Text,
        Show::Whole,
        "`consent`, `leave`, `ptr`, `helo`, `spf`, `dkim`, `dmarc` or `port25`; docs/probes.md says what each asks.",
        |row| Value::Text(Cow::Borrowed(row.point)),
    ),
    Column::new(
        "found",
        "found",
        Kind::Text,
        Show::Whole,
        "`yes`, `no` (stops) or `not-known` (stops only what needs leave).",
        |row| Value::Text(Cow::Borrowed(row.found.as_str())),
    ),
    Column::new("evidence", "seen", Kind::Text, Show::Cut(24), "What was seen.", |row| {
        Value::text(Some(&row.evidence))
    }),
    Column::new("mend", "mend", Kind::Text, Show::Cut(24), "What to do; null: nothing.", |row| {
        Value::text(row.mend.as_deref())
    }),
];

/// Checks the routes that are named, else all. Findings if any point is plainly not as it must be.
pub(super) fn check(
    context: &Context,
    arguments: &ProbeRoutesArguments,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let settings = Arc::new(context.settings()?);
    let names = || settings.routes.iter().map(|route| route.name.as_str());
    for name in &arguments.routes {
        settings.route(name).ok_or_else(|| unknown_word("route", name, names()))?;
    }
    let keys = keys::load_or_create(&settings.store_path)?;
    let resolver = resolver_of(context, arguments.zone.as_deref())?;
    let manners = Manners::new(Arc::clone(&settings), &keys, resolver, false);
    let is_meant =
        |route: &&RouteSettings| arguments.routes.is_empty() || arguments.routes.contains(&route.name);
    let routes: Vec<&RouteSettings> = settings.routes.iter().filter(is_meant).collect();
    let rows: Vec<Checked> = wait(async {
        let mut rows = Vec::new();
        for route in routes {
            rows.extend(of_route(&settings, &manners, route).await);
        }
        rows
    })?;
    let head =
        Head { view: "route-checks", title: "Manners of routes", is_timeless: true, ..Head::default() };
    let mut sheet = Sheet::of_rows(head, CHECKED, &rows);
    sheet.notes.push(installation_note(manners.installation()));
    context.output.print(&sheet, &TimeZone::UTC, out)?;
    Ok(Exit::findings_if(rows.iter().any(|row| row.found == Found::No)))
}

/// The id of the installation, and what it is for.
pub(super) fn installation_note(id: &str) -> String {
    format!(
        "the id of this installation is {id}: a domain that publishes it as TXT at _mailsonde-probe allows negative probes"
    )
}

/// All points of a route.
async fn of_route(settings: &Settings, manners: &Manners, route: &RouteSettings) -> Vec<Checked> {
    let mut rows = vec![consent(settings, manners, route)];
    if route.allow_negative {
        let leaves = manners.leaves(&leave_domains(settings, route)).await;
        rows.extend(leaves.into_iter().map(|(domain, leave)| of_leave(manners, route, &domain, leave)));
    }
    let findings = manners.look(route).await;
    rows.extend(findings.iter().map(|finding| Checked {
        route: route.name.clone(),
        point: finding.point.as_str(),
        found: finding.found,
        evidence: finding.evidence.clone(),
        mend: Some(finding.mend.clone()).filter(|mend| !mend.is_empty()),
    }));
    rows
}

/// Whether anybody agreed.
fn consent(settings: &Settings, manners: &Manners, route: &RouteSettings) -> Checked {
    let domain = route.recipient_domain();
    let name = domain.as_ref().map_or("-", |domain| domain.as_str());
    let because = domain.as_ref().and_then(|domain| consent_of(settings, route, domain));
    let (found, evidence, mend) = match (manners.whose(route), because) {
        (Whose::Here, _) => (Found::Yes, format!("{name} is ours, and its mail stays on this machine"), None),
        (Whose::Own, _) => (Found::Yes, format!("{name} is ours"), None),
        (Whose::Foreign, Some(because)) => (Found::Yes, format!("{name}: {because}"), None),
        (Whose::Foreign, None) => {
            let mend =
                format!("add `consent = \"whose, and why\"` to [route.{}], or a [[domain]]", route.name);
            (Found::No, format!("{name} is none of the configured domains"), Some(mend))
        }
    };
    Checked { route: route.name.clone(), point: "consent", found, evidence, mend }
}

/// Whether a domain allows negative probes.
fn of_leave(manners: &Manners, route: &RouteSettings, domain: &str, leave: Leave) -> Checked {
    let record = record_name(domain);
    let publish = format!("publish `{record} TXT \"{}\"`", manners.installation());
    let (found, evidence, mend) = match leave {
        Leave::Published => (Found::Yes, format!("{record} names this installation"), None),
        Leave::Absent { found } if found.is_empty() => {
            (Found::No, format!("{record} does not exist"), Some(publish))
        }
        Leave::Absent { found } => {
            (Found::No, format!("{record} names others: {}", found.join(", ")), Some(publish))
        }
        Leave::NotKnown(cause) => {
            let evidence = format!("what stands at {record} is not known: {cause}");
            (Found::NotKnown, evidence, Some("ask again once DNS answers".to_owned()))
        }
    };
    Checked { route: route.name.clone(), point: "leave", found, evidence, mend }
}
