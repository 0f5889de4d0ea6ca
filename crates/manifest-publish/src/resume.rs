//! Publications that were cut off: they go on, or back.

use futures_util::future::join_all;
use manifest_transport::{Place, Transport};

use crate::course::Course;
use crate::door::Door;
use crate::error::PublishError;
use crate::gate::Gates;
use crate::journal::{Journal, Publication};
use crate::lot::Lot;
use crate::progress::Progress;
use crate::push::{Content, Expectations, Published, PushOptions, Target};
use crate::tags::Undone;

/// Goes on with a publication that was cut off: the list is what it was when that began, what has arrived is not sent
/// again, and gates are not judged again. A tag may mean what it meant then, or the list.
///
/// `targets` are those of the publication, in their order; `here` is what the store holds itself. Of the options only
/// [`PushOptions::jobs`] and [`PushOptions::settle`] count, and of [`PushOptions::signing`] the keys, which have to be those
/// of the publication: it knows how they sign, and nothing secret of them.
///
/// # Errors
/// [`PublishError::Unexpected`] when somebody else has moved a tag, and then no tag moves; [`PublishError::Ended`];
/// [`PublishError::SignsOtherwise`]; else as
/// [`push`](crate::push()).
pub async fn resume(
    transport: &Transport,
    (publication, targets): (&Publication, &[Target]),
    here: Option<&Place>,
    options: &PushOptions,
    progress: &dyn Progress,
    journal: &Journal,
) -> Result<Published, PublishError> {
    let (list, entries) = publication.content().ok_or(PublishError::Ended(publication.id))?;
    let content = Content { list: &list, entries: &entries, sources: &publication.sources, here };
    let signing = options.signing.again(publication.signing.as_ref()).ok_or_else(|| {
        let by = publication.signing.as_ref().map(|signing| signing.by.clone()).unwrap_or_default();
        PublishError::SignsOtherwise { id: publication.id, by }
    })?;
    let options = PushOptions {
        entries: publication.entries,
        foreign_layers: publication.foreign_layers,
        with: publication.with.clone(),
        signing,
        gates: Gates { allow_shrink: true, allow_duplicates: true, ..Gates::default() },
        expected: Expectations::default(),
        ..options.clone()
    };
    let door = Door::new(Some(journal), progress, true).told(true);
    let course = Course::new(transport, content, targets, &options, Some(journal), &door);
    let lots = targets.iter().zip(&publication.targets);
    let mut lots: Vec<Lot<'_>> =
        lots.map(|(target, planned)| Lot::again(target, planned, publication)).collect();
    course.look_again(&mut lots).await?;
    let done = course.run(lots, progress).await;
    door.open().await;
    if let Err(error) = &done {
        journal.fail(error, progress).await;
    }
    done
}

/// Takes back a publication that was cut off: each tag that means its list goes back to what it meant before. Content
/// stays where it is. What became of each tag that it was to move.
///
/// # Errors
/// [`PublishError::Transport`] when a tag could not be asked for or set, after the others were tried; it can be done again.
pub async fn abort(publication: &Publication, targets: &[Target]) -> Result<Vec<Undone>, PublishError> {
    let lots = targets.iter().zip(&publication.targets);
    let lots: Vec<Lot<'_>> = lots.map(|(target, planned)| Lot::again(target, planned, publication)).collect();
    let undone = join_all(lots.iter().map(|lot| lot.abort(publication.digest))).await;
    Ok(undone.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}
