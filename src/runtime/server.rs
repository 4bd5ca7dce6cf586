//! The local server: HTTP/1 with limits of time and size and a bounded number of connections.

use super::{
    permits::{Connection, Permits, Phase},
    watched_body::WatchedBody,
    watched_stream::WatchedStream,
};
use crate::{http::Peer, limits};
use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::Instant,
};
use tower::ServiceExt;

/// Limits of the server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum of concurrent connections. A further one takes the place of the one that has waited longest for its client;
    /// while all requests are being answered, it waits.
    pub connections: usize,
    /// Time limit for a client to send a head: from the start of the connection, then from the head's first byte.
    pub head: Duration,
    /// Time limit for a client to begin another request on the same connection.
    pub keep_alive: Duration,
    /// Time limit for a client to take a part of a response.
    pub write: Duration,
    /// Time limit of running requests at a stop.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            head: limits::REQUEST_HEAD,
            keep_alive: limits::KEEP_ALIVE,
            write: limits::RESPONSE_PART,
            stop: limits::STOP,
        }
    }
}

/// Listens on this address.
///
/// # Errors
/// When it cannot be used, for example because another process does.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(limits::QUEUE)
}

/// Serves until `stop` completes, then accepts no new requests and waits for the running ones.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let permits = Permits::new(limits.connections);
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    // `Connection::over` limits the time of a head: hyper's limit does not tell an idle connection from an unfinished head.
    http.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(limits::HEAD_SIZE);
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer, connection) = tokio::select! {
            next = accept(&listener, &permits) => next,
            () = &mut stop => break,
        };
        let (router, state) = (router.clone(), Arc::clone(&connection));
        let service = service_fn(move |request: Request<Incoming>| {
            state.enter(Phase::Busy);
            let connection = Arc::clone(&state);
            let mut request = request.map(|body| Body::new(WatchedBody { body, connection }));
            request.extensions_mut().insert(peer);
            let (response, state) = (router.clone().oneshot(request), Arc::clone(&state));
            async move {
                let response = response.await;
                state.enter(Phase::Idle(Instant::now()));
                response
            }
        });
        let stream = TokioIo::new(WatchedStream::new(stream, limits.write, Arc::clone(&connection)));
        let served = connections.watch(http.serve_connection(stream, service));
        tokio::spawn(async move {
            tokio::select! {
                // Errors of a client, which disconnects or does not send HTTP, are not ours.
                _ = served => {}
                () = connection.over(limits.head, limits.keep_alive) => {}
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.stop, connections.shutdown()).await.is_err() {
        tracing::warn!("requests were still running at the stop");
    }
}

/// Checks the health of the server at this address.
///
/// # Errors
/// When it does not answer before [`limits::PROBE`], or is unhealthy.
pub async fn probe(address: SocketAddr) -> Result<(), String> {
    let client =
        reqwest::Client::builder().no_proxy().timeout(limits::PROBE).build().map_err(|e| e.to_string())?;
    match client.get(format!("http://{address}/health")).send().await {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(format!("{address} answered {}; see its log", response.status())),
        Err(_) => Err(format!("nothing answers at {address}; check that the server runs, and BIND_ADDR")),
    }
}

/// The next connection, with a permit for it.
async fn accept(listener: &TcpListener, permits: &Arc<Permits>) -> (TcpStream, Peer, Arc<Connection>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                return (stream, Peer(peer.ip()), permits.acquire().await);
            }
            Err(error) => {
                // For example too many open files.
                tracing::warn!(%error, "connection not accepted");
                permits.hang_up_on_longest();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
