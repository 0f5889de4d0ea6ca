//! Tags to whose manifests several add at the same time, each something of their own: signatures, and the index that
//! stands in for the referrers API.
//!
//! Where the place compares ([`Guard`]) nobody loses anything. Elsewhere a write may take away what somebody else wrote
//! between our look and our write; who looks again sees that, and adds his own once more.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use manifest_core::{Digest, MediaType, Tag};

use super::{Place, Which};
use crate::error::TransportError;
use crate::layout::is_no_layout_yet;
use crate::location::Pick;
use crate::manifest::{At, Fetched};
use crate::registry::{Expect, Guard, digest_etag};
use crate::retry::{Hint, RetryPolicy};

/// How often what was written may be gone again.
const LOST_ROUNDS: u32 = 8;
/// How often somebody else may be quicker. Each time one of them got done, so this is about how many writers there may
/// be at once.
const BEATEN_ROUNDS: u32 = 64;

/// Something that is added to the manifest of a tag, whatever others add to it.
pub trait Addition: Sync {
    /// Why it cannot be added.
    type Error: From<TransportError>;

    /// The manifest that the tag should mean instead of `now`; called again when somebody else was quicker. Everything that
    /// the manifest names has to be there when this returns.
    fn onto(&self, now: Option<&Fetched>) -> impl Future<Output = Result<Onto, Self::Error>> + Send;
}

/// What is to become of a tag.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Onto {
    /// Nothing: what is added is in it already.
    Within,
    /// A manifest with the addition.
    Document(MediaType, Bytes),
    /// Nothing: it is something else, and cannot be added to.
    Never,
}

/// What a tag means, with its manifest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tagged {
    /// The manifest.
    pub manifest: Fetched,
    /// The entity tag, for [`Expect::ETag`], where the place gives one.
    pub etag: Option<String>,
}

/// When it is looked whether an addition has stayed, at a place that does not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookBack {
    /// When it was written.
    AtOnce,
    /// The caller adds it once more, a little later.
    Later,
}

/// Whether somebody else can have taken away what was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stays {
    /// Nobody can: the place compares, or it was read back.
    Surely,
    /// Nobody can if the place compares, which is not known yet.
    IfCompared,
    /// Anybody can have.
    Perhaps,
}

/// What came of an addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Added {
    /// It was there.
    Present,
    /// It is all that there is.
    Written,
    /// It stands beside what there was.
    Joined,
    /// The tag is something else, and stays so.
    Never,
}

impl Place {
    /// Adds something to the manifest of a tag, or makes that with nothing else in it; what others add at the same time
    /// stays. What it came to, and whether it has stayed.
    ///
    /// # Errors
    /// [`TransportError::Contended`] when what was added was lost eight times, or others were quicker 64 times;
    /// [`TransportError::ReadOnly`]; those of the addition, and of reading and writing.
    pub async fn add_to<A: Addition>(
        &self,
        name: &str,
        addition: &A,
        look_back: LookBack,
    ) -> Result<(Added, Stays), A::Error> {
        let now = self.tagged(name).await?;
        self.add_over(name, now, addition, look_back).await
    }

    /// The same for a tag that has just been read.
    ///
    /// # Errors
    /// As [`add_to`](Self::add_to).
    pub async fn add_over<A: Addition>(
        &self,
        name: &str,
        seen: Option<Tagged>,
        addition: &A,
        look_back: LookBack,
    ) -> Result<(Added, Stays), A::Error> {
        let (mut lost, mut beaten, mut done) = (0, 0, Added::Present);
        let mut seen = Some(seen);
        while lost < LOST_ROUNDS && beaten < BEATEN_ROUNDS {
            let now = match seen.take() {
                Some(now) => now,
                None => {
                    self.pause_between(lost, beaten).await;
                    self.tagged(name).await?
                }
            };
            let document = match addition.onto(now.as_ref().map(|now| &now.manifest)).await? {
                Onto::Within => return Ok((done, Stays::Surely)),
                Onto::Never => return Ok((Added::Never, Stays::Surely)),
                Onto::Document(media_type, bytes) => (media_type, bytes),
            };
            let how = if now.is_none() { Added::Written } else { Added::Joined };
            let guard = match now {
                None => Guard { expect: Expect::Absent, before: Some(None) },
                Some(Tagged { manifest, etag }) => {
                    let expect = etag.map_or(Expect::Any, Expect::ETag);
                    Guard { expect, before: Some(Some(manifest.digest)) }
                }
            };
            let ours = Digest::sha256(&document.1);
            match self.put_named(Some(name), &document.0, document.1, &guard).await {
                Ok(()) => done = how,
                Err(TransportError::Moved { .. }) => {
                    beaten += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let stays = match (guard.expect != Expect::Any, self.is_known_to_compare()) {
                (true, true) => return Ok((how, Stays::Surely)),
                (true, false) => Stays::IfCompared,
                (false, _) => Stays::Perhaps,
            };
            if look_back == LookBack::Later {
                return Ok((how, stays));
            }
            if self.named_digest(name).await? == Some(ours) {
                return Ok((how, Stays::Surely));
            }
            lost += 1;
        }
        Err(TransportError::Contended { name: format!("{self}:{name}"), rounds: lost + beaten }.into())
    }

    /// What a tag means now, with its manifest; `None` when there is no such tag. No mirror is asked.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest).
    pub async fn tagged(&self, name: &str) -> Result<Option<Tagged>, TransportError> {
        let read = match self {
            Self::Repository(remote) => {
                let tag: Tag = name.parse().map_err(|error| TransportError::Protocol {
                    request: format!("GET {self}:{name}"),
                    what: format!("{error}"),
                })?;
                remote.registry.tagged_manifest(&remote.path, &At::Tag(tag)).await
            }
            _ => self.manifest(&Which::Local(Pick::Name(name.to_owned()))).await.map(|now| {
                let etag = digest_etag(&now.digest);
                (now, Some(etag))
            }),
        };
        match read {
            Err(TransportError::NotFound(_)) => Ok(None),
            Err(error) if is_no_layout_yet(&error) => Ok(None),
            read => read.map(|(manifest, etag)| Some(Tagged { manifest, etag })),
        }
    }

    /// Whether it is known that the place honours a [`Guard`], as [`compares`](Self::compares) or a refusal has shown.
    pub fn is_known_to_compare(&self) -> bool {
        match self {
            Self::Repository(remote) => remote.registry.is_known_to_compare(),
            Self::Layout(_) | Self::Directory(_) | Self::Archive(_) | Self::Reader(_) => true,
        }
    }

    /// Who was beaten waits briefly, since somebody got done; who lost something, longer: there are several who do not
    /// see each other.
    async fn pause_between(&self, lost: u32, beaten: u32) {
        let Self::Repository(remote) = self else { return };
        let Some(rounds) = (lost + beaten).checked_sub(1) else { return };
        let (base, cap) = if lost > 0 { (250, 5_000) } else { (40, 1_000) };
        let (base, cap) = (Duration::from_millis(base), Duration::from_millis(cap));
        let pauses = RetryPolicy { base, cap, ..RetryPolicy::default() };
        let clock = remote.registry.clock();
        clock.pause(pauses.pause(rounds, Hint::None, clock.chance())).await;
    }
}
