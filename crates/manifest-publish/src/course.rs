//! All targets of a publication on their way together.

use std::time::Duration;

use futures_util::future::{FutureExt as _, join_all, try_join, try_join_all};
use manifest_core::{Descriptor, Encoded};
use manifest_transport::{Place, TagState, Transport};

use crate::attached::Attached;
use crate::conflict::{Conflict, Past};
use crate::deliver::{Delivery, carriers};
use crate::door::Door;
use crate::error::PublishError;
use crate::journal::{Journal, Phase};
use crate::lot::{Age, Lot};
use crate::parcel::is_shown_at_once;
use crate::plan::BlobStep;
use crate::progress::{Progress, Step};
use crate::push::{Content, Effort, Published, PushOptions, Target};
use crate::survey::Origins;
use crate::tags::{Before, set};
use crate::together::seats;

/// The shortest pause before a tag is read back that was set where nobody compares; it may be three times as long. Whoever has
/// read the tag just before has set it by then.
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// What holds for all targets of a publication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) content: Content<'a>,
    pub(crate) options: &'a PushOptions,
    /// Whether there is one target, and nothing to be done between the list and its tags.
    pub(crate) is_one: bool,
    /// Whether there is in that case one tag at most, which the list can be sent to at once.
    pub(crate) is_single: bool,
    /// Where it is written down how far it is.
    pub(crate) journal: Option<&'a Journal>,
    /// What keeps others away from the tags.
    pub(crate) door: &'a Door<'a>,
}

impl<'a> Course<'a> {
    pub(crate) fn new(
        transport: &'a Transport,
        content: Content<'a>,
        targets: &[Target],
        options: &'a PushOptions,
        journal: Option<&'a Journal>,
        door: &'a Door<'a>,
    ) -> Self {
        // What goes along, and signatures, come between the list and its tags; and a list that is about something is a
        // referrer, which is noted by its digest.
        let goes_alone =
            options.with.is_nothing() && options.signing.is_nothing() && !may_have_subject(content.list);
        let is_one = goes_alone && targets.len() == 1;
        // Archives and directories are seen when the tags move, and not before.
        let is_plain = |target: &Target| target.names.len() < 2 && !is_shown_at_once(&target.place);
        let is_single = is_one && targets.iter().all(is_plain);
        Self { transport, content, options, is_one, is_single, journal, door }
    }

    /// Refuses a list that is not what it must be.
    pub(crate) fn judge(&self, entries: &[Descriptor]) -> Result<(), PublishError> {
        let refusals = self.options.gates.judge(entries);
        if refusals.is_empty() { Ok(()) } else { Err(PublishError::Refused(refusals)) }
    }

