//! The product shown on loopback: every kind of shipped mail goes through a real SMTP dialogue with STARTTLS
//! into a receiver of ours, and three probes meet three fates. No network, no root.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::config::ZoneSource;
use crate::config::settings::{ListenerSettings, RouteSettings, SenderSettings, SenderTls, Settings};
use crate::daemon::probe::{Asked, Sending, send_probe};
use crate::daemon::recipients::Recipients;
use crate::daemon::serve::{Service, bind};
use crate::daemon::{keys, options};
use crate::mail::{Address, Body, Envelope, Inbox, MessageId, Purpose, Refusal, ReversePath};
use crate::probe::lifecycle::{State, What};
use crate::probe::token::KeyRing;
use crate::smtp::sink::{Listener, Relays, Sink, SinkOptions};
use crate::smtp::submit::{Outcome, Submission, SubmitOptions, Timeouts, TlsMode, Verify, submit};
use crate::store::SINK_EYE;
use crate::summary::Query;

/// One shipped mail: its file name, reverse-path, recipient, bytes.
struct Sample {
    name: &'static str,
    mail_from: &'static str,
    purpose: Purpose,
    bytes: &'static [u8],
}

/// A sample of `fixtures/mail`.
macro_rules! sample {
    ($name:literal, $mail_from:literal, $purpose:ident) => {
        Sample {
            name: $name,
            mail_from: $mail_from,
            purpose: Purpose::$purpose,
            bytes: include_bytes!(concat!("../../fixtures/mail/", $name, ".eml")),
        }
    };
}

/// The shipped mails in the order of their names; the envelopes are those of the files beside them.
const SAMPLES: [Sample; 12] = [
    sample!("01-aggregate-gzip", "dmarc-noreply@alpine.example", Reports),
    sample!("02-aggregate-zip-rfc9990", "reports@harbour.example", Reports),
    sample!("03-aggregate-plain-xml", "postmaster@lakeside.example", Reports),
    sample!("04-aggregate-single-part", "noreply-dmarc@cedar.example", Reports),
    sample!("05-aggregate-duplicate", "dmarc-noreply@alpine.example", Reports),
    sample!("06-aggregate-cut-off", "dmarc@dune.example", Reports),
    sample!("07-failure-report", "failure-reports@alpine.example", Failures),
    sample!("08-tls-report", "tls-noreply@alpine.example", Tls),
    sample!("09-bounce-delivery-status", "", Bounce),
    sample!("10-bounce-plain-text", "", Bounce),
    sample!("11-ordinary-mail", "jm@example.org", Postmaster),
    sample!("12-vacation-reply", "ada@example.net", Watch),
];

/// What DNS says in the demonstration, which asks nobody: the domains of `dns check`, one in order, others not.
const ZONE: &str = include_str!("../../fixtures/dns/demo.zone");

/// How long the lost probe is waited for.
const LOST_AFTER: Duration = Duration::from_secs(3);

/// A demonstration that has run and is still up.
pub struct Demo {
    /// The receiver, its store, its reader.
    pub service: Service,
    /// The settings by which it runs.
    pub settings: Settings,
}

/// Takes every message, answers 250, and forgets it: the far end that loses mail.
struct DiscardingInbox {
    recipients: Recipients,
    count: AtomicI64,
}

impl Inbox for DiscardingInbox {
    fn recipient(&self, address: &Address, client: Option<std::net::IpAddr>) -> Result<Purpose, Refusal> {
        self.recipients.judge(address, client)
    }

    fn has_room(&self, _size_bytes: u64) -> Result<(), Refusal> {
        Ok(())
    }

