//! The programs of an image: whether they are built for its platform.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use futures_util::stream::StreamExt as _;
use manifest_core::{Descriptor, ImageManifest, MediaType, Platform};
use manifest_transport::{Place, TransportError};
use tokio::sync::mpsc;

use super::finding::{Finding, Unchecked};
use super::judge::{Fit, format_of, judge};
use super::layer::Walk;
use super::problem::problem;

/// Pieces of a layer that wait to be unpacked.
const WAITING: usize = 4;

/// How far an image is looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "filled with ..Default::default()")]
pub struct DeepLimits {
    /// Programs that are enough for an image; it is then looked into no further.
    pub programs: usize,
    /// Bytes of a layer that are read, as it is stored.
    pub packed_bytes: u64,
    /// How many bytes may come out of a layer for each that went in; 64 MiB come out in any case.
    pub ratio: u64,
    /// Files that are passed, in all layers of an image.
    pub files: usize,
}

impl Default for DeepLimits {
    fn default() -> Self {
        Self { programs: 8, packed_bytes: 512 << 20, ratio: 200, files: 1_000_000 }
    }
}

/// What is known of the programs of an image.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CheckedPrograms {
    /// What is not as it should be, layers that are not there among it.
    pub findings: Vec<Finding>,
    /// Layers that were not looked through, and an image in which nothing was found.
    pub unchecked: Vec<Unchecked>,
    /// Programs whose machine was compared with the platform.
    pub programs: usize,
}

/// Looks for programs in the layers of an image, and compares what they were built for with its platform.
///
/// The uppermost layers, where the programs of the image itself lie, are looked through first. Layers are streamed and
/// unpacked on the way, never kept; one is read no further than it takes, and then only its beginning was verified.
///
/// # Errors
/// What keeps layers from being read, but for those that are not there or not what their digests say.
pub async fn check_programs(
    entry: &Descriptor,
    image: &ImageManifest,
    platform: &Platform,
    place: &Place,
    limits: &DeepLimits,
) -> Result<CheckedPrograms, TransportError> {
    let mut checked = CheckedPrograms::default();
    let mut walk = Walk::new(format_of(&platform.normalized().os), limits.clone());
    for layer in image.layers.iter().rev().filter(|layer| !layer.media_type.is_foreign()) {
        if walk.is_done() {
            break;
        }
        if !is_files(&layer.media_type) {
            let why = format!("has no files that are known here, being {}", layer.media_type);
            checked.unchecked.push(Unchecked::new(layer.digest, entry, why));
            continue;
        }
        let (walked, why, failed) = look_through(layer, place, walk).await?;
        walk = walked;
        match failed.map(problem).transpose()? {
            Some((about, what)) => checked.findings.push(Finding::fault(about, what).of(entry)),
            None => {
                let why = why.map(|why| Unchecked::new(layer.digest, entry, why));
                checked.unchecked.extend(why);
            }
        }
    }
    checked.conclude(entry, platform, walk);
    Ok(checked)
}

impl CheckedPrograms {
    fn conclude(&mut self, entry: &Descriptor, platform: &Platform, walk: Walk) {
        let unknown = walk.programs.iter().any(|program| Fit::of(&program.machine, platform) == Fit::Unknown);
        if unknown {
            let why = format!("has programs, but how those for {platform} look is not known here");
            self.unchecked.push(Unchecked::new(entry.digest, entry, why));
        } else if walk.programs.is_empty() && self.unchecked.is_empty() {
            let why = format!("has no programs that {} loads", platform.os);
            self.unchecked.push(Unchecked::new(entry.digest, entry, why));
        }
        self.programs = if unknown { 0 } else { walk.programs.len() };
        let all: Vec<_> = walk.programs.into_iter().chain(walk.others).collect();
        self.findings.extend(judge(&all, platform).into_iter().map(|finding| finding.of(entry)));
    }
}

/// Whether a layer is an archive of files; what is encrypted is not.
fn is_files(media_type: &MediaType) -> bool {
    let text = media_type.as_str();
    let known = ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."];
    known.iter().any(|start| text.starts_with(start)) && !text.ends_with("encrypted")
}

/// Reads a layer, while a thread that may block looks through it, until that has seen enough.
async fn look_through(
    layer: &Descriptor,
    place: &Place,
    mut walk: Walk,
) -> Result<(Walk, Option<String>, Option<TransportError>), TransportError> {
    let mut content = match place.blob(layer).await {
        Ok(content) => content,
        Err(error) => return Ok((walk, None, Some(error))),
    };
    let (sender, receiver) = mpsc::channel(WAITING);
    let work = tokio::task::spawn_blocking(move || {
        let why = walk.layer(Feed { pieces: receiver, piece: Bytes::new() });
        (walk, why)
    });
    let mut failed = None;
    while let Some(piece) = content.next().await {
        let sent = match piece {
            Ok(piece) => sender.send(piece).await,
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        if sent.is_err() {
            break;
        }
    }
    drop(sender);
    let (walk, why) = work.await.map_err(|error| {
        TransportError::Io("look through", layer.digest.to_string().into(), io::Error::other(error))
    })?;
    Ok((walk, why, failed))
}

/// The content of a layer, for a thread that may block.
struct Feed {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Feed {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let read = to.len().min(self.piece.len());
        self.piece.copy_to_slice(to.get_mut(..read).unwrap_or_default());
        Ok(read)
    }
}
