//! Object storage in memory that fails and compares as the real ones do.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use manifest_core::Digest;
use manifest_store::object_store::client::{HttpError, HttpErrorKind};
use manifest_store::object_store::memory::InMemory;
use manifest_store::object_store::path::Path;
use manifest_store::object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

/// What identifies the state of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compares {
    /// A hash of the content, as S3 does: the same content again is the same state.
    Content,
    /// A number of its own, as Google does, beside an ETag that says nothing.
    Generation,
}

/// A promise that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaks {
    Nothing,
    Create,
    Update,
    Listing,
}

/// What goes wrong with a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Made, and the connection breaks.
    LostAnswer,
    /// Made, and a proxy says 503.
    LateUnavailable,
    /// Not made, and times out.
    Timeout,
    /// Times out, and is made when the next write comes.
    Ghost,
    Conflict409,
    Precondition412,
    TooMany429,
    Unavailable503,
}

pub(crate) const FAULTS: [Fault; 8] = [
    Fault::LostAnswer,
    Fault::LateUnavailable,
    Fault::Timeout,
    Fault::Ghost,
    Fault::Conflict409,
    Fault::Precondition412,
    Fault::TooMany429,
    Fault::Unavailable503,
];

/// What becomes of the objects of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Served,
    /// They cannot be written.
    Denied,
    /// The next write is made, and nothing is ever answered again.
    Fading,
    Dark,
}

/// The storage.
#[derive(Debug)]
pub(crate) struct Cloud {
    objects: InMemory,
    compares: Compares,
    breaks: Breaks,
    pub(crate) names: Mutex<Names>,
    /// How many of 100 writes fail with each of the faults.
    percent: Vec<(Fault, u64)>,
    dice: Mutex<u64>,
    /// Writes are made one after the other.
    line: tokio::sync::Mutex<Vec<(Path, PutPayload, PutMode)>>,
    pub(crate) writes: AtomicU64,
}

impl Cloud {
    pub(crate) fn new(compares: Compares, percent: Vec<(Fault, u64)>) -> Self {
        Self {
            objects: InMemory::new(),
            compares,
            breaks: Breaks::Nothing,
            names: Mutex::new(Names::Served),
            percent,
            dice: Mutex::new(0x9e37_79b9_7f4a_7c15),
            line: tokio::sync::Mutex::default(),
            writes: AtomicU64::new(0),
        }
    }

    pub(crate) fn that_breaks(breaks: Breaks) -> Self {
        Self { breaks, ..Self::new(Compares::Content, Vec::new()) }
    }

    fn fault(&self) -> Option<Fault> {
        let mut dice = self.dice.lock().unwrap();
        // Xorshift: the same run each time, as far as threads allow.
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            *dice ^= if left { *dice << shift } else { *dice >> shift };
        }
        let mut roll = *dice % 100;
        self.percent.iter().find_map(|(fault, percent)| match roll.checked_sub(*percent) {
            Some(rest) => {
                roll = rest;
                None
            }
            None => Some(*fault),
        })
    }

    /// What the state of an object is called.
    async fn tag(&self, found: GetResult) -> Result<GetResult> {
        let (mut meta, range, attributes, extensions) =
            (found.meta.clone(), found.range.clone(), found.attributes.clone(), found.extensions.clone());
        let bytes = found.bytes().await?;
        (meta.e_tag, meta.version) = match self.compares {
            Compares::Content => (Some(Digest::sha256(&bytes).hex()), None),
            Compares::Generation => (Some("always-the-same".to_owned()), meta.e_tag),
        };
        let payload = GetResultPayload::Stream(futures_util::stream::once(async { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    /// Makes a write, if its condition holds.
    async fn make(&self, path: &Path, payload: PutPayload, mode: &PutMode) -> Result<PutResult> {
        let there = match self.objects.get(path).await {
            Ok(found) => Some(self.tag(found).await?.meta),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let (path_text, source) = (path.to_string(), "condition");
        let holds = match mode {
            PutMode::Create if self.breaks == Breaks::Create => true,
            PutMode::Create if there.is_some() => {
                return Err(Error::AlreadyExists { path: path_text, source: source.into() });
            }
            PutMode::Update(_) if self.breaks == Breaks::Update => true,
            PutMode::Update(version) => match self.compares {
                Compares::Content => there.is_some_and(|there| there.e_tag == version.e_tag),
                Compares::Generation => there.is_some_and(|there| there.version == version.version),
            },
            PutMode::Create | PutMode::Overwrite => true,
        };
        match holds {
            true => self.objects.put(path, payload).await,
            false => Err(Error::Precondition { path: path_text, source: source.into() }),
        }
    }
}

fn is_name(path: &Path) -> bool {
    path.as_ref().starts_with("names/")
}

fn broken(kind: HttpErrorKind) -> Error {
    let source = HttpError::new(kind, std::io::Error::other("the layer of faults"));
    Error::Generic { store: "cloud", source: Box::new(source) }
}

#[async_trait]
impl ObjectStore for Cloud {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (mut line, mode) = (self.line.lock().await, options.mode);
        self.writes.fetch_add(1, Ordering::SeqCst);
        for (path, payload, mode) in line.drain(..) {
            // Nobody waits for its answer.
            drop(self.make(&path, payload, &mode).await);
        }
        let refused = |status: &str| (path.to_string(), status.to_owned().into());
        let names = *self.names.lock().unwrap();
        if is_name(path) && names != Names::Served {
            if names == Names::Denied {
                let (path, source) = refused("403");
                return Err(Error::PermissionDenied { path, source });
            }
            *self.names.lock().unwrap() = Names::Dark;
            drop(self.make(path, payload, &mode).await);
            return Err(broken(HttpErrorKind::Timeout));
        }
        match self.fault() {
            None => self.make(path, payload, &mode).await,
            Some(Fault::LostAnswer) => {
                drop(self.make(path, payload, &mode).await);
                Err(broken(HttpErrorKind::Request))
            }
            Some(Fault::LateUnavailable) => {
                drop(self.make(path, payload, &mode).await);
                Err(Error::Generic { store: "cloud", source: "503".into() })
            }
            Some(Fault::Timeout) => Err(broken(HttpErrorKind::Timeout)),
            Some(Fault::Ghost) => {
                line.push((path.clone(), payload, mode));
                Err(broken(HttpErrorKind::Timeout))
            }
            Some(Fault::Conflict409) => {
                let (path, source) = refused("409");
                Err(Error::AlreadyExists { path, source })
            }
            Some(Fault::Precondition412) => {
                let (path, source) = refused("412");
                Err(Error::Precondition { path, source })
            }
            Some(Fault::TooMany429) => Err(Error::Generic { store: "cloud", source: "429".into() }),
            Some(Fault::Unavailable503) => Err(Error::Generic { store: "cloud", source: "503".into() }),
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        unimplemented!("records are written in one piece")
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if is_name(path) && *self.names.lock().unwrap() == Names::Dark {
            return Err(broken(HttpErrorKind::Timeout));
        }
        self.tag(self.objects.get_opts(path, options).await?).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.breaks {
            Breaks::Listing => futures_util::stream::empty().boxed(),
            Breaks::Nothing | Breaks::Create | Breaks::Update => self.objects.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        unimplemented!("records are not copied")
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cloud")
    }
}
