//! The schedule of probes at work: the real program against far ends that take, put off, refuse and stall.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailsonde::clock::{self, Timestamp};
use mailsonde::config::settings::{RouteSettings, SenderSettings, Settings};
use mailsonde::daemon::probe::{Asked, Sending, send_again, send_probe};
use mailsonde::daemon::{dns, keys};
use mailsonde::mail::Address;
use mailsonde::probe::compose::Profile;
use mailsonde::probe::plan::{RoutePlan, plan};
use mailsonde::probe::schedule::{Because, Memory, Series};
use mailsonde::smtp::submit::{Cause, HandOver, Outcome, Phase, Reply};
use mailsonde::store::{MissedRuns, NewProbe, ScheduleNote, SeriesKey, Store};

use crate::support::program::{Server, json, json_said, say};
use crate::support::sink::eventually;

/// What a far end does with one message.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// Takes it.
    Take,
    /// Answers RCPT with this line.
    Answer(&'static str),
    /// Reads it whole and says nothing more.
    Stall,
}

/// A message as a far end saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    at: Timestamp,
    from_ip: std::net::IpAddr,
    helo: String,
    mail: String,
    rcpt: String,
    /// Empty if it did not come so far.
    data: String,
}

/// A far end on loopback: one thread a session.
#[derive(Clone)]
struct FarEnd {
    address: SocketAddr,
    does: Arc<Mutex<Does>>,
    got: Arc<Mutex<Vec<Got>>>,
}

impl FarEnd {
    fn start(does: Does) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let far_end = Self {
            address: listener.local_addr().unwrap(),
            does: Arc::new(Mutex::new(does)),
            got: Arc::default(),
        };
        let shared = far_end.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                // A client that is killed in the middle is what some tests want.
                std::thread::spawn(move || drop(shared.session(stream)));
            }
        });
        far_end
    }

    fn now_does(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    fn session(&self, stream: TcpStream) -> std::io::Result<()> {
        let does = *self.does.lock().unwrap();
        let from_ip = stream.peer_addr()?.ip();
        let mut stream = BufReader::new(stream);
        let mut got = Got {
            at: clock::now(),
            from_ip,
            helo: String::new(),
            mail: String::new(),
            rcpt: String::new(),
            data: String::new(),
        };
        stream.get_mut().write_all(b"220 far.example.net ESMTP\r\n")?;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let text = line.trim_end().to_owned();
            let reply = match line.get(..4).unwrap_or_default() {
                "EHLO" => {
                    got.helo = text;
                    "250 far.example.net"
                }
                "MAIL" => {
                    (got.at, got.mail) = (clock::now(), text);
                    "250 2.1.0 ok"
                }
                "RCPT" => {
                    got.rcpt = text;
                    match does {
                        Does::Answer(reply) => {
                            self.got.lock().unwrap().push(got.clone());
                            reply
                        }
                        _ => "250 2.1.5 ok",
                    }
                }
                "DATA" => {
                    stream.get_mut().write_all(b"354 go\r\n")?;
                    loop {
                        let mut line = String::new();
                        if stream.read_line(&mut line)? == 0 {
                            return Ok(());
                        }
                        if line == ".\r\n" {
                            break;
                        }
                        got.data.push_str(&line);
                    }
                    self.got.lock().unwrap().push(got.clone());
                    if matches!(does, Does::Stall) {
                        // Until the client goes away.
                        return stream.read_line(&mut String::new()).map(drop);
                    }
                    "250 2.0.0 ok"
                }
                "QUIT" => return stream.get_mut().write_all(b"221 bye\r\n"),
                _ => "500 what",
            };
            stream.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
        }
    }
}

/// A folder with a configuration of one route to a far end.
fn folder(far_end: &FarEnd, route: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[smtp]\nhost_name = \"mx.example.com\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [store]\npath = \"mailsonde.db\"\n[authentication]\nverify = false\n\
         [probes]\nper_destination = \"100000/h\"\ntotal = \"100000/h\"\n\
         [[domain]]\nname = \"example.com\"\n\
         [[recipient]]\naddress = \"probe@example.com\"\npurpose = \"probe\"\n\
         [sender.far]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         [route.hq]\nsender = \"far\"\nto = \"probe+{{token}}@example.com\"\nfrom = \"hq@example.com\"\n{route}\n",
        far_end.address.port()
    );
    std::fs::write(folder.path().join("mailsonde.toml"), text).unwrap();
    folder
}

/// The store beside a running program, as its own commands open it.
fn store(folder: &Path) -> Store {
    Store::open(&folder.join("mailsonde.db"), crate::store::options()).unwrap()
}

