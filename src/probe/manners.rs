//! Whether a probe may be sent now: leave, consent, intervals, caps, and what we look like to others. Pure.
//!
//! [`may_send`] gets every fact as an argument and says yes, or why not, with the mend and with the time from which
//! asking again makes sense. Nothing here is ever overridden but the look at ourselves ([`crate::probe::look`]), and
//! that only by the operator's own word (`--force`).
//!
//! Leave: what is made to be stopped (or loads, or bears somebody's name) goes only where the recipient's domain
//! publishes the id of this installation, and where the operator allowed it on the route. A record that DNS does not
//! tell is **not known**: then nothing is sent, and nobody is said to have refused.

mod leave;
mod ledger;

use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits;
use crate::probe::compose::Profile;
use crate::probe::look::{Finding, Found};

pub use leave::{Leave, leave, record_name};
pub use ledger::{Cap, Full, Ledger};

/// Whose the system is to which probes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whose {
    /// Ours, and its mail does not leave this machine.
    Here,
    /// Ours.
    Own,
    /// Somebody else's.
    Foreign,
}

impl Whose {
    /// Shortest interval between two scheduled probes of a kind: five minutes to own systems, thirty to others.
    pub const fn least_interval(self) -> Duration {
        match self {
            Self::Here => Duration::ZERO,
            Self::Own => limits::PROBE_LEAST_INTERVAL_OWN,
            Self::Foreign => limits::PROBE_LEAST_INTERVAL_FOREIGN,
        }
    }

    /// How long a new route has half its rate: receivers trust a new sender little.
    pub const fn half_rate(self) -> Duration {
        match self {
            Self::Here => Duration::ZERO,
            Self::Own | Self::Foreign => limits::PROBE_HALF_RATE,
        }
    }

    /// The interval of a route as it is kept: what is wished, at least [`Self::least_interval`].
    pub fn interval(self, wished: Duration) -> Duration {
        wished.max(self.least_interval())
    }

    /// The word in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Own => "own",
            Self::Foreign => "foreign",
        }
    }
}

/// Why a probe is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Its time has come.
    Schedule,
    /// The probe before it was bad: one of three quick ones.
    Quick,
    /// Somebody asked for it.
    Hand,
}

/// What could be wrong about a message, by the leave that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Harm {
    /// An ordinary message.
    None,
    /// Many at once.
    Load,
    /// A good mail system stops it.
    Stopped,
    /// It asks a server to relay what it should not.
    OpenRelay,
    /// It bears a name that did not send it.
    Forged,
}

impl Harm {
    /// What could be wrong about a message of a profile.
    pub const fn of(profile: Profile) -> Self {
        match profile {
            Profile::OpenRelay => Self::OpenRelay,
            Profile::SpfFail | Profile::DmarcFail => Self::Forged,
            other if other.is_negative() => Self::Stopped,
            _ => Self::None,
        }
    }
}

/// Everything that [`may_send`] judges.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'f> {
    /// The route's name.
    pub route: &'f str,
    /// The profile, as printed.
    pub profile: &'f str,
    /// Why it is sent.
    pub occasion: Occasion,
    /// False: `[probes] enabled` forbids what is scheduled.
    pub is_enabled: bool,
    /// The file that stops everything, where it is there.
    pub kill_switch: Option<&'f str>,
    /// Whose the recipient's system is.
    pub whose: Whose,
    /// The recipient's domain.
    pub destination: &'f str,
    /// Whose consent there is to send to it.
    pub consent: Option<&'f str>,
    /// What could be wrong about the message.
    pub harm: Harm,
    /// `allow_negative` of the route.
    pub allows_negative: bool,
    /// `allow_negative_via_account` of the route.
    pub allows_via_account: bool,
    /// True if the sender signs in.
    pub is_via_account: bool,
    /// The id of this installation.
    pub installation: &'f str,
    /// The leave of the recipient's domain; asked only where [`Harm`] is some.
    pub leave: &'f Leave,
    /// The domains whose names the message bears, each with its leave; only with [`Harm::Forged`].
    pub names: &'f [(String, Leave)],
    /// What was found when we looked at ourselves.
    pub look: &'f [Finding],
    /// True if the operator sends in spite of that look.
    pub is_forced: bool,
    /// When a scheduled probe of this route and profile was sent last.
    pub last_sent: Option<Timestamp>,
    /// The cap that is reached, if one is.
    pub full: Option<&'f Full>,
}

