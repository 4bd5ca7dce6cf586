//! Measures how long a process waits for its peers: forwards their calls, and takes the time that they need.

use crate::load::whole;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The time in which at least one call was with a peer. Calls that are made side by side count once.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<Mutex<Spent>>);

#[derive(Default)]
struct Spent {
    calls: u32,
    since: Option<Instant>,
    total: Duration,
}

impl Meter {
    /// Opens a port whose calls go to `peer`.
    pub(crate) async fn before(&self, peer: SocketAddr) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let meter = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(meter.clone().forward(stream, peer));
            }
        });
        format!("http://{address}")
    }

    /// The time since the last call of this.
    pub(crate) fn take(&self) -> Duration {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).total)
    }

    async fn forward(self, mut client: TcpStream, peer: SocketAddr) -> std::io::Result<()> {
        let mut server = TcpStream::connect(peer).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut request, mut answer) = (Vec::new(), Vec::new());
        loop {
            request.clear();
            answer.clear();
            if client.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
            // Reading and writing here is no work of the process that is measured.
            self.count(1);
            let answered = async {
                read_whole(&mut client, &mut request).await?;
                server.write_all(&request).await?;
                read_whole(&mut server, &mut answer).await?;
                client.write_all(&answer).await
            };
            let answered = answered.await;
            self.count(-1);
            answered?;
        }
    }

    /// A call begins (1) or ends (-1).
    fn count(&self, calls: i32) {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spent.calls = spent.calls.saturating_add_signed(calls);
        match (spent.calls, spent.since) {
            (0, Some(since)) => {
                spent.total += since.elapsed();
                spent.since = None;
            }
            (_, None) => spent.since = Some(Instant::now()),
            _ => {}
        }
    }
}

/// Reads until the message is whole.
async fn read_whole(stream: &mut TcpStream, message: &mut Vec<u8>) -> std::io::Result<()> {
    while whole(message).is_none_or(|length| message.len() < length) {
        if stream.read_buf(message).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
