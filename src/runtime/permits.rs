//! Permits for connections, and which connections wait for their client.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// The permits of a server.
pub(super) struct Permits {
    connections: usize,
    free: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    begun_to_wait: Notify,
}

/// Connections by the time since which they wait for their client, and by their id, with what tells them to hang up.
type ByTime = BTreeMap<(Instant, u64), Arc<Notify>>;

/// The connections that wait for their client.
#[derive(Default)]
struct Waiting {
    /// Those that have begun a request, or none yet.
    for_request: ByTime,
    /// Those that were answered, and may begin another.
    idle: ByTime,
    last_id: u64,
}

impl Waiting {
    /// Where a connection in this phase waits, and since when.
    fn place(&mut self, phase: Phase) -> Option<(&mut ByTime, Instant)> {
        match phase {
            Phase::Head(since) | Phase::Body(since) => Some((&mut self.for_request, since)),
            Phase::Idle(since) => Some((&mut self.idle, since)),
            Phase::Busy => None,
        }
    }

    /// The connection to hang up on. Idle ones are spared while unfinished requests hold half of the permits: their clients
    /// are most likely good, and may be about to send a request.
    fn pop_longest(&mut self, connections: usize) -> Option<Arc<Notify>> {
        let idle_waits_longer = match (self.idle.first_key_value(), self.for_request.first_key_value()) {
            (Some((idle, _)), Some((unfinished, _))) => idle < unfinished,
            (idle, _) => idle.is_some(),
        };
        let are_unfinished = !self.for_request.is_empty() && self.for_request.len() * 2 >= connections;
        let from = if idle_waits_longer && !are_unfinished { &mut self.idle } else { &mut self.for_request };
        from.pop_first().map(|(_, hang_up)| hang_up)
    }
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

/// A connection, with its permit.
pub(super) struct Connection {
    permits: Arc<Permits>,
    id: u64,
    phase: Mutex<Phase>,
    hang_up: Arc<Notify>,
    _permit: OwnedSemaphorePermit,
}

impl Permits {
    pub(super) fn new(connections: usize) -> Arc<Self> {
        Arc::new(Self {
            connections,
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
        let (phase, hang_up) = (Mutex::new(Phase::Busy), Arc::default());
        let connection = Connection { permits: Arc::clone(self), id, phase, hang_up, _permit: permit };
        connection.enter(Phase::Head(Instant::now()));
        Arc::new(connection)
    }

    /// Hangs up on the connection that has waited longest. False: none waits.
    pub(super) fn hang_up_on_longest(&self) -> bool {
        let longest = self.waiting().pop_longest(self.connections);
        longest.is_some_and(|hang_up| {
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
        if matches!(self.phase(), Phase::Idle(_)) {
            self.enter(Phase::Head(Instant::now()));
        }
    }

    /// The client has taken some bytes of a response.
    pub(super) fn sent(&self) {
        if matches!(self.phase(), Phase::Idle(_)) {
            self.enter(Phase::Idle(Instant::now()));
        }
    }

    /// Whether more of a request's body is awaited.
    pub(super) fn awaits_body(&self, awaits: bool) {
        match self.phase() {
            Phase::Busy if awaits => self.enter(Phase::Body(Instant::now())),
            Phase::Body(_) if !awaits => self.enter(Phase::Busy),
            _ => {}
        }
    }

    pub(super) fn enter(&self, next: Phase) {
        let mut waiting = self.permits.waiting();
        let before = std::mem::replace(&mut *self.phase_mut(), next);
        if let Some((place, since)) = waiting.place(before) {
            // It is not there if this connection has been told to hang up.
            if place.remove(&(since, self.id)).is_none() {
                return;
            }
        }
        if let Some((place, since)) = waiting.place(next) {
            place.insert((since, self.id), Arc::clone(&self.hang_up));
            drop(waiting);
            self.permits.begun_to_wait.notify_waiters();
        }
    }

    /// Completes when the connection has to end: its client was too slow, or it was told to hang up.
    ///
    /// Looks at the phase again before any deadline of a phase that is still to begin, so that phases need not wake it.
    pub(super) async fn over(&self, head: Duration, keep_alive: Duration) {
        loop {
            let now = Instant::now();
            let deadline = match self.phase() {
                Phase::Head(since) => Some(since + head),
                Phase::Idle(since) => Some(since + keep_alive),
                // Whoever reads a body limits its time.
                Phase::Busy | Phase::Body(_) => None,
            };
            if deadline.is_some_and(|deadline| deadline <= now) {
                return;
            }
            let next = now + head.min(keep_alive);
            tokio::select! {
                () = self.hang_up.notified() => return,
                () = tokio::time::sleep_until(deadline.map_or(next, |deadline| deadline.min(next))) => {}
            }
        }
    }

    fn phase(&self) -> Phase {
        *self.phase_mut()
    }

    fn phase_mut(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let phase = self.phase();
        if let Some((place, since)) = self.permits.waiting().place(phase) {
            place.remove(&(since, self.id));
        }
    }
}