fn key() -> SeriesKey {
    SeriesKey { route: "hq".to_owned(), series: "in-turn".to_owned() }
}

fn missed(store: &Store, because: Because) -> Vec<MissedRuns> {
    let all =
        store.reader().unwrap().missed_probes(Timestamp::from_ms(0), Timestamp::from_ms(i64::MAX)).unwrap();
    all.into_iter().filter(|missed| missed.because == because.as_str()).collect()
}

/// The token of what a far end got.
fn token(got: &Got) -> String {
    let (_, rest) = got.rcpt.split_once('+').unwrap();
    rest.split('@').next().unwrap().to_owned()
}

#[test]
fn slots_are_sent_once_over_restarts() {
    let far_end = FarEnd::start(Does::Take);
    let mut server = Server::start_in(folder(&far_end, "every = \"1s\"\njitter = \"20%\""), &[]);
    eventually("three probes", || far_end.got().len() >= 3);
    assert_eq!(server.stop(), Some(0));
    let before = far_end.got().len();
    let server = Server::start_in(server.kill(), &[]);
    eventually("three more", || far_end.got().len() >= before + 3);
    // A power cut in between.
    let server = Server::start_in(server.kill(), &[]);
    let before = far_end.got().len();
    eventually("three more", || far_end.got().len() >= before + 3);
    let got = far_end.got();
    let tokens: std::collections::BTreeSet<_> = got.iter().map(token).collect();
    assert_eq!(tokens.len(), got.len());
    // No more than one a slot, whatever ended in between: each second has one slot.
    let span = got.last().unwrap().at.ms_since(got[0].at);
    assert!(i64::try_from(got.len()).unwrap() <= span / 1_000 + 2, "{} in {span} ms", got.len());
    drop(server);
}

#[test]
fn what_was_not_sent_is_no_data() {
    let far_end = FarEnd::start(Does::Take);
    let folder = folder(&far_end, "every = \"10m\"\njitter = \"0%\"");
    let began = clock::now();
    let series = Series::new("hq", "in-turn", Duration::from_secs(600), 0, Duration::ZERO);
    let slots = |until: Timestamp| {
        let day_ago = Timestamp::from_ms(began.ms() - 86_400_000);
        let first = day_ago.ms() / 600_000 - 2;
        (first..first + 200)
            .map(|slot| series.slot_at(slot))
            .filter(|at| day_ago < *at && *at < until)
            .count()
    };
    {
        let store = store(folder.path());
        let day_ago = Timestamp::from_ms(began.ms() - 86_400_000);
        // So old that it is at its full rate.
        let memory = Memory { done_until: day_ago, ..Memory::new(Timestamp::from_ms(0)) };
        store.note_schedule(vec![ScheduleNote::Reached(key(), memory)], |result| result.unwrap()).unwrap();
        store.close();
    }
    let server = Server::start_in(folder, &[]);
    let store = store(server.path());
    eventually("the day is missed", || !missed(&store, Because::Off).is_empty());
    let all = missed(&store, Because::Off);
    let [day] = all.as_slice() else { panic!("{all:?}") };
    // All but those in the time of grace before the start, of which there is one at most.
    let expected = slots(began) as u64;
    assert!(day.runs == expected || day.runs + 1 == expected, "{} of {expected}", day.runs);
    assert!(far_end.got().len() <= 1, "a burst");
    store.close();
}

#[test]
fn killed_in_the_middle_of_sending_is_never_sent_again() {
    let far_end = FarEnd::start(Does::Stall);
    let server = Server::start_in(folder(&far_end, "every = \"1s\"\nlost_after = \"1h\""), &[]);
    eventually("the message came", || !far_end.got().is_empty());
    let folder = server.kill();
    let stalled = token(&far_end.got()[0]);
    far_end.now_does(Does::Take);
    let server = Server::start_in(folder, &[]);
    eventually("others are sent", || far_end.got().len() >= 4);
    let times = far_end.got().iter().filter(|got| token(got) == stalled).count();
    assert_eq!(times, 1);
    let shown = json(server.path(), &["probe", "show", &stalled]);
    let events: Vec<_> = shown["rows"].as_array().unwrap().iter().map(|row| row["what"].clone()).collect();
    assert_eq!(events.iter().filter(|event| *event == "sending").count(), 1, "{shown}");
    let is_known = |event: &&serde_json::Value| {
        ["sending", "eye", "verdict", "clock"].contains(&event.as_str().unwrap())
    };
    assert_eq!(events.iter().find(|event| !is_known(event)), None, "{shown}");
    assert_eq!(shown["totals"]["state"], "sending");
}

