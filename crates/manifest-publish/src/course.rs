//! All targets of a publication on their way together.

use futures_util::future::{FutureExt as _, join_all, try_join, try_join_all};
use manifest_core::Encoded;
use manifest_transport::Transport;

use crate::attached::Attached;
use crate::deliver::{Delivery, carriers};
use crate::error::PublishError;
use crate::journal::{Journal, Phase};
use crate::lot::{Age, Lot};
use crate::plan::BlobStep;
use crate::progress::{Progress, Step};
use crate::push::{Content, Effort, Published, PushOptions, Target};
use crate::survey::{Manifests, Origins};
use crate::together::seats;

/// What holds for all targets of a publication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course<'a> {
    transport: &'a Transport,
    pub(crate) content: Content<'a>,
    pub(crate) options: &'a PushOptions,
    /// Whether there is one target, and nothing to be done between the list and its tags.
    pub(crate) is_one: bool,
    /// Whether there is in that case one tag at most, which the list can be sent to at once.
    pub(crate) is_single: bool,
    /// Where it is written down how far it is.
    pub(crate) journal: Option<&'a Journal>,
}

impl<'a> Course<'a> {
    /// Refuses a list that is not what it must be.
    pub(crate) fn new(
        transport: &'a Transport,
        content: Content<'a>,
        targets: &[Target],
        options: &'a PushOptions,
        journal: Option<&'a Journal>,
    ) -> Result<Self, PublishError> {
        let refusals = options.gates.judge(content.entries);
        if !refusals.is_empty() {
            return Err(PublishError::Refused(refusals));
        }
        // What goes along comes between the list and its tags; and a list that is about something is a referrer, which is
        // noted by its digest.
        let goes_alone = options.with.is_nothing() && !may_have_subject(content.list);
        let is_one = goes_alone && targets.len() == 1;
        let is_single = is_one && targets.iter().all(|target| target.names.len() < 2);
        Ok(Self { transport, content, options, is_one, is_single, journal })
    }

    /// Where the entries are found.
    pub(crate) const fn origins(&self) -> Origins<'a> {
        let Content { sources, here, .. } = self.content;
        Origins { transport: self.transport, sources, here }
    }

    /// The targets, with what their tags mean now where that matters.
    pub(crate) async fn look<'t>(&self, targets: &'t [Target]) -> Result<Vec<Lot<'t>>, PublishError> {
        let mut lots: Vec<_> =
            targets.iter().map(|target| Lot::new(target, &self.options.expected)).collect();
        try_join_all(lots.iter_mut().map(|lot| async {
            let done = lot.look(self).await;
            lot.settle(done)
        }))
        .await?;
        Ok(lots)
    }

    /// The same for a publication that was cut off, whose tags are known.
    pub(crate) async fn look_again(&self, lots: &mut [Lot<'_>]) -> Result<(), PublishError> {
        let looking = lots.iter_mut().map(|lot| async {
            let done = lot.look_again(self.content.list.digest).await;
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
        let attached = Attached::find(self.content, self.origins(), self.options).await?;
        attached.left_out().iter().for_each(|what| progress.left_out(what));
        if let Some(journal) = self.journal {
            journal.plan(self, &lots).await?;
            if !(self.is_single && lots.iter().all(|lot| lot.may_be_short(self))) {
                journal.begin(progress).await;
            }
        }
        match (self.publish(&mut lots, &attached, progress).await, self.journal) {
            (Err(error), Some(journal)) => {
                journal.fail(&error, progress).await;
                Err(error)
            }
            (done, _) => done.map(|()| lots.into_iter().map(Lot::finish).collect()),
        }
    }

    async fn publish(
        &self,
        lots: &mut [Lot<'_>],
        attached: &Attached,
        progress: &dyn Progress,
    ) -> Result<(), PublishError> {
        let Self { transport, content, options, journal, .. } = *self;
        for lot in lots.iter() {
            if let Some(error) = lot.failure() {
                progress.step(&lot.target().place, Step::Failed(error));
            }
        }
        let carriers = carriers(options.jobs);
        let manifests = &Manifests::default();
        let delivery = Delivery {
            transport,
            content,
            options,
            carriers: &carriers,
            manifests,
            seat: None,
            journal,
            attached,
        };
        let lots_on: Vec<_> = lots.iter_mut().filter(|lot| lot.is_on()).collect();
        let (together, seats) = seats(lots_on.len());
        let deliveries = lots_on.into_iter().zip(&seats).map(|(lot, seat)| async move {
            let seat_of_several = Some(seat).filter(|_| !self.is_one);
            let done = lot.deliver(self, Delivery { seat: seat_of_several, ..delivery }, progress).await;
            if let Err(error) = &done {
                progress.step(&lot.target().place, Step::Failed(error));
            }
            seat.leave();
            lot.settle(done)
        });
        let open = |step: &BlobStep| delivery.source(step);
        let carrying = together.run(&carriers, &open).map(Ok);
        try_join(try_join_all(deliveries), carrying).await?;
        if let Some(journal) = journal.filter(|_| !self.is_single) {
            journal.step(Phase::Tags, progress).await;
        }
        self.move_tags(lots, progress).await?;
        for lot in lots.iter().filter(|lot| lot.is_on()) {
            progress.step(&lot.target().place, Step::Done);
        }
        Ok(())
    }

    /// Moves the tags at all targets, those first that there were before: when one cannot be moved, what moved can go
    /// back, which for a new tag not every registry allows.
    async fn move_tags(&self, lots: &mut [Lot<'_>], progress: &dyn Progress) -> Result<(), PublishError> {
        for age in [Age::Old, Age::New, Age::Archive] {
            for at in 0..lots.len() {
                let Some(lot) = lots.get_mut(at).filter(|lot| lot.is_on()) else { continue };
                let Err((tag, source)) = lot.move_tags(age, self.content.list, progress).await else {
                    continue;
                };
                let is_needed = lot.target().effort == Effort::Required;
                let back = if is_needed { &*lots } else { std::slice::from_ref(&*lot) };
                let undone = join_all(back.iter().map(|lot| lot.put_back(self.content.list.digest))).await;
                let error = PublishError::TagStuck { tag, source: Box::new(source), undone: undone.concat() };
                if let Some(lot) = lots.get_mut(at) {
                    progress.step(&lot.target().place, Step::Failed(&error));
                    lot.settle(Err(error))?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a list may have a subject, at a glance.
fn may_have_subject(list: &Encoded) -> bool {
    std::str::from_utf8(&list.bytes).is_ok_and(|text| text.contains("\"subject\""))
}
