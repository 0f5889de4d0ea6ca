//! Finds out whether a service keeps the promises that edits rest on.

use super::envelope::State;
use super::objects::{Committed, ObjectVersion, Objects, pause, random};
use crate::StoreError;

/// The most bytes that the object of a probe has.
const LIMIT: u64 = 64;

/// How often a service that is busy is asked again.
const TRIES: u32 = 8;

/// Tries on an object of its own what every edit will do.
///
/// # Errors
/// [`StoreError::BrokenPromise`] when the service does not refuse what it must, or does not show what it took.
pub(super) async fn probe(objects: &Objects) -> Result<(), StoreError> {
    let key = format!("probe/{:016x}", random()?);
    let probed = steps(objects, &key).await;
    // What stays behind is one small object; the finding counts.
    drop(objects.delete(&key).await);
    probed
}

async fn steps(objects: &Objects, key: &str) -> Result<(), StoreError> {
    let must = |kept: bool, promise| match kept {
        true => Ok(()),
        false => Err(StoreError::BrokenPromise { store: objects.shown.clone(), promise }),
    };
    let write = async |content: &[u8], over: Option<&ObjectVersion>| write(objects, key, content, over).await;
    let read = async || objects.read(key, LIMIT).await;

    must(
        write(b"first", None).await? == Committed::Done,
        "it does not create an object on condition that there is none",
    )?;
    must(
        write(b"second", None).await? == Committed::Moved,
        "it does not refuse to create an object that is there",
    )?;
    let shows = "it does not show what was just written";
    let first = read().await?.filter(|object| object.content == b"first");
    must(first.is_some(), shows)?;
    let first = first.map(|object| object.version);
    let updated = write(b"third", first.as_ref()).await?;
    must(updated == Committed::Done, "it does not replace an object on condition that it is unchanged")?;
    let stale = write(b"fourth", first.as_ref()).await?;
    must(stale == Committed::Moved, "it does not refuse to replace an object that has changed")?;
    must(read().await?.is_some_and(|object| object.content == b"third"), shows)?;
    let listed = objects.list("probe").await?;
    must(
        listed.iter().any(|name| key.strip_prefix("probe/") == Some(name)),
        "it does not list an object that was just written",
    )
}

/// Writes, and asks again while the service is busy.
async fn write(
    objects: &Objects,
    key: &str,
    content: &[u8],
    over: Option<&ObjectVersion>,
) -> Result<Committed, StoreError> {
    for tries in 0..TRIES {
        match objects.commit(key, State::Kept, &[content], over).await? {
            Committed::Throttled => pause(tries).await,
            other => return Ok(other),
        }
    }
    Ok(Committed::Throttled)
}
