//! Records of what was imported, under their names.

use manifest_core::ListName;
use manifest_store::{IfTaken, NewRecord, Origin as Came, Record, Store, StoreError};

use super::{Wanted, nameless};
use crate::context::Context;
use crate::entry::shown;
use crate::error::CliError;

/// Refuses a name that another record has, unless it is to be taken from it.
pub(super) async fn check_free(
    store: &Store,
    name: &ListName,
    one: &Wanted,
    if_taken: IfTaken,
) -> Result<(), CliError> {
    match find(store, name).await? {
        Some(record) if if_taken == IfTaken::Refuse && !is_same(&record, one) => {
            let taken = StoreError::NameTaken { name: name.clone(), id: record.id() };
            Err(advised(taken))
        }
        _ => Ok(()),
    }
}

/// Saves a record under all its names. Whether there is a new one: the same image imported again is one record.
pub(super) async fn save(
    context: &Context,
    store: &Store,
    new: NewRecord,
    one: &Wanted,
    if_taken: IfTaken,
) -> Result<(Record, bool), CliError> {
    let mut saved = None;
    for name in &one.names {
        saved = saved.or(find(store, name).await?.filter(|record| is_same(record, one)));
    }
    let is_new = saved.is_none();
    for name in &one.names {
        let before = find(store, name).await?;
        if before.as_ref().is_some_and(|before| is_same(before, one)) {
            continue;
        }
        let record = match &saved {
            None => store.create(name, new.clone(), if_taken).await,
            Some(saved) if if_taken == IfTaken::Replace => store.take_name(&saved.id().into(), name).await,
            Some(saved) => store.tag(&saved.id().into(), name).await,
        };
        saved = Some(record.map_err(advised)?);
        if let Some(before) = before {
            forget(context, store, &before).await;
        }
    }
    saved.map(|record| (record, is_new)).ok_or_else(|| nameless(&one.image, &one.from))
}

async fn find(store: &Store, name: &ListName) -> Result<Option<Record>, CliError> {
    match store.load(&name.into()).await {
        Ok(record) => Ok(Some(record)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a record is this image, taken in before.
fn is_same(record: &Record, one: &Wanted) -> bool {
    // The digest of the layout may be made with another algorithm than ours.
    record.origin() == Came::Imported && one.image.descriptor.digest.verifies(&record.encoded().bytes)
}

fn advised(error: StoreError) -> CliError {
    CliError::from(error).advise("name_taken", "--replace takes the name from it; NAME chooses another one")
}

/// Removes a record that lost its last name, unless somebody's work is in it or somebody needs it.
async fn forget(context: &Context, store: &Store, before: &Record) {
    let Ok(record) = store.load(&before.id().into()).await else { return };
    let (digest, history) = (record.encoded().digest, record.history());
    let was_edited = history.folded() > 0 || history.changes().iter().any(|change| change.after != digest);
    let came = record.origin() != Came::Created && !was_edited;
    // One that is held stays, as does one that was named or edited meanwhile or cannot be removed: it harms nobody.
    if came && matches!(store.remove_stale(record.id(), record.updated()).await, Ok(true)) {
        context.ui.note(format_args!("removed what was {} before", shown(before)));
    }
}
