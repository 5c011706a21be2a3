//! From a route and the time to a probe that is ready to be sent. Pure.

use crate::clock::Timestamp;
use crate::mail::{Address, ReversePath};
use crate::probe::compose::{Composed, Draft, Profile, address_of, compose};
use crate::probe::token::{KeyRing, Kind, Token, TokenTexts};

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

/// Makes the probe of a route.
///
/// `counter` tells probes of one route and second apart, also across processes: choose it at random.
/// The same arguments give the same bytes. Errors: [`PlanError`].
pub fn plan(
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
    let rcpt_to = fill(route.to, &texts.recipient)?;
    let mail_from = match route.mail_from {
        Some(template) => fill(template, &texts.envelope_sender)?,
        None => route.from.clone(),
    };
    let message = compose(&Draft {
        token: &token,
        texts: &texts,
        route: route.name,
        profile: route.profile,
        from: route.from,
        to: &rcpt_to,
    });
    Ok(Planned { token, texts, mail_from: ReversePath::Address(mail_from), rcpt_to, message })
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
        let route = RoutePlan { name: "hq", to, from: &from, mail_from, profile: Profile::Plain };
        plan(&ring, Kind::Probe, &route, AT, 3)
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

    #[test]
    fn numbers_of_routes_depend_on_the_name_only() {
        assert_eq!(route_number("hq"), route_number("hq"));
        assert_ne!(route_number("hq"), route_number("hq2"));
    }
}
