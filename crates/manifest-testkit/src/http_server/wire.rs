//! A connection that can break in the middle, at an exact byte.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What is to become of a connection; shared by the connection and the requests on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate(Arc<Mutex<Plan>>);

#[derive(Clone, Copy, Debug, Default)]
enum Plan {
    #[default]
    Normal,
    /// The connection is closed by a reset as soon as it is dropped.
    Reset,
    /// The next response stops after so many bytes of its body. The second value is how many bytes of
    /// the blank line before the body have gone by, and the last what happens then.
    Head {
        body: u64,
        seen: usize,
        then: End,
    },
    Body {
        left: u64,
        then: End,
    },
}

#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Stall,
}

impl Fate {
    pub(super) fn reset(&self) {
        *self.0.lock().unwrap() = Plan::Reset;
    }

    pub(super) fn cut_after(&self, body: u64) {
        *self.0.lock().unwrap() = Plan::Head { body, seen: 0, then: End::Close };
    }

    pub(super) fn stall_after(&self, body: u64) {
        *self.0.lock().unwrap() = Plan::Head { body, seen: 0, then: End::Stall };
    }
}

/// A connection that obeys its [`Fate`].
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    fate: Fate,
}

/// The blank line between the head of a response and its body.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

impl Wire {
    pub(super) fn new(stream: TcpStream, fate: Fate) -> Self {
        Self { stream, fate }
    }

    /// Ends the connection as the plan says; nothing more is written.
    fn end(&mut self, context: &mut Context<'_>, then: End) -> Poll<io::Result<usize>> {
        match then {
            End::Stall => Poll::Pending,
            End::Close => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
                Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let plan = *self.fate.0.lock().unwrap();
        let (allowed, next) = match plan {
            Plan::Normal | Plan::Reset => return Pin::new(&mut self.stream).poll_write(context, bytes),
            Plan::Body { left: 0, then } => return self.end(context, then),
            Plan::Body { left, then } => {
                (bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)), Plan::Body { left, then })
            }
            // The head goes out byte by byte, so that its end is seen exactly; it is short.
            Plan::Head { body, seen, then } => {
                let seen = match bytes.first() {
                    Some(byte) if *byte == BLANK_LINE[seen] => seen + 1,
                    Some(b'\r') => 1,
                    _ => 0,
                };
                let next = if seen == BLANK_LINE.len() {
                    Plan::Body { left: body, then }
                } else {
                    Plan::Head { body, seen, then }
                };
                (bytes.len().min(1), next)
            }
        };
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[..allowed]))?;
        *self.fate.0.lock().unwrap() = match next {
            Plan::Body { left, then } if matches!(plan, Plan::Body { .. }) => {
                Plan::Body { left: left - written as u64, then }
            }
            next => next,
        };
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if matches!(*self.fate.0.lock().unwrap(), Plan::Reset) {
            // Without a linger time the kernel answers the peer with RST instead of FIN.
            let socket = socket2::SockRef::from(&self.stream);
            socket.set_linger(Some(std::time::Duration::ZERO)).expect("a socket that can be reset");
        }
    }
}
