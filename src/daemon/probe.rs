//! Sends one probe of a route and records how far it came.

use anyhow::Context;
use ring::rand::{SecureRandom, SystemRandom};

use crate::clock;
use crate::config::settings::RouteSettings;
use crate::daemon::options;
use crate::daemon::probe_parts::Parts;
use crate::mail::Address;
use crate::probe::plan::{Planned, plan};
use crate::probe::token::{COUNTER_MAX, KeyRing};
use crate::smtp::submit::{HandOver, Submission, submit};
use crate::store::{NewProbe, Store, mailbox_eye};

/// A probe that was handed over, or was not.
#[derive(Debug)]
pub struct Sent {
    /// Its name: the token as it stands in the recipient.
    pub token: String,
    /// The recipient.
    pub to: Address,
    /// How it went.
    pub hand_over: HandOver,
}

/// Sends a probe of `route`: its row is committed before the first byte leaves.
///
/// Errors: a route that makes no probe, a password that cannot be read, the store. How the far end behaves
/// is no error: it stands in the hand-over.
pub async fn send_probe(
    store: &Store,
    keys: &KeyRing,
    route: &RouteSettings,
    own_name: Option<&str>,
) -> anyhow::Result<Sent> {
    let mut submit_options = options::submit(&route.sender, own_name)?;
    let mut random = [0; 4];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| anyhow::anyhow!("no random numbers from the system"))?;
    let counter = u32::from_be_bytes(random) & COUNTER_MAX;
    let parts = Parts::read(route).with_context(|| format!("route `{}`", route.name))?;
    let route_plan = parts.plan(route, route.profile());
    let sent_at = clock::now();
    let planned =
        plan(keys, &route_plan, sent_at, counter).with_context(|| format!("route `{}`", route.name))?;
    let mut probe = NewProbe::of(&planned, &route_plan, sent_at, route.lost_after);
    watched_by(&mut probe, route);
    let Planned { texts, mail_from, rcpt_to, message, .. } = planned;
    let token = texts.name().to_owned();
    submit_options.dsn = options::dsn(&route.sender, &token);
    run_blocking(store, move |store| store.begin_probe(probe)).await?;
    let submission = Submission {
        mail_from: &mail_from,
        rcpt_to: &rcpt_to,
        message: &message.bytes,
        needs_smtputf8: message.needs_smtputf8,
    };
    let hand_over = submit(&submit_options, submission).await;
    let (name, record) = (token.clone(), hand_over.clone());
    run_blocking(store, move |store| store.finish_probe(&name, record)).await?;
    Ok(Sent { token, to: rcpt_to, hand_over })
}

/// Says who watches for the probe of a route, and when it is overdue.
fn watched_by(probe: &mut NewProbe, route: &RouteSettings) {
    if let Some(watch) = &route.watch {
        probe.eyes = vec![mailbox_eye(watch)];
    }
    // A probe whose bounces nobody reads is not lost while they are not read.
    probe.eyes.extend(route.bounces.as_deref().map(mailbox_eye));
    if let Some(overdue_after) = route.overdue_after {
        probe.overdue_after = overdue_after;
    }
}

/// Waits for a write without stopping the sessions of the runtime.
async fn run_blocking<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(Store) -> Result<T, crate::store::StoreError> + Send + 'static,
) -> anyhow::Result<T> {
    let store = store.clone();
    Ok(tokio::task::spawn_blocking(move || work(store)).await.context("the write was cut off")??)
}