    async fn accept(&self, _envelope: Envelope, _body: Body) -> Result<MessageId, Refusal> {
        Ok(MessageId(self.count.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Runs the demonstration with its database in `folder`. `say` gets one line a step.
///
/// Must run within a runtime. Errors: what a real installation would report too (ports, disk), and any
/// sample or probe that did not meet its fate.
pub async fn run(folder: &Path, say: &mut dyn FnMut(&str)) -> anyhow::Result<Demo> {
    let mut settings = Settings::without_file();
    settings.store_path = folder.join("demo.db");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.listeners = vec![ListenerSettings::plain(address)];
    settings.receiver.host_name = Some("mx.mailsonde.test".to_owned());
    // What its mails are worth stays open: the domains in the samples are not in the zone.
    settings.authentication.verifies = false;
    settings.dns.zone = Some(ZoneSource::Text(ZONE));
    let service = Service::start(&settings, bind(&settings)?)?;
    let sink = *service.addresses().first().context("the receiver has no address")?;
    say(&format!("receiver listens on {sink}, STARTTLS with a certificate made just now"));

    deliver_samples(&settings, sink, say).await?;
    service.settled().await?;

    let ring = keys::load_or_create(&settings.store_path)?;
    let lossy = lossy_sink(&settings, &ring, folder)?;
    settings.routes = vec![
        route("arrives", sink, "probe+{token}@mailsonde.test")?,
        route("refused", sink, "nobody@mailsonde.test")?,
        route("lossy", lossy, "probe+{token}@mailsonde.test")?,
    ];
    let sending =
        Sending::new(service.store().clone(), ring, Arc::new(settings.clone()), service.dns(), false);
    for route in &settings.routes {
        let sent = send_probe(&sending, route, Asked::by_hand(route.profile())).await?;
        let fate = match sent.hand_over.outcome.what() {
            What::Accepted(reason) => format!("accepted, {reason}"),
            What::Refused(reason) => format!("refused, {reason}"),
            other => bail!("the probe of route `{}` was not handed over: {other:?}", route.name),
        };
        say(&format!("probe on route `{}` to {}: {fate}", route.name, sent.to));
    }
    service.settled().await?;
    say(&format!("waiting {} s until the probe of route `lossy` counts as lost", LOST_AFTER.as_secs()));
    settle_probes(&service).await?;
    Ok(Demo { service, settings })
}

/// Delivers every shipped mail by real SMTP.
async fn deliver_samples(
    settings: &Settings,
    sink: SocketAddr,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    let submit_options = SubmitOptions {
        host: sink.ip().to_string(),
        port: sink.port(),
        helo: "demo.mailsonde.test".to_owned(),
        tls: TlsMode::Required,
        verify: Verify::Off,
        server_name: None,
        credentials: None,
        source_address: None,
        dsn: None,
        timeouts: Timeouts::STANDARD,
    };
    for sample in SAMPLES {
        let rcpt_to = settings
            .recipients
            .iter()
            .find(|recipient| recipient.purpose == sample.purpose)
            .map(|recipient| recipient.address.clone())
            .with_context(|| format!("no recipient for {}", sample.purpose.as_str()))?;
        let mail_from = Address::parse(sample.mail_from).map_or(ReversePath::Null, ReversePath::Address);
        let submission = Submission {
            mail_from: &mail_from,
            rcpt_to: &rcpt_to,
            message: sample.bytes,
            needs_smtputf8: false,
        };
        let hand_over = submit(&submit_options, submission).await;
        match &hand_over.outcome {
            Outcome::Accepted(reply) => {
                let tls = hand_over.tls.as_ref().map_or("no TLS", |tls| tls.version.as_str());
                say(&format!("{:<26} to {rcpt_to:<26} {tls}: {} {}", sample.name, reply.code, reply.text()));
            }
            other => bail!("{}: not delivered: {:?}", sample.name, other),
        }
    }
    Ok(())
}

/// Starts the far end that loses everything.
fn lossy_sink(settings: &Settings, ring: &KeyRing, folder: &Path) -> anyhow::Result<SocketAddr> {
    let inbox =
        DiscardingInbox { recipients: options::recipients(settings, ring.clone()), count: AtomicI64::new(1) };
    let sink = Sink::bind(
        SinkOptions {
            host_name: "lossy.mailsonde.test".to_owned(),
            listeners: vec![Listener::Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))],
            tls: None,
            spool_directory: folder.to_owned(),
            trusted: Vec::new(),
            relays: Relays::NONE,
            limits: options::sink_limits(settings),
        },
        Arc::new(inbox),
    )?;
    let address = *sink.addresses().first().context("the second receiver has no address")?;
    // Ends with the runtime.
    drop(tokio::spawn(sink.serve()));
    Ok(address)
}

/// A route to a receiver on loopback.
fn route(name: &str, sink: SocketAddr, to: &str) -> anyhow::Result<RouteSettings> {
    let sender = SenderSettings {
        tls: SenderTls::StartTlsIfOffered,
        accepts_any_certificate: true,
        ..SenderSettings::submission(name, sink.ip().to_string(), sink.port())
    };
    let from = Address::parse("probe@demo.mailsonde.test").context("the demonstration's address")?;
    // What comes back comes to us: without that nothing could be called lost.
    let mail_from = Some("bounce+{token}@mailsonde.test".to_owned());
    Ok(RouteSettings { lost_after: LOST_AFTER, mail_from, ..RouteSettings::new(name, sender, to, from) })
}

/// Waits until every probe has its verdict, and checks that it is the expected one.
async fn settle_probes(service: &Service) -> anyhow::Result<()> {
    let expected = [("arrives", State::Arrived), ("refused", State::Refused), ("lossy", State::Lost)];
    // The slowest of them is lost after `LOST_AFTER`; twice that is a fault of ours.
    for _ in 0..(2 * LOST_AFTER.as_millis() / 50) {
        // Nothing is lost unless somebody looked.
        let now = crate::clock::now();
        service.store().note_look(SINK_EYE, now, Duration::from_secs(1), None)?;
        let reader = service.store().reader()?;
        let rows = reader.probes(&Query::default(), crate::clock::now())?.rows;
        let is_so = |(route, state): &(&str, State)| {
            rows.iter().any(|row| row.route == *route && row.state == state.as_str())
        };
        if expected.iter().all(is_so) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("a probe of the demonstration did not meet its fate; see the table of probes")
}