/// Why nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The file is there that stops everything.
    KillSwitch,
    /// `[probes] enabled = false`.
    Disabled,
    /// Nobody agreed.
    NoConsent,
    /// The route does not allow such messages.
    NotAllowed,
    /// Not through an account.
    ViaAccount,
    /// The domain does not publish its leave.
    NoLeave,
    /// Whether it does is not known.
    LeaveNotKnown,
    /// Receivers would take offence at us.
    Look,
    /// Too soon after the last one.
    Interval,
    /// A cap is reached.
    Cap,
}

impl Why {
    /// The word in the store, in views and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KillSwitch => "kill-switch",
            Self::Disabled => "disabled",
            Self::NoConsent => "no-consent",
            Self::NotAllowed => "not-allowed",
            Self::ViaAccount => "via-account",
            Self::NoLeave => "no-leave",
            Self::LeaveNotKnown => "leave-not-known",
            Self::Look => "look",
            Self::Interval => "interval",
            Self::Cap => "cap",
        }
    }
}

/// A probe that is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// Why.
    pub why: Why,
    /// In words.
    pub text: String,
    /// What to do about it.
    pub mend: String,
    /// From when asking again may give another answer without anybody doing anything; `None`: somebody must act.
    pub until: Option<Timestamp>,
}

impl Refusal {
    /// Nothing is sent while a file is there.
    pub fn stopped(file: &str, now: Timestamp) -> Self {
        Self {
            why: Why::KillSwitch,
            text: format!("nothing is sent while {file} is there"),
            mend: format!("remove {file}"),
            until: Some(now.after(limits::PROBE_LOOK_AGAIN)),
        }
    }
}

/// Says whether a probe may be sent now, or why not.
///
/// The order is that of weight: who stopped everything, whether anybody agreed, what we look like, how often.
/// Errors: [`Refusal`].
pub fn may_send(facts: &Facts<'_>, now: Timestamp) -> Result<(), Refusal> {
    switches(facts, now)?;
    consent(facts)?;
    if facts.harm != Harm::None {
        leave_of_all(facts, now)?;
    }
    look(facts)?;
    pace(facts, now)
}

/// What stops everything.
fn switches(facts: &Facts<'_>, now: Timestamp) -> Result<(), Refusal> {
    if let Some(file) = facts.kill_switch {
        return Err(Refusal::stopped(file, now));
    }
    if !facts.is_enabled && facts.occasion != Occasion::Hand {
        return Err(Refusal {
            why: Why::Disabled,
            text: "probes are switched off".to_owned(),
            mend: "write `enabled = true` in [probes]".to_owned(),
            until: None,
        });
    }
    Ok(())
}

/// Whether anybody agreed to get probes.
fn consent(facts: &Facts<'_>) -> Result<(), Refusal> {
    if facts.whose != Whose::Foreign || facts.consent.is_some() {
        return Ok(());
    }
    let (domain, route) = (facts.destination, facts.route);
    Err(Refusal {
        why: Why::NoConsent,
        text: format!("{domain} is none of the configured domains, and nobody's consent is noted"),
        mend: format!(
            "if whoever owns the mailbox agreed, add `consent = \"whose, and why\"` to [route.{route}]; if {domain} is \
             yours, add it as a [[domain]]"
        ),
        until: None,
    })
}

