//! From a route and the time to a probe that is ready to be sent. Pure.

use crate::authentication::dmarc::organizational_by_suffix;
use crate::clock::Timestamp;
use crate::dns::Name;
use crate::mail::{Address, ReversePath};
use crate::probe::compose::{
    ComposeError, Composed, Draft, Need, OwnFile, Profile, Signer, Template, address_of, compose,
};
use crate::probe::token::{KeyRing, Kind, Token, TokenTexts};

/// The local part of a user who does not exist, with the token, so that the bounce names the probe.
const NO_SUCH_USER: &str = "no-such-user-{token}";

/// What a probe needs to know of its route.
#[derive(Debug, Clone, Copy)]
pub struct RoutePlan<'r> {
    /// The route's name.
    pub name: &'r str,
    /// The recipient, with `{token}` where the token goes.
    pub to: &'r str,
    /// The author.
    pub from: &'r Address,
    /// The reverse-path, with `{token}` where the token goes; `None`: the author.
    pub mail_from: Option<&'r str>,
    /// What the message is made of.
    pub profile: Profile,
    /// The key with which it is signed.
    pub dkim: Option<&'r Signer>,
    /// The operator's own text.
    pub template: Option<&'r Template>,
    /// The operator's own fields.
    pub headers: &'r [(String, String)],
    /// The operator's own file, for [`Profile::AttachFile`].
    pub file: Option<OwnFile<'r>>,
}

impl<'r> RoutePlan<'r> {
    /// A route with nothing of the operator's own; the other fields can be set after it.
    pub fn new(name: &'r str, to: &'r str, from: &'r Address, profile: Profile) -> Self {
        Self {
            name,
            to,
            from,
            mail_from: None,
            profile,
            dkim: None,
            template: None,
            headers: &[],
            file: None,
        }
    }
}

/// A probe that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its token.
    pub token: Token,
    /// Its texts; [`TokenTexts::name`] is its name.
    pub texts: TokenTexts,
    /// Its reverse-path.
    pub mail_from: ReversePath,
    /// Its recipient.
    pub rcpt_to: Address,
    /// Its bytes.
    pub message: Composed,
}

/// Why a route gives no probe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Operator: with a token of 34 characters (35 in the reverse-path) the template is no address; a
    /// local part has at most 64 (RFC 5321 §4.5.3.1.1).
    #[error("with the token in it, not an address: {0}")]
    Address(String),
    /// Operator: the profile needs something that the route does not have.
    #[error("the profile {profile} needs {need}", need = need.as_str())]
    Needs {
        /// The profile.
        profile: Profile,
        /// What it needs.
        need: Need,
    },
    /// Operator: the route's own parts make no message.
    #[error(transparent)]
    Compose(ComposeError),
    /// Our fault: the ring cannot make texts of its own token.
    #[error("no key for the token")]
    NoKey,
}

