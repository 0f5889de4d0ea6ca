//! How far a publication is, written down so that another process can go on with it or take it back.

mod model;

pub(crate) use model::text;

use std::fmt;

use manifest_core::ListName;
use manifest_store::{Lease, PublicationId, Publications, Record, RecordId, StoreError};
use manifest_transport::TransportError;
use tokio::sync::Mutex;

use crate::course::Course;
use crate::error::PublishError;
use crate::lot::Lot;
use crate::progress::Progress;
use crate::push::Published;

pub use model::{Phase, Publication, PublishedTag, PublishedTarget, Was};

/// How many publications that have ended are kept.
const KEPT: usize = 100;

/// Writes down how far one publication is. What cannot be written down is told ([`Progress::not_written_down`]) and hinders
/// nothing: a publication that is not cut off needs no journal.
pub struct Journal {
    publications: Publications,
    names: Vec<ListName>,
    record: RecordId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    publication: Option<Publication>,
    /// Keeps others from going on with it.
    lease: Option<Lease>,
    /// Whether it was written down, or at least tried to be.
    is_begun: bool,
    /// Whether what is to be done is another thing than what was written down.
    is_stale: bool,
    /// Whether a tag may have moved that nobody puts back when it fails: another process moved it, or it came with the list.
    may_have_moved: bool,
}

impl Journal {
    /// The journal of a new publication of a record.
    pub fn new(publications: Publications, record: &Record) -> Self {
        let (names, record) = (record.names().to_vec(), record.id());
        Self { publications, names, record, state: Mutex::default() }
    }

    /// The journal of a publication that was cut off, and what is known of it; `None` when it has ended or is not known.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when it is still under way; [`StoreError::Damaged`]; what disks and services refuse.
    pub async fn again(
        publications: Publications,
        id: PublicationId,
    ) -> Result<Option<(Self, Publication)>, StoreError> {
        let lease = publications.lease(id).await?;
        let known = match publications.get(id).await {
            Ok(Some(bytes)) => Publication::parse(id, &bytes).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let publication = match known {
            Ok(Some(publication)) if publication.phase.is_open() => publication,
            other => {
                lease.release().await;
                return other.map(|_ended| None);
            }
        };
        let lease = Some(lease);
        let (names, record) = (publication.names.clone(), publication.record);
        let state = State {
            publication: Some(publication.clone()),
            lease,
            is_begun: true,
            may_have_moved: true,
            ..State::default()
        };
        Ok(Some((Self { publications, names, record, state: Mutex::new(state) }, publication)))
    }

    /// All that is known of publications, the newest first; what cannot be read is an error beside the others.
    ///
    /// One that was cut off and whose tags a newer one has set is [`Phase::Superseded`].
    ///
    /// # Errors
    /// When the store as a whole cannot be read.
    pub async fn all(
        publications: &Publications,
    ) -> Result<Vec<Result<Publication, StoreError>>, StoreError> {
        let mut all: Vec<Result<Publication, StoreError>> = Vec::new();
        for id in publications.ids().await? {
            let read = publications.get(id).await;
            all.extend(
                read.and_then(|found| found.map(|bytes| Publication::parse(id, &bytes)).transpose())
                    .transpose(),
            );
        }
        for at in 0..all.len() {
            let (newer, rest) = all.split_at_mut(at);
            if let Some(Ok(publication)) = rest.first_mut()
                && publication.phase.is_open()
                && newer.iter().flatten().any(|newer| newer.supersedes(publication))
            {
                publication.phase = Phase::Superseded;
            }
        }
        Ok(all)
    }

    /// Notes what is to be done, without writing it down yet.
    pub(crate) async fn plan(&self, course: &Course<'_>, lots: &[Lot<'_>]) -> Result<(), PublishError> {
        let mut state = self.state.lock().await;
        let now = self.publications.now();
        let (id, begun, phase) = match &state.publication {
            // Another list is another content.
            Some(known) if known.digest != course.content.list.digest => {
                (known.id, known.begun, Phase::Content)
            }
            Some(known) => (known.id, known.begun, known.phase),
            None => (self.publications.new_id()?, now, Phase::Content),
        };
        let mut publication = Publication {
            id,
            names: self.names.clone(),
            record: self.record,
            begun,
            changed: now,
            phase,
            digest: course.content.list.digest,
            media_type: course.content.list.media_type.clone(),
            size: course.content.list.bytes.len() as u64,
            entries: course.options.entries,
            foreign_layers: course.options.foreign_layers,
            with: course.options.with.clone(),
            signing: course.options.signing.noted(),
            sources: course.content.sources.clone(),
            targets: Vec::new(),
            documents: std::collections::BTreeMap::new(),
        };
        publication.keep(course.content.list.digest, &course.content.list.bytes);
        publication.targets = lots.iter().map(|lot| lot.planned(&mut publication)).collect();
        state.is_stale = state.publication.as_ref().is_some_and(|known| known.differs(&publication));
        state.publication = Some(publication);
        Ok(())
    }

