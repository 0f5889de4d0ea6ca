//! Images in a flat directory, as containers/image writes it: `dir:`.
//!
//! `manifest.json` is the image or list that the directory means; every manifest in it is `<hex>.manifest.json`, a blob `<hex>`,
//! and signatures lie beside them. What is there and not of the image stays, so that one can be published over another.
//!
//! Spec: containers/image `docs/containers-transports.5.md`, `dir:`; its directory transport, version 1.1.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, MAX_MANIFEST_SIZE};

use crate::error::TransportError;
use crate::layout::disk;
use crate::location::Pick;
use crate::manifest::{At, Fetched};
use crate::offer::Offer;
use crate::signatures::hand_over;
use crate::start::Start;
use crate::stream::Blob;

/// What stands in the file `version`, which makes a directory one of images.
const VERSION: &str = "Directory Transport Version: 1.1\n";
/// What it begins with in all versions whose files have these names.
const VERSIONS: &str = "Directory Transport Version: 1.";
/// How the names of manifests end that are not the image itself.
const MANIFEST: &str = ".manifest.json";
/// More manifests are not looked for in one directory.
const MAX_MANIFESTS: usize = 10_000;

/// A directory with one image or list in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    root: PathBuf,
}

/// As people write it: `dir:DIRECTORY`.
impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dir:{}", self.root.display())
    }
}