/// The number that stands for a route in its tokens: the same whatever the order of the routes.
///
/// Two of a hundred routes share one with a probability of 7 %; the store tells them apart by name.
pub fn route_number(name: &str) -> u16 {
    let hash = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
    match hash.as_ref() {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

/// Makes the probe of a route, of the kind that its profile has.
///
/// `counter` tells probes of one route and second apart, also across processes: choose it at random.
/// The same arguments give the same bytes. Errors: [`PlanError`].
pub fn plan(
    ring: &KeyRing,
    route: &RoutePlan<'_>,
    at: Timestamp,
    counter: u32,
) -> Result<Planned, PlanError> {
    plan_as(ring, route.profile.kind(), route, at, counter)
}

/// Makes a probe as [`plan()`] does, of another kind than its profile has: a load, a drill, a seed.
pub fn plan_as(
    ring: &KeyRing,
    kind: Kind,
    route: &RoutePlan<'_>,
    at: Timestamp,
    counter: u32,
) -> Result<Planned, PlanError> {
    let token = ring.mint(kind, route_number(route.name), at, counter);
    let texts = ring.texts(&token).ok_or(PlanError::NoKey)?;
    let fill = |template: &str, text: &str| {
        address_of(template, text).ok_or(PlanError::Address(template.to_owned()))
    };
    let rcpt_to = match (route.profile, route.to.rsplit_once('@')) {
        // At the domain of the route, and not the mailbox that is there.
        (Profile::UnknownUser, Some((_, domain))) => {
            fill(&format!("{NO_SUCH_USER}@{domain}"), &texts.recipient)?
        }
        _ => fill(route.to, &texts.recipient)?,
    };
    let mail_from = match route.mail_from {
        Some(template) => fill(template, &texts.envelope_sender)?,
        None => route.from.clone(),
    };
    check_sender(route, &mail_from)?;
    let draft = Draft {
        dkim: route.dkim,
        template: route.template,
        headers: route.headers,
        file: route.file,
        ..Draft::new(&token, &texts, route.name, route.profile, route.from, &rcpt_to)
    };
    let mut message = compose(&draft).map_err(PlanError::Compose)?;
    // RFC 6531 §3.4: also where only the envelope is not ASCII.
    message.needs_smtputf8 |= [&mail_from, &rcpt_to].iter().any(|address| !address.local.is_ascii());
    Ok(Planned { token, texts, mail_from: ReversePath::Address(mail_from), rcpt_to, message })
}

/// Makes the answer to the arrival of `probe`, a probe of its own kind: to the address of `route`, from the null
/// reverse-path, so that nobody answers or bounces it (RFC 3834 §3.3). Nothing of the mail that arrived goes into it.
///
/// The same arguments give the same bytes. Errors: as [`plan()`].
pub fn plan_reply(
    ring: &KeyRing,
    route: &RoutePlan<'_>,
    probe: &Token,
    at: Timestamp,
    counter: u32,
) -> Result<Planned, PlanError> {
    let answered = ring.texts(probe).ok_or(PlanError::NoKey)?.message_id;
    let domain = route.from.domain.as_deref().ok_or_else(|| PlanError::Address(route.from.to_string()))?;
    let answered = format!("<{answered}@{domain}>");
    let token = ring.mint(Kind::Reply, route_number(route.name), at, counter);
    let texts = ring.texts(&token).ok_or(PlanError::NoKey)?;
    let rcpt_to = address_of(route.to, &texts.recipient).ok_or(PlanError::Address(route.to.to_owned()))?;
    let draft = Draft {
        dkim: route.dkim,
        answers: Some(&answered),
        ..Draft::new(&token, &texts, route.name, route.profile, route.from, &rcpt_to)
    };
    let mut message = compose(&draft).map_err(PlanError::Compose)?;
    message.needs_smtputf8 |= !rcpt_to.local.is_ascii();
    Ok(Planned { token, texts, mail_from: ReversePath::Null, rcpt_to, message })
}

/// Checks that the envelope sender is one by which the profile can fail as it should.
fn check_sender(route: &RoutePlan<'_>, mail_from: &Address) -> Result<(), PlanError> {
    let profile = route.profile;
    let is_own = route.mail_from.is_some();
    // The organizational domains differ (RFC 7489 §3.2): not even a relaxed SPF identity aligns.
    let organization = |address: &Address| {
        Name::from_dotted(address.domain.as_deref()?).ok().map(|name| organizational_by_suffix(&name))
    };
    let is_unaligned = || organization(mail_from) != organization(route.from);
    for need in profile.needs() {
        let is_met = match need {
            Need::MailFrom => is_own,
            Need::UnalignedMailFrom => is_own && is_unaligned(),
            _ => true,
        };
        if !is_met {
            return Err(PlanError::Needs { profile, need: *need });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::matching::{Seen, Standing, match_message};
    use crate::probe::token::{Place, Reading};

    const AT: Timestamp = Timestamp::from_seconds(1_790_000_000);

    fn make(to: &str, mail_from: Option<&str>) -> Result<Planned, PlanError> {
        let ring = KeyRing::with_id(1, &[9; 32]).unwrap();
        let from = Address::parse("probe@example.org").unwrap();
        let route = RoutePlan { mail_from, ..RoutePlan::new("hq", to, &from, Profile::Plain) };
        plan(&ring, &route, AT, 3)
    }

    #[test]
    fn the_token_goes_where_the_template_says() {
        let ring = KeyRing::with_id(1, &[9; 32]).unwrap();
        let planned = make("probe+{token}@example.net", Some("{token}@bounce.example.org")).unwrap();
        assert_eq!(planned.rcpt_to.to_string(), format!("probe+{}@example.net", planned.texts.recipient));
        let sender = &planned.mail_from.address().unwrap().local;
        let want = Reading::Valid { token: planned.token, made_for: Place::EnvelopeSender };
        assert_eq!(ring.read_text(sender), Some(want));
        let planned = make("user@example.net", None).unwrap();
        assert_eq!(planned.mail_from.to_string(), "probe@example.org");
        // Also without a token in its recipient the probe is found by its fields.
        let text = String::from_utf8(planned.message.bytes).unwrap();
        let (header, _) = text.split_once("\r\n\r\n").unwrap();
        let header = header.replace("\r\n ", " ");
        let fields: Vec<_> = header.lines().filter_map(|line| line.split_once(": ")).collect();
        let seen = Seen {
            received_at: Some(AT),
            mail_from: Some(&planned.mail_from),
            recipients: &[planned.rcpt_to],
            fields: &fields,
            text: b"",
        };
        assert_eq!(match_message(&ring, &seen).probes[0].standing, Standing::Arrival);
    }

    #[test]
    fn templates_that_do_not_fit() {
        for (to, mail_from) in [
            ("{token}", None),
            ("an-account-with-a-quite-long-name+{token}@example.net", None),
            ("a b{token}@example.net", None),
            ("{token}@example.net", Some("bounce")),
        ] {
            assert!(matches!(make(to, mail_from), Err(PlanError::Address(_))), "{to}");
        }
    }

    /// What a profile plans for a route.
    fn planned(profile: &str, to: &str, mail_from: Option<&str>) -> Result<Planned, PlanError> {
        let ring = KeyRing::with_id(1, &[9; 32]).unwrap();
        let from = Address::parse("probe@probe.example.org").unwrap();
        let profile = Profile::parse(profile).unwrap();
        plan(&ring, &RoutePlan { mail_from, ..RoutePlan::new("hq", to, &from, profile) }, AT, 3)
    }

    #[test]
    fn the_profile_chooses_kind_and_user() {
        let to = "user+{token}@example.net";
        for (profile, kind) in [
            ("plain", Kind::Probe),
            ("business", Kind::Probe),
            ("eicar", Kind::Negative),
            ("open-relay", Kind::Negative),
            ("unknown-user", Kind::BounceTest),
        ] {
            let planned = planned(profile, to, None).unwrap();
            assert_eq!(planned.token.kind, kind, "{profile}");
            let local = match profile {
                "unknown-user" => format!("no-such-user-{}", planned.texts.recipient),
                _ => format!("user+{}", planned.texts.recipient),
            };
            assert_eq!(planned.rcpt_to.to_string(), format!("{local}@example.net"));
        }
        // Also where the route has one fixed mailbox, the user is one who is not there.
        let planned = planned("unknown-user", "user@example.net", None).unwrap();
        assert!(planned.rcpt_to.local.starts_with("no-such-user-mf"));
        let ring = KeyRing::with_id(1, &[9; 32]).unwrap();
        let from = Address::parse("probe@example.org").unwrap();
        let route = RoutePlan::new("hq", to, &from, Profile::Plain);
        assert_eq!(plan_as(&ring, Kind::Drill, &route, AT, 3).unwrap().token.kind, Kind::Drill);
    }

    #[test]
    fn failures_need_an_envelope_sender_that_fails() {
        let to = "user+{token}@example.net";
        for (profile, mail_from, is_fine) in [
            ("spf-fail", None, false),
            ("spf-fail", Some("mfb@nospf.example.org"), true),
            ("dmarc-fail", None, false),
            // Relaxed alignment would pass.
            ("dmarc-fail", Some("mfb@nospf.example.org"), false),
            ("dmarc-fail", Some("mfb@example.com"), true),
            ("plain", None, true),
        ] {
            match planned(profile, to, mail_from) {
                Ok(_) => assert!(is_fine, "{profile} {mail_from:?}"),
                Err(error) => {
                    assert!(!is_fine && error.to_string().contains("`mail_from`"), "{profile}: {error}");
                }
            }
        }
        let error = planned("dkim-broken", to, None).unwrap_err();
        assert!(error.to_string().contains("`dkim = \"NAME\"`"), "{error}");
    }

    #[test]
    fn internationalized_addresses_in_the_envelope() {
        let plain = planned("plain", "{token}@bücher.example", None).unwrap();
        assert_eq!(plain.rcpt_to.domain.as_deref(), Some("xn--bcher-kva.example"));
        assert!(!plain.message.needs_smtputf8);
        // RFC 6531 §3.4: the envelope alone asks for it.
        let sender = planned("plain", "{token}@example.net", Some("rück@example.org")).unwrap();
        assert!(sender.message.needs_smtputf8 && !sender.message.has_8bit);
        assert!(planned("plain", "prüfung+{token}@example.net", None).unwrap().message.needs_smtputf8);
    }

    #[test]
    fn numbers_of_routes_depend_on_the_name_only() {
        assert_eq!(route_number("hq"), route_number("hq"));
        assert_ne!(route_number("hq"), route_number("hq2"));
    }

    #[test]
    fn an_answer_has_a_token_of_its_own_and_names_what_it_answers() {
        let ring = KeyRing::with_id(1, &[9; 32]).unwrap();
        let probe = make("probe+{token}@example.net", None).unwrap();
        let from = Address::parse("probe@example.org").unwrap();
        let route = RoutePlan::new("hq/back", "back+{token}@example.org", &from, Profile::Plain);
        let reply = plan_reply(&ring, &route, &probe.token, AT, 5).unwrap();
        assert_eq!((reply.token.kind, &reply.mail_from), (Kind::Reply, &ReversePath::Null));
        assert_eq!(reply.rcpt_to.to_string(), format!("back+{}@example.org", reply.texts.recipient));
        let text = String::from_utf8(reply.message.bytes.clone()).unwrap();
        let (header, _) = text.split_once("\r\n\r\n").unwrap();
        let header = header.replace("\r\n ", " ");
        assert!(
            header.contains("Auto-Submitted: auto-replied") && !header.contains("auto-generated"),
            "{header}"
        );
        assert!(header.contains(&format!("In-Reply-To: {}", probe.message.message_id)), "{header}");
        // The arrival of the answer is that of the answer, and only quotes the probe.
        let fields: Vec<_> = header.lines().filter_map(|line| line.split_once(": ")).collect();
        let recipients = [reply.rcpt_to.clone()];
        let seen = Seen {
            received_at: Some(AT),
            mail_from: Some(&reply.mail_from),
            recipients: &recipients,
            fields: &fields,
            text: b"",
        };
        let matches = match_message(&ring, &seen);
        assert_eq!(matches.arrival().unwrap().token, reply.token);
        assert!(
            matches
                .probes
                .iter()
                .any(|found| found.token == probe.token && found.standing == Standing::Quoted)
        );
        assert_eq!(
            plan_reply(&ring, &route, &probe.token, AT, 5).unwrap().message.bytes,
            reply.message.bytes
        );
    }
}
