//! An HTTP server on a loopback port that can go down and come back on the same port.

use axum::body::Body;
use futures_util::future::BoxFuture;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::{JoinHandle, JoinSet},
};

/// `Err` cuts the connection instead of answering.
pub(crate) type Answer = io::Result<Response<Body>>;
type Handler = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Answer> + Send + Sync>;

pub(crate) struct RestartableServer {
    address: SocketAddr,
    url: String,
    handler: Handler,
    task: Mutex<Option<JoinHandle<()>>>,
    /// Keeps the port while the server is down.
    reserved: Mutex<Option<TcpSocket>>,
}

impl RestartableServer {
    /// Starts on a free port.
    pub(crate) async fn start<F>(handler: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let task = Mutex::new(Some(tokio::spawn(serve(listener, Arc::clone(&handler)))));
        Self { address, url: format!("http://{address}"), handler, task, reserved: Mutex::default() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Cuts every connection and refuses new ones.
    pub(crate) async fn stop(&self) {
        let task = self.task.lock().unwrap().take().expect("the server is up");
        task.abort();
        let _ = task.await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        *self.reserved.lock().unwrap() = Some(socket);
    }

    /// Listens again.
    pub(crate) fn restart(&self) {
        let socket = self.reserved.lock().unwrap().take().expect("the server is down");
        let listener = socket.listen(1024).unwrap();
        *self.task.lock().unwrap() = Some(tokio::spawn(serve(listener, Arc::clone(&self.handler))));
    }
}

impl Drop for RestartableServer {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap().take() {
            task.abort();
        }
    }
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