    /// Where the entries are found.
    pub(crate) const fn origins(&self) -> Origins<'a> {
        let Content { sources, here, .. } = self.content;
        Origins { transport: self.transport, sources, here }
    }

    /// The entries that are brought along.
    pub(crate) const fn brought(&self) -> &'a [Descriptor] {
        if self.options.entries { self.content.entries } else { &[] }
    }

    /// The targets, with what their tags mean now where that matters. Where the list may be sent at once, the others are
    /// kept away from here on.
    pub(crate) async fn look<'t>(
        &self,
        targets: &'t [Target],
        past: &Past,
    ) -> Result<Vec<Lot<'t>>, PublishError> {
        let mut lots: Vec<_> =
            targets.iter().map(|target| Lot::new(target, &self.options.expected)).collect();
        if self.is_single && lots.iter().all(|lot| lot.may_be_short(self)) {
            self.door.shut_early(&mut lots).await?;
        }
        try_join_all(lots.iter_mut().map(|lot| async {
            let done = lot.look(self, past).await;
            lot.settle(done)
        }))
        .await?;
        Ok(lots)
    }

    /// The same for a publication that was cut off, whose tags are known.
    pub(crate) async fn look_again(&self, lots: &mut [Lot<'_>]) -> Result<(), PublishError> {
        let looking = lots.iter_mut().map(|lot| async {
            let done = lot.look_again(self).await;
            lot.settle(done)
        });
        try_join_all(looking).await.map(drop)
    }

    /// Does what is to be done, and writes down how far it is.
    pub(crate) async fn run(
        &self,
        mut lots: Vec<Lot<'_>>,
        progress: &dyn Progress,
    ) -> Result<Published, PublishError> {
        let attached = Box::pin(Attached::find(self.content, self.origins(), self.options)).await?;
        attached.left_out().iter().for_each(|what| progress.left_out(what));
        if let Some(journal) = self.journal {
            journal.plan(self, &lots).await?;
            let is_short = self.is_single && lots.iter().all(|lot| lot.may_be_short(self));
            if !is_short || journal.is_begun().await {
                journal.begin(progress).await;
            }
        }
        self.publish(&mut lots, &attached, progress).await?;
        Ok(lots.into_iter().map(Lot::finish).collect())
    }

    async fn publish(
        &self,
        lots: &mut [Lot<'_>],
        attached: &Attached,
        progress: &dyn Progress,
    ) -> Result<(), PublishError> {
        for lot in lots.iter() {
            if let Some(error) = lot.failure() {
                progress.step(&lot.target().place, Step::Failed(error));
            }
        }
        Box::pin(self.deliver(lots, attached, progress)).await?;
        if !self.is_single {
            if let Some(journal) = self.journal {
                journal.step(Phase::Tags, progress).await;
            }
            self.door.shut(lots).await?;
            let looking = lots.iter_mut().filter(|lot| lot.is_on()).map(|lot| async {
                let done = lot.recheck(self).await;
                lot.settle(done)
            });
            try_join_all(looking).await?;
            self.move_tags(lots, &[Age::Old, Age::New], progress).await?;
        }
        self.verify(lots, progress).await?;
        // What begins again must not find an archive that it has written itself.
        self.move_tags(lots, &[Age::Archive], progress).await?;
        for lot in lots.iter().filter(|lot| lot.is_on()) {
            progress.step(&lot.target().place, Step::Done);
        }
        Ok(())
    }

    /// Brings everything to all targets; what several lack is carried together.
    async fn deliver(
        &self,
        lots: &mut [Lot<'_>],
        attached: &Attached,
        progress: &dyn Progress,
    ) -> Result<(), PublishError> {
        let carriers = carriers(self.options.jobs);
        let manifests = attached.manifests();
        let (seat, may_be_new) = (None, false);
        let delivery = Delivery { course: *self, carriers: &carriers, manifests, seat, attached, may_be_new };
        let lots_on: Vec<_> = lots.iter_mut().filter(|lot| lot.is_on()).collect();
        let (together, seats) = seats(lots_on.len());
        let deliveries = lots_on.into_iter().zip(&seats).map(|(lot, seat)| async move {
            let seat_of_several = Some(seat).filter(|_| !self.is_one);
            let delivery = Delivery { seat: seat_of_several, may_be_new: lot.may_be_new(), ..delivery };
            let done = Box::pin(lot.deliver(self, delivery, progress)).await;
            if let Err(error) = &done {
                progress.step(&lot.target().place, Step::Failed(error));
            }
            seat.leave();
            lot.settle(done)
        });
        let open = |step: &BlobStep| delivery.source(step);
        let carrying = together.run(&carriers, &open).map(Ok);
        try_join(try_join_all(deliveries), carrying).await.map(drop)
    }

    /// Moves the tags at all targets, those first that there were before: when one cannot be moved, what moved can go
    /// back, which for a new tag not every registry allows.
    async fn move_tags(
        &self,
        lots: &mut [Lot<'_>],
        ages: &[Age],
        progress: &dyn Progress,
    ) -> Result<(), PublishError> {
        for age in ages.iter().copied() {
            for at in 0..lots.len() {
                let Some(lot) = lots.get_mut(at).filter(|lot| lot.is_on()) else { continue };
                let Err((tag, source)) = lot.move_tags(age, self, progress).await else { continue };
                self.take_back(lots, at, (tag, source), progress).await?;
            }
        }
        Ok(())
    }

    /// Takes back what has moved, since a tag of one target could not be moved, or did not stay.
    async fn take_back(
        &self,
        lots: &mut [Lot<'_>],
        at: usize,
        (tag, source): (String, PublishError),
        progress: &dyn Progress,
    ) -> Result<(), PublishError> {
        let Some(lot) = lots.get(at) else { return Ok(()) };
        let is_needed = lot.target().effort == Effort::Required;
        let back = if is_needed { &*lots } else { std::slice::from_ref(lot) };
        let undone = join_all(back.iter().map(|lot| lot.put_back(self.content.list.digest))).await;
        let error = PublishError::TagStuck { tag, source: Box::new(source), undone: undone.concat() };
        let Some(lot) = lots.get_mut(at) else { return Ok(()) };
        progress.step(&lot.target().place, Step::Failed(&error));
        lot.settle(Err(error))
    }

    /// Reads back what was set where nobody compares, a little later: somebody else may have done the same.
    async fn verify(&self, lots: &mut [Lot<'_>], progress: &dyn Progress) -> Result<(), PublishError> {
        if !self.door.is_unguarded() {
            return Ok(());
        }
        let clock = self.transport.clock();
        clock.pause(SECOND_LOOK.mul_f64(1.0 + 2.0 * clock.chance())).await;
        for at in 0..lots.len() {
            let Some(lot) = lots.get_mut(at).filter(|lot| lot.is_on()) else { continue };
            let Err(error) = lot.verify(self).await else { continue };
            match error {
                // What the others need not know of goes back; what is taken over stays until the next round.
                PublishError::Overtaken { ref tag, .. }
                    if !self.is_single && self.options.conflict == Conflict::Fail =>
                {
                    let tag = tag.clone();
                    self.take_back(lots, at, (tag, error), progress).await?;
                }
                error => lot.settle(Err(error))?,
            }
        }
        Ok(())
    }

    /// Lets a tag mean the list; notes where its place compares nothing although that was wanted.
    pub(crate) async fn set(
        &self,
        place: &Place,
        before: &Before,
        now: Option<&Option<TagState>>,
    ) -> Result<(), PublishError> {
        let (list, compares) = (self.content.list, self.compares(place, before));
        let now = now.filter(|_| compares).map(Option::as_ref);
        let is_asked = set(place, before, now, list).await?;
        if !compares {
            return Ok(());
        }
        let bytes = list.bytes.clone().into();
        if !(is_asked && place.compares(&list.digest, &list.media_type, bytes).await) {
            self.door.unguarded(place);
        }
        Ok(())
    }
}

/// Whether a list may have a subject, at a glance.
fn may_have_subject(list: &Encoded) -> bool {
    std::str::from_utf8(&list.bytes).is_ok_and(|text| text.contains("\"subject\""))
}
