//! Sending blobs to a registry.
//!
//! A blob goes in one request as long as that works, and in pieces where the registry wants them. What has arrived is
//! not sent again: after a failure the registry is asked how much of the blob it has.
//!
//! Spec: OCI distribution-spec v1.1.1, "Pushing blobs".

use std::future::Future;
use std::pin::Pin;

use manifest_core::Descriptor;
use url::Url;

use self::body::Source;
use self::piece::{Loss, Piece, Sent};
use self::session::{Asked, Session};
use super::{PROOFS, Registry};
use crate::auth::token::{Access, scope};
use crate::error::TransportError;
use crate::retry::Hint;
use crate::start::Start;
use crate::stream::Blob;

mod ability;
mod body;
mod piece;
mod pieces;
mod session;

pub use ability::Pieced;
pub(super) use pieces::Pieces;

/// Opens the content of a blob; called again for every attempt, with the place from which on it is to be sent.
pub type Opener<'a> = dyn Fn(Start) -> Pin<Box<dyn Future<Output = Result<Blob, TransportError>> + Send + 'a>>
    + Send
    + Sync
    + 'a;

/// Sessions for one blob, after the first one, before it is given up.
const MAX_NEW_SESSIONS: u32 = 3;
/// Attempts without progress after which a session is given up.
const MAX_STUCK: u32 = 2;

/// One blob on its way to a registry.
struct Upload<'a, 'o> {
    registry: &'a Registry,
    path: &'a str,
    blob: &'a Descriptor,
    source: Source<'a, 'o>,
    /// The bytes of a piece, where the blob goes in pieces.
    chunk: Option<u64>,
    /// Why it does.
    too_large: Option<TransportError>,
    /// Whether pieces have been found not to work.
    whole_only: bool,
    /// Whether a connection that broke has been taken for "too large" once.
    guessed: bool,
    /// Whether the registry has received something else than was sent, once.
    spoilt: bool,
    /// Attempts since something arrived.
    retry: u32,
    /// Logins since something arrived.
    proofs: usize,
    new_sessions: u32,
}

/// How an upload goes on.
enum Next {
    Done,
    /// In the same session.
    GoOn,
    /// In a new session, from the beginning; why, and whether the old one may still be there.
    Renew(String, Old),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Old {
    Open,
    Gone,
}

impl Registry {
    /// Sends a blob; `mounted` is the session that an attempt to mount it left.
    pub(crate) async fn upload(
        &self,
        path: &str,
        blob: &Descriptor,
        mounted: Option<Url>,
        open: &Opener<'_>,
    ) -> Result<(), TransportError> {
        let mut session = match mounted {
            Some(url) => Session::new(url),
            None => self.start(path, blob.digest.algorithm()).await?,
        };
        let mut upload = Upload {
            registry: self,
            path,
            blob,
            source: Source::new(open),
            chunk: self.pieces.size(),
            too_large: None,
            whole_only: false,
            guessed: false,
            spoilt: false,
            retry: 0,
            proofs: 1,
            new_sessions: 0,
        };
        loop {
            match upload.step(&mut session).await {
                Ok(Next::Done) => return Ok(()),
                Ok(Next::GoOn) => {}
                Ok(Next::Renew(cause, old)) => {
                    if old == Old::Open {
                        self.cancel(path, &session).await;
                    }
                    session = upload.renew(&session, cause).await?;
                }
                Err(error) => {
                    if !is_unreachable(&error) {
                        self.cancel(path, &session).await;
                    }
                    return Err(error.of_algorithm(blob.digest.algorithm()));
                }
            }
        }
    }
}

impl Upload<'_, '_> {
    async fn step(&mut self, session: &mut Session) -> Result<Next, TransportError> {
        let piece = Piece::next(self.blob.size, session.offset, self.chunk);
        match self.send(session, piece).await? {
            Sent::Done => Ok(Next::Done),
            Sent::Taken { url, held } => {
                session.url = url.unwrap_or_else(|| session.url.clone());
                self.taken(session, piece, held).await
            }
            Sent::Unproven(response, proof) => {
                let authorizer = &self.registry.door().await?.authorizer;
                let last = self.proofs >= PROOFS;
                authorizer.challenged(response, &proof, &scope(self.path, Access::Push), last).await?;
                self.proofs += 1;
                // Who is not let in has not touched the session.
                Ok(Next::GoOn)
            }
            Sent::TooLarge(error) => self.smaller(piece, error),
            Sent::Declined(error) => self.whole(error),
            Sent::Spoilt(error) if self.spoilt => Err(error),
            Sent::Spoilt(error) => {
                self.spoilt = true;
                self.lost_session(session, piece, error.to_string()).await
            }
            Sent::Gone(cause) => self.lost_session(session, piece, cause).await,
            Sent::Lost(loss, cause, hint) => {
                self.again(session, piece, cause.clone(), hint).await?;
                if piece.finishes && self.is_there().await? {
                    return Ok(Next::Done);
                }
                self.ask(session, piece, loss, cause).await
            }
        }
    }

