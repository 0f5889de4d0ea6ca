//! Images that come into a store, with all that belongs to them.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use manifest_core::Descriptor;
use manifest_store::{Content as RecordContent, Intake, NewRecord, Origin as Came, Source};
use manifest_transport::{Graph, Node, Place};

use crate::error::ImportError;
use crate::plan::{Action, BlobStep, Plan};
use crate::progress::{Progress, Step};

/// Up to so many bytes a blob that the store has is read again, which takes no longer than to ask for it: so are
/// configurations. To read all layers would make an import that finds everything there as slow as the first one.
const LOOKED_INTO: u64 = 1 << 20;

/// Blobs that are copied at once: each has buffers of a few hundred kilobytes, and the disk is one.
const AT_ONCE: usize = 3;

/// What became of an image that was taken into a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Taken {
    /// The record to be saved: the bytes as they were, with entries whose source is the store.
    pub record: NewRecord,
    /// Manifests that belong to it, itself counted.
    pub manifests: usize,
    /// Blobs and their bytes, by what it took to have them.
    pub blobs: BTreeMap<Action, (usize, u64)>,
}

/// Copies an image with all that belongs to it, and makes the record that is to be saved before the intake is finished.
///
/// The whole graph is read first, so that nothing is copied of an image that misses a part. Manifests and blobs are
/// checked on the way; what the store has stays, unless it is small and damaged. Layers that their licence keeps where they are stay there. `from` is what
/// was typed.
///
/// # Errors
/// [`ImportError`]; what was copied before is collected one day.
pub async fn take(
    place: &Place,
    root: &Descriptor,
    from: &str,
    intake: &Intake,
    progress: &dyn Progress,
) -> Result<Taken, ImportError> {
    let graph = Graph::read(place, root).await?;
    progress.step(place, Step::Planned(&planned(place, &graph)));
    let copied: Vec<(Action, u64)> = stream::iter(&graph.blobs)
        .map(|part| async move {
            let how = copy(place, part, intake).await?;
            progress.step(place, Step::Blob(part, how));
            Ok::<_, ImportError>((how, part.size))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let foreign = graph.foreign.iter().map(|layer| (Action::Leave, layer.size));
    let mut blobs: BTreeMap<Action, (usize, u64)> = BTreeMap::new();
    for (how, size) in copied.into_iter().chain(foreign) {
        let (count, bytes) = blobs.entry(how).or_default();
        (*count, *bytes) = (*count + 1, bytes.saturating_add(size));
    }
    let mut document = Vec::new();
    for node in &graph.manifests {
        let bytes = bytes(place, node).await?;
        if node.descriptor.digest == root.digest {
            document = bytes;
        } else {
            intake.put(&node.descriptor.digest, &bytes).await?;
        }
    }
    let record = record(document, root, from)?;
    if let RecordContent::Image(_) = record.content() {
        // An image is its own entry, by its sha256 whatever the digest of the layout is made with.
        intake.put(&record.document().digest, &record.document().bytes).await?;
    }
    Ok(Taken { record, manifests: graph.manifests.len(), blobs })
}

/// What is to be copied, for those who are told how it goes on.
fn planned(place: &Place, graph: &Graph) -> Plan {
    let step = |blob: &Descriptor| {
        (blob.digest, BlobStep { blob: blob.clone(), from: place.clone(), action: Action::Copy })
    };
    Plan { blobs: graph.blobs.iter().map(step).collect(), ..Plan::default() }
}

/// Copies one blob, unless it is there; a small one that is damaged there is written again.
async fn copy(place: &Place, blob: &Descriptor, intake: &Intake) -> Result<Action, ImportError> {
    let is_there = match blob.size {
        ..=LOOKED_INTO => intake.has_whole(&blob.digest, blob.size).await?,
        _ => intake.has(&blob.digest, blob.size).await?,
    };
    if is_there {
        return Ok(Action::Skip);
    }
    let mut pieces = place.blob(blob).await?;
    let mut writer = intake.writer(&blob.digest, blob.size).await?;
    while let Some(piece) = pieces.next().await {
        writer.write(piece?).await?;
    }
    writer.finish().await?;
    Ok(Action::Copy)
}

async fn bytes(place: &Place, node: &Node) -> Result<Vec<u8>, ImportError> {
    Ok(match &node.bytes {
        Some(bytes) => bytes.to_vec(),
        None => place.manifest(&node.descriptor.digest.into()).await?.bytes.to_vec(),
    })
}

/// The record of what lies in the store by now.
fn record(document: Vec<u8>, root: &Descriptor, from: &str) -> Result<NewRecord, ImportError> {
    let record = NewRecord::kept(document, Some(&root.media_type), Came::Imported)?;
    let digest = record.document().digest;
    let entries = match record.content() {
        RecordContent::List(list) => list.entries().iter().map(|entry| entry.digest).collect(),
        RecordContent::Image(_) => vec![digest],
    };
    let place = Source::HERE.to_owned();
    let (from, resolved) = (from.to_owned(), Timestamp::now());
    Ok(record.with_source(Source { from, place, digest, resolved, entries, record: None }))
}
