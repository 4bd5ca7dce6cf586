//! The local server: HTTP/1 with time limits and a bounded number of connections.

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

/// How long a probe waits: longer than the server may take to ask the store.
const PROBE_LIMIT: Duration = Duration::from_secs(4);

/// How the server bounds its clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at the same time; further ones wait in the system's queue.
    pub connections: usize,
    /// How long a client may take to send a request's head, to begin with the next one, and to read some of an answer.
    pub head: Duration,
    /// How long a stop waits for running requests.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 1024, head: Duration::from_secs(30), stop: Duration::from_secs(20) }
    }
}

/// Serves until `stop` is ready, then takes no new requests and waits for the running ones.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, place) = tokio::select! {
            next = accept(&listener, &places) => next,
            () = &mut stop => break,
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.head);
        let router = router.clone();
        let service =
            service_fn(move |request: Request<Incoming>| router.clone().oneshot(request.map(Body::new)));
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.head));
        let stream = TokioIo::new(Box::pin(stream));
        let connection = connections.watch(http.serve_connection(stream, service));
        tokio::spawn(async move {
            // A client that goes away or sends no HTTP is its own affair.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.stop, connections.shutdown()).await.is_err() {
        tracing::warn!("some requests were still running at the stop");
    }
}

/// Asks the server at this address for its health, as the outside would.
///
/// # Errors
/// When it does not answer in time, or says that the store does not.
pub async fn probe(address: SocketAddr) -> Result<(), String> {
    let client =
        reqwest::Client::builder().no_proxy().timeout(PROBE_LIMIT).build().map_err(|e| e.to_string())?;
    match client.get(format!("http://{address}/health")).send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("{address} answers {}; see its log", answer.status())),
        Err(_) => Err(format!("nothing answers at {address}; check that the server runs, and BIND_ADDR")),
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                return (stream, place);
            }
            Err(error) => {
                // Too many open files, for example: others will be closed.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
