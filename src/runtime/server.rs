//! The local server: HTTP/1 with time limits and a bounded number of connections.

use crate::limits;
use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

/// Limits of the server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum of concurrent connections; further ones wait in the system's queue.
    pub connections: usize,
    /// Time limit for a client to send the head of the first request, or to read a part of a response.
    pub head: Duration,
    /// Time limit for a client to send the head of another request on the same connection.
    pub keep_alive: Duration,
    /// Time limit of running requests at a stop.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            head: limits::REQUEST_HEAD,
            keep_alive: limits::KEEP_ALIVE,
            stop: limits::STOP,
        }
    }
}

/// Serves until `stop` completes, then accepts no new requests and waits for the running ones.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, permit) = tokio::select! {
            next = accept(&listener, &permits) => next,
            () = &mut stop => break,
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.keep_alive);
        let router = router.clone();
        let (first_request, begun) = watch::channel(false);
        let service = service_fn(move |request: Request<Incoming>| {
            first_request.send_replace(true);
            router.clone().oneshot(request.map(Body::new))
        });
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.head));
        let stream = TokioIo::new(Box::pin(stream));
        let connection = connections.watch(http.serve_connection(stream, service));
        tokio::spawn(async move {
            tokio::select! {
                // Errors of a client, which disconnects or does not send HTTP, are not ours.
                _ = connection => {}
                () = never_begun(begun, limits.head) => {}
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.stop, connections.shutdown()).await.is_err() {
        tracing::warn!("requests were still running at the stop");
    }
}

/// Completes when there has been no request within the limit; else never.
async fn never_begun(mut begun: watch::Receiver<bool>, limit: Duration) {
    if tokio::time::timeout(limit, begun.wait_for(|begun| *begun)).await.is_ok() {
        std::future::pending().await
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
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                return (stream, permit);
            }
            Err(error) => {
                // For example too many open files, of which some will be closed.
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
