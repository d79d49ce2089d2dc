//! TCP and TLS connections: a task reads, a task writes, and neither makes the engine wait.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sip_core::{Connect, ConnectionChange, ConnectionId, Flow, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::{TlsAcceptor, client, server};

use crate::Received;
use crate::tls::{self, Tls};

/// Messages that wait for one connection; a peer that reads nothing is closed beyond that.
const MAX_WAITING: usize = 512;
/// The most connections from outside.
const MAX_CONNECTIONS: usize = 2048;
/// What a peer that was told goodbye has left to read may take this long.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How our side ends a connection.
#[derive(Debug)]
enum End {
    /// The peer reads nothing: what waits is lost.
    Abandoned,
    /// What waits is written first.
    Finished,
}

#[derive(Debug)]
struct Writer {
    to_write: mpsc::Sender<Bytes>,
    end: oneshot::Sender<End>,
}

type Writers = Arc<Mutex<BTreeMap<ConnectionId, Writer>>>;

/// A stream that carries SIP, and the socket below it.
trait Carrier: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    const TRANSPORT: Transport;

    fn socket(&self) -> &TcpStream;
}

impl Carrier for TcpStream {
    const TRANSPORT: Transport = Transport::Tcp;

    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Carrier for client::TlsStream<TcpStream> {
    const TRANSPORT: Transport = Transport::Tls;

    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Carrier for server::TlsStream<TcpStream> {
    const TRANSPORT: Transport = Transport::Tls;

    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

#[derive(Debug)]
pub(crate) struct Connections {
    writers: Writers,
    sender: mpsc::Sender<Received>,
    address: SocketAddr,
    tls: Tls,
    next: Arc<AtomicU64>,
}

impl Connections {
    pub(crate) fn new(sender: mpsc::Sender<Received>, address: SocketAddr, tls: Tls) -> Self {
        let next = Arc::new(AtomicU64::new(1));
        Self { writers: Writers::default(), sender, address, tls, next }
    }

    /// Takes connections; with `acceptor` by TLS.
    pub(crate) fn accept(&self, listener: TcpListener, acceptor: Option<TlsAcceptor>) {
        let (writers, sender, next) =
            (self.writers.clone(), self.sender.clone(), self.next.clone());
        let port = listener.local_addr().map_or(self.address.port(), |address| address.port());
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = sender.closed() => return,
                };
                let stream = match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "accepting a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                if lock(&writers).len() >= MAX_CONNECTIONS {
                    continue;
                }
                let id = ConnectionId(next.fetch_add(1, Ordering::Relaxed));
                let (writers, sender) = (writers.clone(), sender.clone());
                match acceptor.clone() {
                    None => {
                        tokio::spawn(serve(stream, id, port, writers, sender));
                    }
                    Some(acceptor) => {
                        tokio::spawn(async move {
                            let accepted = tls::accept(&acceptor, stream);
                            // Of a peer that does not get so far nobody has heard.
                            match tokio::time::timeout(CONNECT_TIMEOUT, accepted).await {
                                Ok(Ok(stream)) => serve(stream, id, port, writers, sender).await,
                                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                                Err(_) => tracing::debug!("a TLS handshake took too long"),
                            }
                        });
                    }
                }
            }
        });
    }

    pub(crate) fn connect(&self, connect: &Connect) {
        let (writers, sender) = (self.writers.clone(), self.sender.clone());
        let (id, remote, local) = (connect.connection, connect.remote, connect.local);
        let secure = (connect.transport == Transport::Tls)
            .then(|| (self.tls.clone(), connect.domain.clone()));
        tokio::spawn(async move {
            let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
            let opened = async {
                let socket = socket?;
                socket.bind(SocketAddr::new(local.ip(), 0))?;
                socket.connect(remote).await
            };
            let stream = tokio::time::timeout(CONNECT_TIMEOUT, opened).await;
            match (stream, secure) {
                (Ok(Ok(stream)), None) => {
                    return serve(stream, id, local.port(), writers, sender).await;
                }
                (Ok(Ok(stream)), Some((tls, domain))) => {
                    let opened = tls.connect(&domain, stream);
                    match tokio::time::timeout(CONNECT_TIMEOUT, opened).await {
                        Ok(Ok(stream)) => {
                            return serve(stream, id, local.port(), writers, sender).await;
                        }
                        Ok(Err(error)) => {
                            tracing::debug!(%error, "a TLS handshake failed");
                            if let Some(problem) = tls::certificate_problem(&error) {
                                let untrusted = Received::Untrusted { domain, problem };
                                let _ = sender.send(untrusted).await;
                            }
                        }
                        Err(_) => tracing::debug!("a TLS handshake took too long"),
                    }
                }
                (Ok(Err(_)) | Err(_), _) => {}
            }
            let change = ConnectionChange::Closed { refused: true };
            let _ = sender.send(Received::Connection { connection: id, change }).await;
        });
    }

    pub(crate) fn send(&self, id: ConnectionId, contents: Bytes) {
        let mut writers = lock(&self.writers);
        let Some(writer) = writers.get(&id) else { return };
        if writer.to_write.try_send(contents).is_err() {
            tracing::warn!("a connection takes nothing any more and is closed");
            if let Some(writer) = writers.remove(&id) {
                let _ = writer.end.send(End::Abandoned);
            }
        }
    }

    pub(crate) fn close(&self, id: ConnectionId) {
        if let Some(writer) = lock(&self.writers).remove(&id) {
            let _ = writer.end.send(End::Finished);
        }
    }
}

