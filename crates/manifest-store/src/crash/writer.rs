//! Changes, made through the door that everybody uses.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use manifest_core::{AnnotateList, Descriptor, Digest, List, ListName, MediaType, OnConflict, Platform};

use super::world::{Done, Op};
use crate::backend::Local;
use crate::files::Files;
use crate::{
    Clock, Draft, Force, IfTaken, RecordId, Selector, Source, Store, StoreError, StoreOptions, UpdateError,
};

/// Where the store lies on the disks of these tests; neither directory is there at first.
pub(super) const ROOT: &str = "/home/store";

/// What a writer was told.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Done(Done),
    /// The change cannot be made, for a reason that lies in the lists.
    Refused(String),
    /// The change failed, which it must not as long as no call does.
    Failed(String),
}

impl From<Result<Done, StoreError>> for Answer {
    fn from(done: Result<Done, StoreError>) -> Self {
        match done {
            Ok(done) => Self::Done(done),
            Err(
                error @ (StoreError::NotFound(_) | StoreError::NameTaken { .. } | StoreError::Held { .. }),
            ) => Self::Refused(error.to_string()),
            Err(error) => Self::Failed(format!("{error} ({error:?})")),
        }
    }
}

pub(super) fn backend(files: Box<dyn Files>) -> Local {
    Local::new(PathBuf::from(ROOT), files)
}

pub(super) fn store(files: Box<dyn Files>) -> Store {
    let options = StoreOptions {
        lock_timeout: Duration::from_secs(3600),
        command: "test".to_owned(),
        clock: Clock::new(|| Timestamp::UNIX_EPOCH),
        ..StoreOptions::default()
    };
    Store::over(backend(files), options)
}

/// A runtime whose pauses take no time.
pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

pub(super) fn name(text: &str) -> ListName {
    text.parse().unwrap()
}

pub(super) fn which(text: &str) -> Selector {
    name(text).into()
}

/// A list that can be told from others, with these entries.
pub(super) fn draft(born: &str, entries: &[u64]) -> Draft {
    let mut list = List::new();
    list.add_all(entries.iter().map(|n| entry(*n)), OnConflict::Refuse).unwrap();
    note(&mut list, "born", born);
    list.into()
}

fn note(list: &mut List, key: &str, value: &str) {
    let annotations = [(key.to_owned(), value.to_owned())].into();
    list.annotate_list(&AnnotateList { annotations, ..AnnotateList::default() });
}

fn entry(n: u64) -> Descriptor {
    let mut entry = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(&n.to_be_bytes()), n);
    let mut platform = Platform::default();
    (platform.architecture, platform.os) = ("amd64".to_owned(), "linux".to_owned());
    platform.os_version = Some(n.to_string());
    entry.platform = Some(platform);
    entry
}

/// Makes a change.
pub(super) async fn perform(store: &Store, op: Op) -> Result<Done, StoreError> {
    match op {
        Op::Add(list, n) => {
            edit(store, list, None, |draft| drop(draft.list.add(entry(n), OnConflict::Refuse))).await
        }
        Op::Take(list, n) => edit(store, list, None, |draft| drop(draft.list.remove(&entry(n).digest))).await,
        Op::Annotate(list, key) => edit(store, list, None, |draft| note(&mut draft.list, key, "")).await,
        Op::Use(list, used, n) => {
            let used = store.load(&which(used)).await?.id();
            let take = |draft: &mut Draft| {
                drop(draft.list.add(entry(n), OnConflict::Refuse));
                draft.sources.add(source(n, used));
            };
            edit(store, list, Some(used), take).await
        }
        Op::Hold(list, by) => store.hold(&which(list), by, None).await.map(drop).map(made),
        Op::Release(list, by) => store.release(&which(list), by).await.map(drop).map(made),
        Op::Tag(list, new) => store.tag(&which(list), &name(new)).await.map(drop).map(made),
        Op::Untag(old) => store.untag(&name(old)).await.map(drop).map(made),
        Op::Rename(old, new) => store.rename(&name(old), &name(new)).await.map(drop).map(made),
        Op::Remove(list) => {
            let removed = store.remove(&which(list), Force::No).await?;
            Ok(if removed.deleted.is_some() { Done::Made } else { Done::Untagged })
        }
        Op::Create(new, born) => create(store, new, born, IfTaken::Refuse).await,
        Op::Replace(new, born) => create(store, new, born, IfTaken::Replace).await,
        Op::TakeName(list, taken) => store.take_name(&which(list), &name(taken)).await.map(drop).map(made),
    }
}

async fn create(store: &Store, new: &str, born: &str, if_taken: IfTaken) -> Result<Done, StoreError> {
    store.create(&name(new), draft(born, &[]), if_taken).await.map(drop).map(made)
}

async fn edit(
    store: &Store,
    list: &str,
    used: Option<RecordId>,
    change: impl Fn(&mut Draft),
) -> Result<Done, StoreError> {
    let used: Vec<_> = used.into_iter().collect();
    let change = |draft: &mut Draft| {
        change(draft);
        Ok::<_, Infallible>(())
    };
    match store.update_using(&which(list), &used, change).await {
        Ok(_) => Ok(Done::Made),
        Err(UpdateError::Store(error)) => Err(error),
        Err(UpdateError::Edit(never)) => match never {},
    }
}

const fn made((): ()) -> Done {
    Done::Made
}

fn source(n: u64, used: RecordId) -> Source {
    Source {
        from: "elsewhere".to_owned(),
        place: Source::HERE.to_owned(),
        digest: entry(n).digest,
        resolved: Timestamp::UNIX_EPOCH,
        entries: vec![entry(n).digest],
        record: Some(used),
    }
}
