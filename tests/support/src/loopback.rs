//! An HTTP/1.1 server on a loopback port that records requests and answers by a script, at the level of bytes.

use axum::http::{HeaderMap, HeaderName};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// The reply to a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A whole response; `content-length` is added.
    Answer {
        /// The status code.
        status: u16,
        /// The headers.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// A response that is cut before its end.
    Cut {
        /// The status code.
        status: u16,
        /// The body up to the cut.
        body: String,
    },
    /// A response that goes on for as long as the client reads.
    Endless {
        /// The status code.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// The request is read; no response comes.
    Silence,
    /// The request is read; the connection is closed without a response.
    HangUp,
    /// The connection is closed before the request is read.
    HangUpUnread,
}

impl Reply {
    /// A whole response without headers.
    pub fn answer(status: u16, body: impl ToString) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.to_string() }
    }

    /// A redirect.
    pub fn redirect(status: u16, location: String) -> Self {
        Self::Answer { status, headers: vec![("location", location)], body: String::new() }
    }
}

/// A request as it was received.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The path with the query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Seen {
    /// A header that was sent exactly once.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().unwrap_or_else(|| panic!("no {name}: {self:?}"));
        assert_eq!(values.next(), None, "{name} was sent twice");
        value.to_str().expect("ASCII")
    }
}

#[derive(Debug, Default)]
struct State {
    replies: Vec<Reply>,
    requests: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
}

/// The server. It ends with the test's runtime.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    state: Arc<State>,
}

impl Loopback {
    /// Replies to every request with this.
    pub async fn always(reply: Reply) -> Self {
        Self::answering([reply]).await
    }

    /// Replies to the requests with these in order, and repeats the last one.
    pub async fn answering(replies: impl Into<Vec<Reply>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State { replies: replies.into(), ..State::default() });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let serving = Arc::clone(&serving);
                // A connection ends when either side closes it.
                tokio::spawn(async move { serving.converse(stream).await });
            }
        });
        Self { address, state }
    }

    /// The base URL with this scheme.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// The requests so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Seen> {
        self.state.requests.lock().expect("no test panics while it holds this").clone()
    }

    /// The one request so far.
    #[track_caller]
    pub fn only_request(&self) -> Seen {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl State {
    async fn converse(&self, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            if matches!(self.next_reply(0), Reply::HangUpUnread) {
                return Ok(());
            }
            let request = read_request(&mut stream).await?;
            self.requests.lock().expect("no test panics while it holds this").push(request);
            match self.next_reply(1) {
                Reply::Answer { status, headers, body } => {
                    let headers: String =
                        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                    let head = format!("{}{headers}content-length: {}\r\n\r\n", start(status), body.len());
                    stream.write_all((head + &body).as_bytes()).await?;
                }
                Reply::Cut { status, body } => {
                    let head = format!("{}content-length: {}\r\n\r\n", start(status), body.len() + 1);
                    return stream.write_all((head + &body).as_bytes()).await;
                }
                Reply::Endless { status, body } => {
                    stream.write_all(format!("{}\r\n{body}", start(status)).as_bytes()).await?;
                    loop {
                        stream.write_all(&[b'x'; 16 * 1024]).await?;
                    }
                }
                Reply::Silence => return stream.read_to_end(&mut Vec::new()).await.map(drop),
                Reply::HangUp | Reply::HangUpUnread => return Ok(()),
            }
        }
    }

    /// The reply to the next request, or to the latest one if that one is `already_recorded`.
    fn next_reply(&self, already_recorded: usize) -> Reply {
        let recorded = self.requests.lock().expect("no test panics while it holds this").len();
        let last = self.replies.len() - 1;
        self.replies[(recorded - already_recorded).min(last)].clone()
    }
}

fn start(status: u16) -> String {
    format!("HTTP/1.1 {status} Scripted\r\n")
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Seen> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
    let mut request = Seen { method, path, ..Seen::default() };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        let name: HeaderName = name.parse().expect("a header's name");
        request.headers.append(name, value.parse().expect("a header's value"));
    }
    let length = request
        .headers
        .get("content-length")
        .map_or(0, |value| value.to_str().expect("ASCII").parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    request.body = String::from_utf8(body).expect("UTF-8");
    Ok(request)
}