fn lock(writers: &Writers) -> std::sync::MutexGuard<'_, BTreeMap<ConnectionId, Writer>> {
    writers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection from its opening to its end, which is told in every case: whoever asked for it waits for that.
async fn serve<S: Carrier>(
    stream: S,
    id: ConnectionId,
    port: u16,
    writers: Writers,
    sender: mpsc::Sender<Received>,
) {
    let opened = carry(stream, id, port, &writers, &sender).await;
    lock(&writers).remove(&id);
    let change = ConnectionChange::Closed { refused: !opened };
    let _ = sender.send(Received::Connection { connection: id, change }).await;
}

/// Reads and writes until either side ends it; false where it never stood. Our address in it is the listening one, by
/// which peers reach us.
async fn carry<S: Carrier>(
    stream: S,
    id: ConnectionId,
    port: u16,
    writers: &Writers,
    sender: &mpsc::Sender<Received>,
) -> bool {
    let _ = stream.socket().set_nodelay(true);
    // A peer that was gone before we looked has no address any more.
    let (Ok(local), Ok(remote)) = (stream.socket().local_addr(), stream.socket().peer_addr())
    else {
        return false;
    };
    let (reader, mut writer) = tokio::io::split(stream);
    let (to_write, mut waiting) = mpsc::channel::<Bytes>(MAX_WAITING);
    let (end, mut ended) = oneshot::channel();
    lock(writers).insert(id, Writer { to_write, end });
    let local = SocketAddr::new(local.ip(), port);
    let flow = Flow { transport: S::TRANSPORT, local, remote, connection: Some(id) };
    let change = ConnectionChange::Opened { flow };
    if sender.send(Received::Connection { connection: id, change }).await.is_err() {
        return true;
    }
    let mut writing = tokio::spawn(async move {
        while let Some(contents) = waiting.recv().await {
            if writer.write_all(&contents).await.is_err() {
                return;
            }
        }
        let _ = writer.shutdown().await;
    });
    let end = tokio::select! {
        () = read(reader, id, sender) => None,
        end = &mut ended => end.ok(),
        // Nobody listens any more: what was said before that is still written.
        () = sender.closed() => {
            lock(writers).remove(&id);
            Some(End::Finished)
        }
    };
    if let Some(End::Finished) = end {
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, &mut writing).await;
    }
    writing.abort();
    true
}

async fn read<S: Carrier>(
    mut reader: ReadHalf<S>,
    id: ConnectionId,
    sender: &mpsc::Sender<Received>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                let contents = buffer[..length].to_vec();
                if sender.send(Received::Stream { connection: id, contents }).await.is_err() {
                    return;
                }
            }
        }
    }
}