/// Leave for what could be wrong about the message.
fn leave_of_all(facts: &Facts<'_>, now: Timestamp) -> Result<(), Refusal> {
    let (profile, route) = (facts.profile, facts.route);
    let what = match facts.harm {
        Harm::Load => "puts load on the receiver",
        Harm::OpenRelay => "asks for relaying",
        Harm::Forged => "bears a name that did not send it",
        Harm::Stopped | Harm::None => "is made to be stopped",
    };
    if !facts.allows_negative {
        return Err(Refusal {
            why: Why::NotAllowed,
            text: format!("a probe of {profile} {what}: route {route} does not allow that"),
            mend: format!("add `allow_negative = true` to [route.{route}]"),
            until: None,
        });
    }
    if facts.is_via_account && !facts.allows_via_account {
        return Err(Refusal {
            why: Why::ViaAccount,
            text: format!("a probe of {profile} {what}: providers close accounts that send such mail"),
            mend: format!(
                "send it from a server of yours without `auth`, or add `allow_negative_via_account = true` to \
                 [route.{route}]"
            ),
            until: None,
        });
    }
    let own = (facts.destination.to_owned(), facts.leave.clone());
    let forged = facts.names.iter().filter(|_| facts.harm == Harm::Forged);
    for (domain, leave) in std::iter::once(&own).chain(forged) {
        let record = record_name(domain);
        let installation = facts.installation;
        match leave {
            Leave::Published => {}
            Leave::Absent { found } => {
                let others = match found.as_slice() {
                    [] => String::new(),
                    found => format!(" (there: {})", found.join(", ")),
                };
                return Err(Refusal {
                    why: Why::NoLeave,
                    text: format!(
                        "a probe of {profile} {what}, and {domain} publishes no leave for this installation{others}"
                    ),
                    mend: format!("publish `{record} TXT \"{installation}\"`"),
                    until: Some(now.after(limits::PROBE_LEAVE_AGAIN)),
                });
            }
            Leave::NotKnown(cause) => {
                return Err(Refusal {
                    why: Why::LeaveNotKnown,
                    text: format!(
                        "a probe of {profile} {what}, and whether {domain} publishes its leave is not known: {cause}"
                    ),
                    mend: format!("see that DNS answers for {record} (`mailsonde setup {domain}` asks it)"),
                    until: Some(now.after(limits::PROBE_LEAVE_AGAIN)),
                });
            }
        }
    }
    Ok(())
}

/// What receivers see of us.
fn look(facts: &Facts<'_>) -> Result<(), Refusal> {
    let faults: Vec<&Finding> = facts.look.iter().filter(|finding| finding.found == Found::No).collect();
    if faults.is_empty() || facts.is_forced {
        return Ok(());
    }
    let join =
        |part: fn(&Finding) -> &str| faults.iter().map(|fault| part(fault)).collect::<Vec<_>>().join("; ");
    let force = match facts.occasion {
        Occasion::Hand => "`--force` sends all the same",
        Occasion::Schedule | Occasion::Quick => "`force = true` in [probes] sends all the same",
    };
    Err(Refusal {
        why: Why::Look,
        text: format!("receivers would take offence: {}", join(|fault| &fault.evidence)),
        mend: format!("{}; {force}", join(|fault| &fault.mend)),
        until: None,
    })
}

/// How often.
fn pace(facts: &Facts<'_>, now: Timestamp) -> Result<(), Refusal> {
    let least = facts.whose.least_interval();
    if let Some(last) = facts.last_sent.filter(|_| facts.occasion == Occasion::Schedule) {
        // Jitter moves a probe by a part of its interval: half of the least one is what nothing legitimate comes below.
        let next = last.after(least / 2);
        if last <= now && now < next {
            let to = match facts.whose {
                Whose::Foreign => "other people's systems",
                Whose::Here | Whose::Own => "own systems",
            };
            return Err(Refusal {
                why: Why::Interval,
                text: format!(
                    "the last probe of {} on route {} went out {} s ago",
                    facts.profile,
                    facts.route,
                    now.ms_since(last) / 1_000
                ),
                mend: format!("the least interval to {to} is {} s", least.as_secs()),
                until: Some(next),
            });
        }
    }
    match facts.full {
        None => Ok(()),
        Some(full) => Err(Refusal {
            why: Why::Cap,
            text: format!("{} probes went to {}: that is the cap", full.cap, full.what),
            mend: format!("wait, or raise `{}` in [probes]", full.key),
            until: Some(full.until),
        }),
    }
}

#[cfg(test)]
mod tests;