#[test]
fn a_reply_that_names_reputation_silences_the_route() {
    let far_end =
        FarEnd::start(Does::Answer("554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org"));
    let server = Server::start_in(folder(&far_end, "every = \"1s\"\njitter = \"0%\""), &[]);
    let store_of = |server: &Server| store(server.path());
    let first = store_of(&server);
    eventually("a run is left out", || !missed(&first, Because::BackedOff).is_empty());
    assert_eq!(far_end.got().len(), 1);
    let routes = json(server.path(), &["probe", "routes"]);
    let route = &routes["rows"][0];
    assert!(
        route["silent_until"].is_string() && route["silent_reason"].as_str().unwrap().contains("spamhaus"),
        "{route}"
    );
    first.close();
    // Also after a restart, and by one row more, not one a run.
    let server = Server::start_in(server.kill(), &[]);
    let second = store_of(&server);
    let runs =
        |store: &Store| missed(store, Because::BackedOff).iter().map(|missed| missed.runs).sum::<u64>();
    let before = runs(&second);
    eventually("more runs are left out", || runs(&second) > before + 1);
    assert_eq!(far_end.got().len(), 1);
    second.close();
}

/// A program's parts in this process: for what takes minutes there.
struct Parts {
    sending: Sending,
    route: RouteSettings,
    store: Store,
    _folder: tempfile::TempDir,
}

fn parts(far_end: &FarEnd) -> Parts {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("t.db"), crate::store::options()).unwrap();
    let sender = SenderSettings::submission("far", "127.0.0.1", far_end.address.port());
    let from = Address::parse("hq@mailsonde.test").unwrap();
    let mut route = RouteSettings::new("hq", sender, "probe+{token}@mailsonde.test", from);
    route.lost_after = Duration::from_secs(3_600);
    let mut settings = Settings::without_file();
    settings.routes = vec![route.clone()];
    let keys = keys::load_or_create(store.path()).unwrap();
    let dns = dns::connect(&settings.dns).unwrap();
    let sending = Sending::new(store.clone(), keys, Arc::new(settings), &dns, false);
    Parts { sending, route, store, _folder: folder }
}

#[test]
fn a_retry_has_the_same_triplet_and_the_same_bytes() {
    let far_end = FarEnd::start(Does::Answer("451 4.7.1 Greylisted, please come back in 300 seconds"));
    let Parts { sending, route, store, _folder } = parts(&far_end);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for profile in [Profile::Plain, Profile::Business, Profile::Attach(10_000)] {
        far_end.now_does(Does::Answer("451 4.7.1 Greylisted, please come back in 300 seconds"));
        let sent = runtime.block_on(send_probe(&sending, &route, Asked::by_hand(profile))).unwrap();
        assert!(matches!(sent.hand_over.outcome, Outcome::Deferred(..)));
        // What another process, or this one after a restart, knows of it.
        let waiting = sending.waiting(clock::now()).unwrap();
        let [waiting] = waiting.as_slice() else { panic!("{waiting:?}") };
        assert_eq!(
            (waiting.token.as_str(), waiting.attempts, waiting.is_greylisted),
            (sent.token.as_str(), 1, true)
        );
        // Another message under the same token is worse than none.
        let mut changed = route.clone();
        changed.from = Address::parse("other@mailsonde.test").unwrap();
        let error = runtime.block_on(send_again(&sending, &changed, waiting)).unwrap_err();
        assert!(error.to_string().contains("another message"), "{error}");
        far_end.now_does(Does::Take);
        let again = runtime.block_on(send_again(&sending, &route, waiting)).unwrap();
        assert!(matches!(again.hand_over.outcome, Outcome::Accepted(_)), "{:?}", again.hand_over.outcome);
        // Whoever thinks that it still waits, sends nothing.
        assert!(runtime.block_on(send_again(&sending, &route, waiting)).is_err());
        assert_eq!(sending.waiting(clock::now()).unwrap(), []);
        let got = far_end.got();
        let [first, second] = got.get(got.len() - 2..).unwrap() else { panic!("{got:?}") };
        assert_eq!(
            (first.from_ip, &first.helo, &first.mail, &first.rcpt),
            (second.from_ip, &second.helo, &second.mail, &second.rcpt)
        );
        assert_eq!(token(second), sent.token);
        // The first did not come as far as its bytes: the store knows what they were.
        let composed = second.data.replace("\r\n..", "\r\n.");
        assert_eq!(waiting.message_sha256(), &mailsonde::store::sha256(composed.as_bytes()));
    }
    store.close();
}