    /// Goes on after a session has ended without success, unless the blob is there all the same.
    async fn lost_session(
        &mut self,
        session: &Session,
        piece: Piece,
        cause: String,
    ) -> Result<Next, TransportError> {
        self.again(session, piece, cause.clone(), Hint::None).await?;
        let there = piece.finishes && self.is_there().await?;
        Ok(if there { Next::Done } else { Next::Renew(cause, Old::Gone) })
    }

    /// Pauses after an attempt that failed.
    async fn again(
        &mut self,
        session: &Session,
        piece: Piece,
        cause: String,
        hint: Hint,
    ) -> Result<(), TransportError> {
        let request = self.registry.piece_request(session, piece, &self.blob.digest).await?;
        self.registry.http.pause(&request.label(), &request.url, self.retry, hint, cause).await?;
        self.retry += 1;
        Ok(())
    }

    async fn is_there(&self) -> Result<bool, TransportError> {
        self.registry.has_blob(self.path, &self.blob.digest).await
    }

    /// Goes on after a piece that the registry took, as far as it says that it did.
    async fn taken(
        &mut self,
        session: &mut Session,
        piece: Piece,
        held: Option<u64>,
    ) -> Result<Next, TransportError> {
        if self.too_large.is_some() {
            self.registry.pieces.learn(self.chunk);
        }
        let end = piece.end();
        if let Some(held) = held.filter(|held| *held < end) {
            let cause = format!("{held} bytes are there of the {end} that were sent");
            self.again(session, piece, cause.clone(), Hint::None).await?;
            return Ok(self.go_on(session, held, Loss::WrongPlace, cause));
        }
        Ok(self.go_on(session, end, Loss::WrongPlace, String::new()))
    }

    /// Goes on where the registry says that the session is.
    fn go_on(&mut self, session: &mut Session, held: u64, loss: Loss, cause: String) -> Next {
        if session.has(held) {
            self.retry = 0;
            self.proofs = 1;
        }
        // A registry with a fault that may pass has nothing against the session.
        if session.stuck < MAX_STUCK || loss == Loss::Fault {
            return Next::GoOn;
        }
        if loss == Loss::WrongPlace && self.too_large.is_none() {
            self.chunk = None;
        }
        Next::Renew(cause, Old::Open)
    }

    /// Asks how much of the blob has arrived, and goes on from there.
    async fn ask(
        &mut self,
        session: &mut Session,
        piece: Piece,
        loss: Loss,
        cause: String,
    ) -> Result<Next, TransportError> {
        let (url, held) = match self.registry.ask(self.path, session).await? {
            Asked::Holds(url, held) if held <= self.blob.size => (url, held),
            Asked::Holds(..) | Asked::Unknown => return Ok(Next::Renew(cause, Old::Open)),
            Asked::Gone => return Ok(Next::Renew(cause, Old::Gone)),
        };
        if let Some(url) = url {
            session.url = url;
        }
        // A server that finds a body too large may hang up so early that its answer is lost.
        if loss == Loss::Silence && held == 0 && self.chunk.is_none() && !self.guessed && !self.whole_only {
            self.guessed = true;
            self.chunk = self.registry.pieces.smaller(piece.length);
        }
        Ok(self.go_on(session, held, loss, cause))
    }

    /// Goes on in smaller pieces.
    fn smaller(&mut self, piece: Piece, error: TransportError) -> Result<Next, TransportError> {
        match self.registry.pieces.smaller(piece.length) {
            Some(size) if !self.whole_only => {
                self.chunk = Some(size);
                self.too_large = Some(error);
                Ok(Next::GoOn)
            }
            _ => Err(error),
        }
    }

    /// Goes on in one piece, since the registry takes no other.
    fn whole(&mut self, error: TransportError) -> Result<Next, TransportError> {
        if let Some(too_large) = self.too_large.take() {
            return Err(too_large);
        }
        if self.whole_only {
            return Err(error);
        }
        self.whole_only = true;
        self.chunk = None;
        Ok(Next::Renew(error.to_string(), Old::Open))
    }

    /// A new session in place of one that is of no use any more.
    async fn renew(&mut self, old: &Session, cause: String) -> Result<Session, TransportError> {
        if self.new_sessions >= MAX_NEW_SESSIONS {
            let piece = Piece::next(self.blob.size, 0, self.chunk);
            let request = self.registry.piece_request(old, piece, &self.blob.digest).await?;
            return Err(self.registry.http.exhausted(&request.label(), self.new_sessions + 1, cause));
        }
        self.new_sessions += 1;
        self.registry.start(self.path, self.blob.digest.algorithm()).await
    }
}

/// Whether a registry that failed like this will not hear that an upload is given up.
fn is_unreachable(error: &TransportError) -> bool {
    matches!(
        error,
        TransportError::Exhausted { .. }
            | TransportError::ComeBack { .. }
            | TransportError::Unreachable { .. }
    )
}
