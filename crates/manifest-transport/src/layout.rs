//! OCI image layouts: images in a directory that several programs may share.
//!
//! Spec: OCI image-spec v1.1.1 `image-layout.md`.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use manifest_core::{Descriptor, Digest, Format, List, MAX_MANIFEST_SIZE};

use self::index::NAME;
use crate::error::TransportError;
use crate::location::Pick;
use crate::manifest::{At, Fetched};
use crate::offer::{self, Offer};
use crate::registry::{Deleted, Expect};
use crate::start::Start;
use crate::stream::Blob;

pub(crate) mod disk;
pub(crate) mod index;

/// What stands in the file `oci-layout`.
const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// An OCI image layout on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout in this directory, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
    }

    fn blob_name(&self, digest: &Digest) -> String {
        format!("blob {digest} of oci:{}", self.root.display())
    }

    /// Reads the manifest that is meant, and checks it.
    ///
    /// # Errors
    /// [`TransportError::NotFound`] names what there is instead; [`TransportError::NotALayout`].
    pub async fn manifest(&self, pick: &Pick) -> Result<Fetched, TransportError> {
        let (digest, media_type) = match pick {
            Pick::Digest(digest) => (*digest, None),
            Pick::Only | Pick::Name(_) | Pick::Position(_) => {
                let found = self.pick(&self.index().await?, pick)?;
                (found.digest, Some(found.media_type))
            }
        };
        let what = format!("oci:{}{pick}", self.root.display());
        let bytes = match disk::read(&self.blob_path(&digest), MAX_MANIFEST_SIZE).await {
            Err(TransportError::Io(_, _, error)) if error.kind() == io::ErrorKind::NotFound => {
                return Err(TransportError::NotFound(what));
            }
            read => read?,
        };
        Fetched::check(what, &At::Digest(digest), bytes.into(), media_type.as_ref(), None)
    }

    fn pick(&self, list: &List, pick: &Pick) -> Result<Descriptor, TransportError> {
        index::find(list, pick).cloned().ok_or_else(|| {
            let entries = list.entries().iter();
            let names: Vec<&str> =
                entries.filter_map(|entry| entry.annotations.get(NAME)).map(String::as_str).collect();
            let place = format!("oci:{}", self.root.display());
            index::absent(&place, pick, list.entries().len(), &names)
        })
    }

    /// Lists the manifests of `index.json` with their names, in order.
    ///
    /// # Errors
    /// [`TransportError::NotALayout`]; [`TransportError::Decode`]; [`TransportError::Io`].
    pub async fn offers(&self) -> Result<Vec<Offer>, TransportError> {
        Ok(offer::of_index(&self.index().await?))
    }

    /// Reads `index.json`; a layout that is not there has none.
    async fn index(&self) -> Result<List, TransportError> {
        let not = |why: String| TransportError::NotALayout(self.root.clone(), why);
        let version = match disk::read(&self.root.join("oci-layout"), 4096).await {
            Err(TransportError::Io(_, _, error)) if error.kind() == io::ErrorKind::NotFound => {
                return Err(not("it has no file oci-layout".to_owned()));
            }
            read => read?,
        };
        index::check_version(&version).map_err(not)?;
        let bytes = disk::read(&self.index_path(), MAX_MANIFEST_SIZE).await?;
        let what = format!("{}/index.json", self.root.display());
        index::decode(&bytes).map_err(|source| TransportError::Decode { what, source })
    }

    /// Whether the layout has a blob, whole and right; it is read for that, since nobody else vouches for it.
    pub async fn has_blob(&self, blob: &Descriptor) -> bool {
        disk::is_whole(self.blob(blob).await).await
    }

    /// Whether the layout has a manifest, whole and right.
    pub async fn has_manifest(&self, digest: &Digest) -> bool {
        let bytes = disk::read(&self.blob_path(digest), MAX_MANIFEST_SIZE).await;
        bytes.is_ok_and(|bytes| digest.verifies(&bytes))
    }

    /// Reads a blob; digest and size are checked on the way.
    ///
    /// # Errors
    /// [`TransportError::NotFound`] and [`TransportError::Io`] here; the rest comes from the stream.
    pub async fn blob(&self, wanted: &Descriptor) -> Result<Blob, TransportError> {
        self.blob_from(wanted, &Start::default()).await
    }

    /// Reads a blob from somewhere on.
    pub(crate) async fn blob_from(&self, wanted: &Descriptor, start: &Start) -> Result<Blob, TransportError> {
        let (path, what) = (self.blob_path(&wanted.digest), self.blob_name(&wanted.digest));
        disk::read_blob(path, what, wanted, start).await
    }

    /// Writes a blob: under a temporary name, and under its digest when all of it is there.
    ///
    /// # Errors
    /// [`TransportError::Io`], and what the content brings.
    pub async fn put_blob(&self, blob: &Descriptor, content: Blob) -> Result<(), TransportError> {
        disk::write_blob(&self.root, self.blob_path(&blob.digest), content).await
    }

    /// Writes a manifest under its digest.
    ///
    /// # Errors
    /// [`TransportError::Io`].
    pub async fn put_manifest(&self, digest: &Digest, bytes: &Bytes) -> Result<(), TransportError> {
        if self.has_manifest(digest).await {
            return Ok(());
        }
        disk::replace(&self.root, &self.blob_path(digest), bytes.to_vec()).await
    }

    /// Names a manifest in `index.json`, or lists it there without a name.
    ///
    /// A name is taken from the manifest that had it. Whatever else stands in the index stays. `oci-layout` is
    /// written first when it is not there.
    ///
    /// # Errors
    /// [`TransportError::LayoutBusy`] when another process keeps the layout locked; [`TransportError::Io`].
    pub async fn set_name(&self, name: Option<&str>, manifest: Descriptor) -> Result<(), TransportError> {
        self.set_name_if(name, manifest, &Expect::Any).await
    }

    /// Lists a manifest in `index.json` without a name, unless it is listed there under any name or none.
    pub(crate) async fn list_unless_listed(&self, manifest: Descriptor) -> Result<(), TransportError> {
        let _lock = disk::lock(&self.root).await?;
        let mut list = if self.index_path().exists() { self.index().await? } else { List::new() };
        if list.entry(&manifest.digest).is_some() {
            return Ok(());
        }
        self.mark().await?;
        list.append(manifest);
        self.write_index(&list).await
    }

    /// Writes the file that makes a directory a layout, unless it is there.
    async fn mark(&self) -> Result<(), TransportError> {
        let marker = self.root.join("oci-layout");
        if marker.exists() { Ok(()) } else { disk::replace(&self.root, &marker, VERSION.into()).await }
    }

    /// As [`set_name`](Self::set_name), if the name is as expected.
    pub(crate) async fn set_name_if(
        &self,
        name: Option<&str>,
        manifest: Descriptor,
        expect: &Expect,
    ) -> Result<(), TransportError> {
        let _lock = disk::lock(&self.root).await?;
        let mut list = if self.index_path().exists() { self.index().await? } else { List::new() };
        let found = list.entries().iter().find(|entry| is_named(entry, name)).map(|entry| entry.digest);
        if let (Some(name), false) = (name, expect.allows(found)) {
            return Err(TransportError::Moved { name: format!("oci:{}:{name}", self.root.display()), found });
        }
        self.mark().await?;
        let mut entry = manifest;
        entry.annotations.extend(name.map(|name| (NAME.to_owned(), name.to_owned())));
        let mut others = list.entries().iter().filter(|there| is_named(there, name) && **there != entry);
        if list.entries().contains(&entry) && others.next().is_none() {
            return Ok(());
        }
        list.retain(|there| !is_named(there, name));
        list.append(entry);
        self.write_index(&list).await
    }

    /// Takes a name away; the manifest that had it stays in `index.json`.
    pub(crate) async fn remove_name(&self, name: &str) -> Result<Deleted, TransportError> {
        let _lock = disk::lock(&self.root).await?;
        let mut list = self.index().await?;
        let (named, others): (Vec<_>, Vec<_>) =
            list.entries().iter().cloned().partition(|entry| is_named(entry, Some(name)));
        if named.is_empty() {
            return Ok(Deleted::Done);
        }
        list.retain(|entry| !is_named(entry, Some(name)));
        for mut entry in named {
            entry.annotations.remove(NAME);
            if !others.iter().any(|other| other.digest == entry.digest) {
                list.append(entry);
            }
        }
        self.write_index(&list).await?;
        Ok(Deleted::Done)
    }

    fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    async fn write_index(&self, list: &List) -> Result<(), TransportError> {
        let path = self.index_path();
        let encoded = list.encode(Format::Oci).map_err(|error| TransportError::Protocol {
            request: format!("write {}", path.display()),
            what: error.to_string(),
        })?;
        disk::replace(&self.root, &path, encoded.bytes).await
    }
}

/// Whether an error says that there is no layout, or one that somebody is about to make: its index comes last.
pub(crate) fn is_no_layout_yet(error: &TransportError) -> bool {
    match error {
        TransportError::NotALayout(..) => true,
        TransportError::Io(_, path, error) => {
            error.kind() == io::ErrorKind::NotFound && path.ends_with("index.json")
        }
        _ => false,
    }
}

/// Whether an entry has this very name; without a name there is nothing to have.
fn is_named(entry: &Descriptor, name: Option<&str>) -> bool {
    name.is_some() && entry.annotations.get(NAME).map(String::as_str) == name
}
