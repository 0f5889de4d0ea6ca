//! A network between a client and a server: the time that it takes, and what it carries in a second.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, oneshot};

/// The most that is read at once.
const PIECE: usize = 64 * 1024;

/// Pieces that are on their way at once; with a delay of 40 ms that is some 400 MiB a second.
const ON_THEIR_WAY: usize = 256;

/// What a link is like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// How much later the server gets what the client sends: so much longer takes each request on a kept connection.
    pub delay: Duration,
    /// How many bytes the server can send in a second, on all connections together; no limit if there is none.
    pub bytes_per_second: Option<u64>,
}

/// A link to a server; it is gone when this is dropped. Bytes pass as they are.
#[derive(Debug)]
pub struct SlowLink {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SlowLink {
    /// Begins to listen on a free port of the loopback address, for the server at `address`, host and port.
    pub fn to(address: &str, link: Link) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let here = listener.local_addr().expect("the address of a socket that was bound");
        let (stop, stopped) = oneshot::channel();
        let server: SocketAddr = address.parse().expect("an address with a port");
        let thread = std::thread::Builder::new().name("slow-link".to_owned()).spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listening socket");
                tokio::select! { () = accept(listener, server, link) => {}, _ = stopped => {} }
            });
        });
        Self { address: here, stop: Some(stop), thread: Some(thread.expect("a thread")) }
    }

    /// Host and port, `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for SlowLink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the link has already been printed; a second one here would abort the test.
            let _ended = thread.join().is_ok();
        }
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, link: Link) {
    let meter = Arc::new(Mutex::new(Instant::now()));
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let meter = Arc::clone(&meter);
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            for socket in [&client, &server] {
                socket.set_nodelay(true).expect("a socket without delay");
            }
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let there = tokio::spawn(late(from_client, to_server, link.delay));
            metered(from_server, to_client, link.bytes_per_second, &meter).await;
            // The answer is at its end, and so is what was asked.
            there.abort();
        });
    }
}

/// Passes on what comes, each piece so much later than it came.
async fn late(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: Duration) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THEIR_WAY);
    let read = async {
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            if sender.send((Instant::now() + delay, piece[..length].to_vec())).await.is_err() {
                break;
            }
        }
        drop(sender);
    };
    let write = async {
        while let Some((due, piece)) = pieces.recv().await {
            tokio::time::sleep_until(due.into()).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _closed = to.shutdown().await.is_ok();
    };
    tokio::join!(read, write);
}

/// Passes on what comes, as fast as the link allows; `meter` says until when it is taken.
async fn metered(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    rate: Option<u64>,
    meter: &Mutex<Instant>,
) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if let Some(rate) = rate {
            let due = {
                let mut taken = meter.lock().await;
                *taken = (*taken).max(Instant::now()) + Duration::from_secs_f64(length as f64 / rate as f64);
                *taken
            };
            tokio::time::sleep_until(due.into()).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
    let _closed = to.shutdown().await.is_ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FakeRegistry, Http};

    #[test]
    fn what_is_asked_comes_later_and_what_is_answered_slower() {
        let registry = FakeRegistry::start();
        let digest = registry.put_blob("app", vec![7; 1 << 20]);
        let link = Link { delay: Duration::from_millis(50), bytes_per_second: Some(10 << 20) };
        let link = SlowLink::to(&registry.address(), link);
        let begun = Instant::now();
        let answer = Http::to(&link.address()).get(&format!("/v2/app/blobs/{digest}"), &[]);
        assert_eq!((answer.status, answer.body.len()), (200, 1 << 20));
        // 50 ms on the way there, 100 ms for a mebibyte at ten a second; no more can be said of a busy machine.
        assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
    }
}
