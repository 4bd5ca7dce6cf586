//! An HTTP server on a loopback port that can go down and come back on the same port.

use axum::body::Body;
use futures_util::future::BoxFuture;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::{JoinHandle, JoinSet},
};

/// `Err` cuts the connection instead of answering.
pub(crate) type Answer = io::Result<Response<Body>>;
type Handler = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Answer> + Send + Sync>;

pub(crate) struct RestartableServer {
    url: String,
    handler: Handler,
    task: Mutex<Option<JoinHandle<()>>>,
    /// Bound and never listening, it keeps the port from others while the server is down.
    reserved: TcpSocket,
}

impl RestartableServer {
    /// Starts on a free port.
    pub(crate) async fn start<F>(handler: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let reserved = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", reserved.local_addr().unwrap());
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let server = Self { url, handler, task: Mutex::default(), reserved };
        server.restart();
        server
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Cuts every connection and refuses new ones.
    pub(crate) async fn stop(&self) {
        let task = self.task.lock().unwrap().take().expect("the server is up");
        task.abort();
        let _ = task.await;
        let address = self.reserved.local_addr().unwrap();
        // A process that another test starts has a copy of the closed listener until it runs its program.
        while bind(address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Listens again.
    pub(crate) fn restart(&self) {
        let listener = bind(self.reserved.local_addr().unwrap()).unwrap().listen(1024).unwrap();
        let task = tokio::spawn(serve(listener, Arc::clone(&self.handler)));
        assert!(self.task.lock().unwrap().replace(task).is_none(), "the server is down");
    }
}

impl Drop for RestartableServer {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap().take() {
            task.abort();
        }
    }
}

/// A socket that shares its address with others, of which one may listen.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Serves until it is aborted; its connections end with it.
async fn serve(listener: TcpListener, handler: Handler) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let handler = Arc::clone(&handler);
        let service = service_fn(move |request| handler(request));
        connections.spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}
