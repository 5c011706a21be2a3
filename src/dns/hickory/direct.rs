//! One server asked directly, without recursion: what each authority of a zone says.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use super::exchange::{self, Exchange};
use super::message::Trail;
use super::{Asking, request};
use crate::clock;
use crate::dns::{Answer, Cause, NotKnown, Question, Security};

/// What one server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectAnswer {
    /// Its answer. An alias that leads out of what the server knows is "lame", with the alias listed.
    pub answer: Answer,
    /// True if it spoke as an authority (flag AA).
    pub is_authoritative: bool,
    /// True if it offers to ask others (flag RA), which an authority should not.
    pub offers_recursion: bool,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// A server's answer on its way.
pub type AskingServer<'a> = Pin<Box<dyn Future<Output = DirectAnswer> + Send + 'a>>;

/// Whoever asks a server of a given address, without recursion.
pub trait AskServer: Send + Sync {
    /// Asks that server and no other.
    fn ask_server<'a>(&'a self, server: IpAddr, question: &'a Question) -> AskingServer<'a>;
}

/// Servers on the network, asked directly.
#[derive(Debug, Clone)]
pub struct DirectServers {
    /// Their port: 53, or another in tests.
    pub port: u16,
    /// For one try.
    pub timeout: Duration,
    /// Tries.
    pub attempts: u32,
}

impl DirectServers {
    /// One question to one server.
    async fn ask(&self, server: IpAddr, question: &Question) -> DirectAnswer {
        let began = clock::instant();
        let took_ms = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let blank = |answer| DirectAnswer {
            answer,
            is_authoritative: false,
            offers_recursion: false,
            took_ms: took_ms(),
        };
        let mut trail = Trail::new(question);
        let Some(request) = request(&question.name, question.record_type, Asking::DIRECT) else {
            return blank(Answer::not_known(Cause::BadName, "the name cannot be asked for"));
        };
        let address = SocketAddr::new(server, self.port);
        let exchange = Exchange::new(vec![address], None, self.timeout, self.attempts);
        let asked = tokio::time::timeout_at(exchange::question_deadline().into(), exchange.ask(&request));
        let message = match asked.await {
            Ok(Ok(response)) => response.into_message(),
            Ok(Err(not_known)) => return blank(trail.not_known(not_known)),
            Err(_) => return blank(Answer::not_known(Cause::Timeout, format!("no answer of {address}"))),
        };
        let taken = trail.take(&message, Security::NotKnown);
        let answer = taken.unwrap_or_else(|| {
            let detail = format!("an alias leads to {}, of which {address} says nothing", trail.current);
            trail.not_known(NotKnown { cause: Cause::Lame, detail })
        });
        DirectAnswer {
            answer,
            is_authoritative: message.metadata.authoritative,
            offers_recursion: message.metadata.recursion_available,
            took_ms: took_ms(),
        }
    }
}

impl AskServer for DirectServers {
    fn ask_server<'a>(&'a self, server: IpAddr, question: &'a Question) -> AskingServer<'a> {
        Box::pin(self.ask(server, question))
    }
}
