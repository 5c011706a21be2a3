//! The durable hand-over: what stands behind the receiver in `serve`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock;
use crate::daemon::ingest::Bell;
use crate::daemon::recipients::Recipients;
use crate::limits;
use crate::mail::{Address, Body, Envelope, Inbox, MessageId, Purpose, Refusal};
use crate::store::{NewMessage, Store, StoreError};

/// Keeps each message in the store and answers when it is durable.
pub struct StoreInbox {
    store: Store,
    recipients: Recipients,
    bell: Arc<Bell>,
}

impl StoreInbox {
    /// Makes the inbox; `bell` wakes the reader of pending messages.
    pub fn new(store: Store, recipients: Recipients, bell: Arc<Bell>) -> Self {
        Self { store, recipients, bell }
    }
}

impl Inbox for StoreInbox {
    fn recipient(&self, address: &Address, client: Option<IpAddr>) -> Result<Purpose, Refusal> {
        self.recipients.judge(address, client)
    }

    fn has_room(&self, size_bytes: u64) -> Result<(), Refusal> {
        self.store.has_room(size_bytes).map_err(|error| refusal(&error))
    }

    async fn accept(&self, envelope: Envelope, body: Body) -> Result<MessageId, Refusal> {
        let client = envelope.peer.map(|peer| peer.ip());
        // The table answered at RCPT already; a forged token is not counted twice.
        let mut purposes = Vec::with_capacity(envelope.rcpt_to.len());
        for address in &envelope.rcpt_to {
            if let Ok(purpose) = self.recipients.purpose(address)
                && !purposes.contains(&purpose)
            {
                purposes.push(purpose);
            }
        }
        let mut message = NewMessage { envelope, body, purposes, file_name: None };
        let deadline = clock::instant() + limits::QUEUE_TIMEOUT;
        let mut pause = Duration::from_millis(1);
        loop {
            let (sender, receiver) = oneshot::channel();
            let done = Box::new(move |result| {
                // A session that was cut meanwhile does not listen any more; the message is kept all the same.
                let _ = sender.send(result);
            });
            match self.store.deliver(message, done) {
                Ok(()) => {
                    let result = receiver.await.unwrap_or(Err(StoreError::Closed));
                    if result.is_ok() {
                        self.bell.ring();
                    }
                    return result.map_err(|error| refusal(&error));
                }
                Err(rejected) => {
                    // Full queue: this session reads nothing meanwhile, so the pressure reaches its client.
                    if matches!(rejected.error, StoreError::Busy(_)) && clock::instant() < deadline {
                        message = rejected.message;
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_millis(50));
                        continue;
                    }
                    tracing::warn!(?client, error = %rejected.error, "message refused");
                    return Err(refusal(&rejected.error));
                }
            }
        }
    }
}

/// Our own trouble is always temporary for the peer (RFC 5321 §4.2.1), and tells it nothing of us.
fn refusal(error: &StoreError) -> Refusal {
    let cause = error.to_string();
    match error {
        // RFC 5321 §4.5.3.1.10, RFC 3463 §3.4.
        StoreError::Full(_) => {
            Refusal::new(452, "4.3.1", "Insufficient system storage, try again later", cause)
        }
        StoreError::Closed => Refusal::new(421, "4.3.2", "Service shutting down", cause),
        _ => Refusal::new(451, "4.3.2", "Busy, try again later", cause),
    }
}