impl Directory {
    /// The images in this directory, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn image_path(&self) -> PathBuf {
        self.root.join("manifest.json")
    }

    fn manifest_path(&self, digest: &Digest) -> PathBuf {
        self.root.join(format!("{}{MANIFEST}", digest.hex()))
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.hex())
    }

    /// Reads the manifest that is meant, and checks it: the image itself, or what has the digest.
    ///
    /// # Errors
    /// [`TransportError::NotFound`]; [`TransportError::NotAnImageDirectory`].
    pub async fn manifest(&self, pick: &Pick) -> Result<Fetched, TransportError> {
        let what = format!("{self}{pick}");
        let (digest, bytes) = match pick {
            Pick::Only => {
                let missing = || self.not("it has no file manifest.json".to_owned());
                let bytes = self.image().await?.ok_or_else(missing)?;
                (Digest::sha256(&bytes), bytes)
            }
            Pick::Digest(digest) => match read(&self.manifest_path(digest)).await? {
                Some(bytes) => (*digest, bytes),
                None => {
                    let image = self.image().await?.filter(|bytes| digest.verifies(bytes));
                    (*digest, image.ok_or_else(|| TransportError::NotFound(what.clone()))?)
                }
            },
            Pick::Name(_) | Pick::Position(_) => return Err(TransportError::NotFound(what)),
        };
        Fetched::check(what, &At::Digest(digest), bytes.into(), None, None)
    }

    /// What the directory offers: the image itself, without a name.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest).
    pub async fn offer(&self) -> Result<Offer, TransportError> {
        let image = self.manifest(&Pick::Only).await?;
        let descriptor = Descriptor::new(image.media_type, image.digest, image.bytes.len() as u64);
        Ok(Offer { position: 0, descriptor, name: None, shadowed_by: None, origin: image.origin })
    }

    /// The bytes of `manifest.json`, if it is there.
    async fn image(&self) -> Result<Option<Vec<u8>>, TransportError> {
        // Others read a directory without this file as well.
        if let Some(version) = self.version().await?
            && !version.starts_with(VERSIONS)
        {
            return Err(self.not(format!("its version is {:?}", version.trim_end())));
        }
        read(&self.image_path()).await
    }

    /// Whether this is what the directory means.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest), but for what is not there.
    pub async fn means(&self, digest: &Digest) -> Result<bool, TransportError> {
        Ok(self.image().await?.is_some_and(|bytes| digest.verifies(&bytes)))
    }

    /// The digests by which manifests are kept beside the image itself.
    pub(crate) async fn manifests(&self) -> Result<Vec<Digest>, TransportError> {
        let mut found = Vec::new();
        for name in self.names().await? {
            let Some(hex) = name.strip_suffix(MANIFEST) else { continue };
            let algorithm = if hex.len() == 128 { "sha512" } else { "sha256" };
            found.extend(format!("{algorithm}:{hex}").parse::<Digest>().ok());
            if found.len() > MAX_MANIFESTS {
                return Err(TransportError::TooLarge {
                    what: format!("the number of manifests in {self}"),
                    limit: MAX_MANIFESTS as u64,
                });
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Whether a manifest is there, whole and right.
    pub async fn has_manifest(&self, digest: &Digest) -> bool {
        let kept = read(&self.manifest_path(digest)).await;
        let is_right = matches!(kept, Ok(Some(bytes)) if digest.verifies(&bytes));
        is_right || matches!(self.means(digest).await, Ok(true))
    }

    /// Whether a blob is there, whole and right; it is read for that, since nobody else vouches for it.
    pub async fn has_blob(&self, blob: &Descriptor) -> bool {
        disk::is_whole(self.blob_from(blob, &Start::default()).await).await
    }

    /// Reads a blob from somewhere on; digest and size of all of it are checked on the way.
    pub(crate) async fn blob_from(&self, wanted: &Descriptor, start: &Start) -> Result<Blob, TransportError> {
        let what = format!("blob {} of {self}", wanted.digest);
        disk::read_blob(self.blob_path(&wanted.digest), what, wanted, start).await
    }

    /// Writes a blob: under a temporary name, and under its digest when all of it is there.
    ///
    /// # Errors
    /// [`TransportError::NotAnImageDirectory`] when something else is in the directory; [`TransportError::Io`], and what the
    /// content brings.
    pub async fn put_blob(&self, blob: &Descriptor, content: Blob) -> Result<(), TransportError> {
        self.mark().await?;
        disk::write_blob(&self.root, self.blob_path(&blob.digest), content).await
    }

    /// Writes a manifest under its digest, unless it is there.
    ///
    /// # Errors
    /// As [`put_blob`](Self::put_blob).
    pub async fn put_manifest(&self, digest: &Digest, bytes: &Bytes) -> Result<(), TransportError> {
        self.mark().await?;
        if self.has_manifest(digest).await {
            return Ok(());
        }
        disk::replace(&self.root, &self.manifest_path(digest), bytes.to_vec()).await
    }

    /// Lets the directory mean a manifest, of which everything else is there: the digest of what it meant before.
    ///
    /// What it meant before stays under its digest, with its signatures. The file `manifest.json` is replaced in one step;
    /// just after it come the signatures that were made before.
    ///
    /// # Errors
    /// As [`put_blob`](Self::put_blob); [`TransportError::LayoutBusy`] when another process keeps the directory locked.
    pub async fn publish(&self, digest: &Digest, bytes: &Bytes) -> Result<Option<Digest>, TransportError> {
        self.mark().await?;
        let _lock = self.lock().await?;
        self.replace(digest, bytes).await
    }

    async fn replace(&self, digest: &Digest, bytes: &Bytes) -> Result<Option<Digest>, TransportError> {
        let before = match self.image().await? {
            Some(now) if now == *bytes => Some(*digest),
            Some(now) => Some(self.step_down(now).await?),
            None => None,
        };
        if before != Some(*digest) {
            disk::replace(&self.root, &self.image_path(), bytes.to_vec()).await?;
        }
        hand_over(&self.root, Some(digest), None).await?;
        self.remove(self.manifest_path(digest)).await?;
        Ok(before)
    }

    /// Keeps what the directory means under its digest.
    async fn step_down(&self, image: Vec<u8>) -> Result<Digest, TransportError> {
        let digest = Digest::sha256(&image);
        let path = self.manifest_path(&digest);
        if !matches!(read(&path).await, Ok(Some(bytes)) if bytes == image) {
            disk::replace(&self.root, &path, image).await?;
        }
        hand_over(&self.root, None, Some(&digest)).await?;
        Ok(digest)
    }

    /// Lets the directory mean what it meant before it came to mean `ours`; why not, if it does not.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn take_back(
        &self,
        ours: &Digest,
        before: Option<&Digest>,
    ) -> Result<Option<&'static str>, TransportError> {
        let _lock = self.lock().await?;
        let Some(now) = self.image().await? else { return Ok(None) };
        match before {
            Some(before) if before.verifies(&now) => Ok(None),
            _ if !ours.verifies(&now) => Ok(Some("somebody else has written to it since")),
            Some(before) => {
                let Some(bytes) = read(&self.manifest_path(before)).await?.filter(|it| before.verifies(it))
                else {
                    return Ok(Some("what it meant before is gone"));
                };
                self.replace(before, &bytes.into()).await.map(|_| None)
            }
            None => {
                self.step_down(now).await?;
                self.remove(self.image_path()).await.map(|()| None)
            }
        }
    }

    /// Removes a manifest that is kept under its digest; that of the image itself stays, and so do blobs.
    ///
    /// # Errors
    /// [`TransportError::Io`].
    pub async fn remove_manifest(&self, digest: &Digest) -> Result<(), TransportError> {
        self.remove(self.manifest_path(digest)).await
    }

    async fn remove(&self, path: PathBuf) -> Result<(), TransportError> {
        let root = self.root.clone();
        disk::blocking("remove", &path.clone(), move || match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => File::open(root)?.sync_all(),
        })
        .await
    }

    /// Keeps others from changing what the directory means.
    pub(crate) async fn lock(&self) -> Result<File, TransportError> {
        disk::lock(&self.root).await
    }

    /// Refuses a directory in which anything else may be: it has files, and not that which says what they are.
    ///
    /// # Errors
    /// [`TransportError::NotAnImageDirectory`]; [`TransportError::Io`].
    pub async fn check_ours(&self) -> Result<(), TransportError> {
        self.is_marked().await.map(drop)
    }

    /// Writes the file that makes a directory one of images, unless it is there.
    async fn mark(&self) -> Result<(), TransportError> {
        if self.is_marked().await? {
            return Ok(());
        }
        disk::replace(&self.root, &self.root.join("version"), VERSION.into()).await
    }

    async fn is_marked(&self) -> Result<bool, TransportError> {
        if self.is_of_version().await? {
            return Ok(true);
        }
        let is_foreign = |name: &&String| !name.starts_with(disk::STAGED) && *name != disk::LOCK;
        let names = self.names().await?;
        // Whoever writes here writes the version first: what was there before it is not his.
        match names.iter().find(is_foreign) {
            Some(other) if !self.is_of_version().await? => {
                Err(self.not(format!("it holds {other:?} and no file version")))
            }
            other => Ok(other.is_some()),
        }
    }

    /// Whether the file `version` is there, and says the version that is written.
    async fn is_of_version(&self) -> Result<bool, TransportError> {
        match self.version().await? {
            Some(version) if version != VERSION => {
                Err(self.not(format!("its version is {:?}", version.trim_end())))
            }
            version => Ok(version.is_some()),
        }
    }

    /// What the file `version` says, if it is there.
    async fn version(&self) -> Result<Option<String>, TransportError> {
        match disk::read(&self.root.join("version"), 4096).await {
            Err(TransportError::Io(_, _, error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => Ok(Some(String::from_utf8_lossy(&read?).into_owned())),
        }
    }

    /// The names of all files; of a directory that is not there none.
    async fn names(&self) -> Result<Vec<String>, TransportError> {
        let root = self.root.clone();
        disk::blocking("read", &self.root, move || {
            let entries = match std::fs::read_dir(root) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        })
        .await
    }

    fn not(&self, why: String) -> TransportError {
        TransportError::NotAnImageDirectory(self.root.clone(), why)
    }
}

/// Reads a manifest; none when there is no such file.
async fn read(path: &Path) -> Result<Option<Vec<u8>>, TransportError> {
    match disk::read(path, MAX_MANIFEST_SIZE).await {
        Err(TransportError::Io(_, _, error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}
