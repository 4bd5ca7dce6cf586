//! Permits for connections, and which connections wait for their client.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

/// The permits of a server.
pub(super) struct Permits {
    free: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    begun_to_wait: Notify,
}

/// The connections that wait for their client, the one that has waited longest first.
#[derive(Default)]
struct Waiting {
    by_time: BTreeMap<(Instant, u64), Arc<Notify>>,
    last_id: u64,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It receives a head, since then.
    Head(Instant),
    /// It sends a response or has sent one, and waits for another request, since then.
    Idle(Instant),
    /// A request is being answered.
    Busy,
    /// The same, and its body is awaited, since then.
    Body(Instant),
}

impl Phase {
    fn since(self) -> Option<Instant> {
        match self {
            Self::Head(since) | Self::Idle(since) | Self::Body(since) => Some(since),
            Self::Busy => None,
        }
    }
}

/// A connection, with its permit.
pub(super) struct Connection {
    permits: Arc<Permits>,
    id: u64,
    phase: watch::Sender<Phase>,
    hang_up: Arc<Notify>,
    _permit: OwnedSemaphorePermit,
}

impl Permits {
    pub(super) fn new(connections: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(connections)),
            waiting: Mutex::default(),
            begun_to_wait: Notify::new(),
        })
    }

    /// Takes a permit for a new connection. If there is none, hangs up on the connection that has waited longest for its
    /// client; if none waits, waits for one.
    pub(super) async fn acquire(self: &Arc<Self>) -> Arc<Connection> {
        let permit = loop {
            let begun_to_wait = self.begun_to_wait.notified();
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            let hung_up = self.hang_up_on_longest();
            let released = Arc::clone(&self.free).acquire_owned();
            tokio::select! {
                Ok(permit) = released => break permit,
                () = begun_to_wait, if !hung_up => {}
            }
        };
        let mut waiting = self.waiting();
        waiting.last_id += 1;
        let id = waiting.last_id;
        drop(waiting);
        let (phase, hang_up) = (watch::Sender::new(Phase::Busy), Arc::default());
        let connection = Connection { permits: Arc::clone(self), id, phase, hang_up, _permit: permit };
        connection.enter(Phase::Head(Instant::now()));
        Arc::new(connection)
    }

    /// Hangs up on the connection that has waited longest. False: none waits.
    pub(super) fn hang_up_on_longest(&self) -> bool {
        let longest = self.waiting().by_time.pop_first();
        longest.is_some_and(|(_, hang_up)| {
            hang_up.notify_one();
            true
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// The client has sent some bytes: the first ones after a response begin a head.
    pub(super) fn received(&self) {
        if matches!(*self.phase.borrow(), Phase::Idle(_)) {
            self.enter(Phase::Head(Instant::now()));
        }
    }

    /// The client has taken some bytes of a response.
    pub(super) fn sent(&self) {
        if matches!(*self.phase.borrow(), Phase::Idle(_)) {
            self.enter(Phase::Idle(Instant::now()));
        }
    }

    /// Whether more of a request's body is awaited.
    pub(super) fn awaits_body(&self, awaits: bool) {
        let phase = *self.phase.borrow();
        match phase {
            Phase::Busy if awaits => self.enter(Phase::Body(Instant::now())),
            Phase::Body(_) if !awaits => self.enter(Phase::Busy),
            _ => {}
        }
    }

    pub(super) fn enter(&self, next: Phase) {
        let mut waiting = self.permits.waiting();
        let before = self.phase.send_replace(next);
        if let Some(since) = before.since() {
            // It is not there if this connection has been told to hang up.
            let hang_up = waiting.by_time.remove(&(since, self.id));
            if hang_up.is_none() {
                return;
            }
        }
        if let Some(since) = next.since() {
            waiting.by_time.insert((since, self.id), Arc::clone(&self.hang_up));
            drop(waiting);
            self.permits.begun_to_wait.notify_waiters();
        }
    }

    /// Completes when the connection has to end: its client was too slow, or it was told to hang up.
    pub(super) async fn over(&self, head: Duration, keep_alive: Duration) {
        let mut phase = self.phase.subscribe();
        loop {
            let deadline = match *phase.borrow_and_update() {
                Phase::Head(since) => Some(since + head),
                Phase::Idle(since) => Some(since + keep_alive),
                // Whoever reads a body limits its time.
                Phase::Busy | Phase::Body(_) => None,
            };
            let too_slow = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.hang_up.notified() => return,
                () = too_slow => return,
                _ = phase.changed() => {}
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(since) = self.phase.borrow().since() {
            self.permits.waiting().by_time.remove(&(since, self.id));
        }
    }
}