    /// Where it is written down, and others are kept away.
    pub(crate) const fn publications(&self) -> &Publications {
        &self.publications
    }

    /// Whether something is written down.
    pub(crate) async fn is_begun(&self) -> bool {
        self.state.lock().await.is_begun
    }

    /// Keeps others away from a tag.
    pub(crate) async fn lease_tag(&self, tag: String) -> Result<Lease, StoreError> {
        self.publications.lease_tag(tag).await
    }

    /// Writes down what is to be done, unless it is already.
    pub(crate) async fn begin(&self, progress: &dyn Progress) {
        let mut state = self.state.lock().await;
        if std::mem::take(&mut state.is_stale) && state.is_begun {
            self.write(&mut state, progress).await;
        }
        if !state.is_begun {
            state.is_begun = true;
            if let Some(publication) = &state.publication {
                match self.publications.lease(publication.id).await {
                    Ok(lease) => state.lease = Some(lease),
                    Err(error) => progress.not_written_down(&error),
                }
            }
            self.write(&mut state, progress).await;
        }
    }

    /// Writes down that a phase begins.
    pub(crate) async fn step(&self, phase: Phase, progress: &dyn Progress) {
        let mut state = self.state.lock().await;
        if let State { publication: Some(publication), is_begun: true, .. } = &mut *state {
            publication.phase = phase;
            if !phase.is_open() {
                publication.forget_content();
            }
            self.write(&mut state, progress).await;
            if !phase.is_open()
                && let Some(lease) = state.lease.take()
            {
                lease.release().await;
            }
        }
    }

    /// Notes that the next request may move a tag.
    pub(crate) async fn moves(&self) {
        self.state.lock().await.may_have_moved = true;
    }

    /// Writes down what a failure has left: where tags may have moved it can be resumed or taken back.
    pub(crate) async fn fail(&self, error: &PublishError, progress: &dyn Progress) {
        let is_over = match error {
            PublishError::TagStuck { undone, .. } => undone.iter().all(|undone| undone.stays.is_none()),
            _ if !self.state.lock().await.may_have_moved => true,
            // The only tag is somebody else's.
            PublishError::Overtaken { .. }
            | PublishError::Unexpected { .. }
            | PublishError::Transport(TransportError::Moved { .. }) => {
                let state = self.state.lock().await;
                state.publication.as_ref().is_some_and(|publication| publication.tags() < 2)
            }
            _ => false,
        };
        if is_over {
            self.step(Phase::Failed, progress).await;
        }
        if let Some(lease) = self.state.lock().await.lease.take() {
            lease.release().await;
        }
    }

    /// Writes down that all is done. The caller says so, when he has done what he does after a success: until then the
    /// publication can be resumed. Of those that have ended the newest hundred are kept.
    pub async fn finish(&self, published: &Published, progress: &dyn Progress) {
        {
            let mut state = self.state.lock().await;
            let targets = state.publication.iter_mut().flat_map(|publication| &mut publication.targets);
            for (target, done) in targets.zip(published) {
                target.failed = done.as_ref().err().map(ToString::to_string);
            }
        }
        self.end(Phase::Done, progress).await;
    }

    /// Writes down that all was taken back, as far as that could be.
    pub async fn aborted(&self, progress: &dyn Progress) {
        self.end(Phase::Aborted, progress).await;
    }

    async fn end(&self, phase: Phase, progress: &dyn Progress) {
        self.step(phase, progress).await;
        if self.state.lock().await.is_begun
            && let Err(error) = self.drop_old().await
        {
            progress.not_written_down(&error);
        }
    }

    async fn write(&self, state: &mut State, progress: &dyn Progress) {
        let Some(publication) = &mut state.publication else { return };
        publication.changed = self.publications.now();
        if let Err(error) = self.publications.put(publication.id, &publication.encode()).await {
            progress.not_written_down(&error);
        }
    }

    async fn drop_old(&self) -> Result<(), StoreError> {
        for id in self.publications.ids().await?.into_iter().skip(KEPT) {
            let Some(bytes) = self.publications.get(id).await? else { continue };
            if !Publication::parse(id, &bytes)?.phase.is_open() {
                self.publications.remove(id).await?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("record", &self.record).finish_non_exhaustive()
    }
}