#[test]
fn what_is_in_doubt_does_not_wait_for_a_retry() {
    let far_end = FarEnd::start(Does::Take);
    let Parts { sending, route, store, _folder } = parts(&far_end);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sent = runtime.block_on(send_probe(&sending, &route, Asked::by_hand(Profile::Plain))).unwrap();
    assert!(matches!(sent.hand_over.outcome, Outcome::Accepted(_)));
    far_end.now_does(Does::Answer("550 5.1.1 no such user"));
    runtime.block_on(send_probe(&sending, &route, Asked::by_hand(Profile::Plain))).unwrap();
    assert_eq!(sending.waiting(clock::now()).unwrap(), []);
    store.close();
}

#[test]
fn put_off_probes_are_tried_again_after_a_restart() {
    let far_end = FarEnd::start(Does::Take);
    let folder = folder(&far_end, "lost_after = \"1h\"");
    let planned = {
        // Another process sent it ten minutes ago, and was told to come back later.
        let store = store(folder.path());
        let keys = keys::load_or_create(store.path()).unwrap();
        let from = Address::parse("hq@example.com").unwrap();
        let route = RoutePlan::new("hq", "probe+{token}@example.com", &from, Profile::Plain);
        let sent_at = Timestamp::from_ms(clock::now().ms() - 600_000);
        let planned = plan(&keys, &route, sent_at, 7).unwrap();
        store.begin_probe(NewProbe::of(&planned, &route, sent_at, Duration::from_secs(3_600))).unwrap();
        let reply = Reply {
            code: 451,
            enhanced: Some("4.7.1".to_owned()),
            lines: vec!["Greylisted".to_owned()],
            is_mixed: false,
        };
        let ended_at = sent_at.after(Duration::from_secs(1));
        let hand_over = HandOver {
            started_at: sent_at,
            ended_at,
            mx: Vec::new(),
            attempts: Vec::new(),
            peer: None,
            steps: Vec::new(),
            extensions: Vec::new(),
            tls: None,
            queue_id: None,
            outcome: Outcome::Deferred(Phase::Rcpt, Cause::Reply(reply)),
        };
        store.finish_probe(planned.texts.name(), hand_over).unwrap();
        store.close();
        planned
    };
    let server = Server::start_in(folder, &[]);
    eventually("it comes again", || !far_end.got().is_empty());
    let got = far_end.got();
    let [again] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!(token(again), planned.texts.name());
    assert_eq!(again.mail, "MAIL FROM:<hq@example.com>");
    assert_eq!(again.data.as_bytes(), planned.message.bytes);
    let name = planned.texts.name();
    let state = || json_said(server.path(), &["probe", "show", name])["totals"]["state"] == "accepted";
    eventually("it is kept as accepted", state);
    // What was learned stands beside the route.
    let learned = || json(server.path(), &["probe", "routes"])["rows"][0]["greylisted_seconds"].as_u64();
    eventually("its delay is learned", || learned().is_some());
    assert!(learned().is_some_and(|seconds| seconds >= 600));
}

#[test]
fn by_hand_beside_a_running_serve() {
    let far_end = FarEnd::start(Does::Answer("550 5.1.1 no such user"));
    let folder = folder(&far_end, "");
    let server = Server::start_in(folder, &[]);
    let path = server.path();
    // The route back to the receiver of `serve` itself.
    let config = path.join("mailsonde.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let back = format!(
        "{text}\n[sender.back]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n[route.back]\nsender = \"back\"\n\
         to = \"probe+{{token}}@example.com\"\nfrom = \"back@example.com\"\n",
        server.smtp.port()
    );
    std::fs::write(&config, back).unwrap();
    let code = |arguments: &[&str]| say(path, arguments).code;
    assert_eq!(code(&["probe", "send", "back", "--wait", "1m"]), Some(0));
    assert_eq!(code(&["probe", "send", "back", "--profile", "attach:10KiB", "--wait"]), Some(0));
    assert_eq!(code(&["probe", "send", "hq"]), Some(1));
    assert_eq!(code(&["probe", "send", "nowhere"]), Some(2));
    assert_eq!(code(&["probe", "send", "back", "--profile", "no-such"]), Some(2));
    assert_eq!(code(&["probe", "send", "back", "--count", "0"]), Some(2));
    let three = json(path, &["probe", "send", "back", "--count", "3", "--wait", "1m"]);
    let rows = three["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{three}");
    assert!(rows.iter().all(|row| row["state"] == "arrived" && row["route"] == "back"), "{three}");
}
