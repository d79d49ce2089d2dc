//! TCP connections: a task reads, a task writes, and neither makes the engine wait.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sip_core::{Connect, ConnectionChange, ConnectionId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

use crate::{Received, tcp_flow};

/// Messages that wait for one connection; a peer that reads nothing is closed beyond that.
const MAX_WAITING: usize = 512;
/// The most connections from outside.
const MAX_CONNECTIONS: usize = 2048;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

type Writers = Arc<Mutex<BTreeMap<ConnectionId, mpsc::Sender<Bytes>>>>;

#[derive(Debug)]
pub(crate) struct Connections {
    writers: Writers,
    sender: mpsc::Sender<Received>,
    address: SocketAddr,
    next: Arc<AtomicU64>,
}

impl Connections {
    pub(crate) fn new(sender: mpsc::Sender<Received>, address: SocketAddr) -> Self {
        Self { writers: Writers::default(), sender, address, next: Arc::new(AtomicU64::new(1)) }
    }

    pub(crate) fn accept(&self, listener: TcpListener) {
        let (writers, sender, next) =
            (self.writers.clone(), self.sender.clone(), self.next.clone());
        let port = self.address.port();
        tokio::spawn(async move {
            loop {
                let stream = match listener.accept().await {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "accepting a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                if sender.is_closed() {
                    return;
                }
                if lock(&writers).len() >= MAX_CONNECTIONS {
                    continue;
                }
                let id = ConnectionId(next.fetch_add(1, Ordering::Relaxed));
                tokio::spawn(serve(stream, id, port, writers.clone(), sender.clone()));
            }
        });
    }

    pub(crate) fn connect(&self, connect: &Connect) {
        let (writers, sender) = (self.writers.clone(), self.sender.clone());
        let (id, remote, local) = (connect.connection, connect.remote, connect.local);
        tokio::spawn(async move {
            let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
            let opened = async {
                let socket = socket?;
                socket.bind(SocketAddr::new(local.ip(), 0))?;
                socket.connect(remote).await
            };
            match tokio::time::timeout(CONNECT_TIMEOUT, opened).await {
                Ok(Ok(stream)) => serve(stream, id, local.port(), writers, sender).await,
                Ok(Err(_)) | Err(_) => {
                    let change = ConnectionChange::Closed { refused: true };
                    let _ = sender.send(Received::Connection { connection: id, change }).await;
                }
            }
        });
    }

    pub(crate) fn send(&self, id: ConnectionId, contents: Bytes) {
        let mut writers = lock(&self.writers);
        let Some(writer) = writers.get(&id) else { return };
        if writer.try_send(contents).is_err() {
            tracing::warn!("a connection takes nothing any more and is closed");
            writers.remove(&id);
        }
    }
}

fn lock(
    writers: &Writers,
) -> std::sync::MutexGuard<'_, BTreeMap<ConnectionId, mpsc::Sender<Bytes>>> {
    writers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection from its opening to its end. Our address in it is the listening one, by which peers reach us.
async fn serve(
    stream: TcpStream,
    id: ConnectionId,
    port: u16,
    writers: Writers,
    sender: mpsc::Sender<Received>,
) {
    let _ = stream.set_nodelay(true);
    let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else { return };
    let (mut reader, mut writer) = stream.into_split();
    let (to_write, mut waiting) = mpsc::channel::<Bytes>(MAX_WAITING);
    lock(&writers).insert(id, to_write);
    let flow = tcp_flow(SocketAddr::new(local.ip(), port), remote, id);
    let change = ConnectionChange::Opened { flow };
    if sender.send(Received::Connection { connection: id, change }).await.is_err() {
        return;
    }
    let writing = tokio::spawn(async move {
        while let Some(contents) = waiting.recv().await {
            if writer.write_all(&contents).await.is_err() {
                return;
            }
        }
        let _ = writer.shutdown().await;
    });
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => {
                let contents = buffer[..length].to_vec();
                if sender.send(Received::Stream { connection: id, contents }).await.is_err() {
                    break;
                }
            }
        }
    }
    lock(&writers).remove(&id);
    writing.abort();
    let change = ConnectionChange::Closed { refused: false };
    let _ = sender.send(Received::Connection { connection: id, change }).await;
}
