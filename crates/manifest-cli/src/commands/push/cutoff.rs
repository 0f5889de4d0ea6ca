//! Pushes that were cut off: which one is meant, and how it goes on or back.

use manifest_core::Descriptor;
use manifest_publish::{Journal, Publication, PushOptions, Target, Undone, abort, pool, resume};
use manifest_store::{PublicationId, Selector, Store};
use manifest_transport::{Location, Transport};
use serde::Serialize;

use super::files::Files;
use super::report::{Delivered, Report};
use super::target::{Named, named};
use super::{Push, note, reached};
use crate::context::{Context, selector};
use crate::error::{CliError, chain};

/// What became of a push that was taken back.
#[derive(Serialize)]
struct AbortReport {
    schema: &'static str,
    id: String,
    digest: String,
    tags: Vec<TakenBack>,
}

#[derive(Serialize)]
struct TakenBack {
    tag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stays: Option<String>,
}

/// A push that was cut off, with its targets as they are opened now.
struct CutOff {
    publication: Publication,
    journal: Journal,
    named: Vec<Named>,
    transport: Transport,
    targets: Vec<Target>,
}

impl Push {
    /// Goes on with a push that was cut off.
    pub(super) async fn resume(&self, context: &Context) -> Result<u8, CliError> {
        let store = context.store()?;
        let signing = self.sign.open(context)?;
        let CutOff { publication, journal, named, transport, targets } =
            self.cut_off(context, &store).await?;
        let files = Files::prepare(self, context)?;
        let options = PushOptions {
            jobs: self.registry.connection.jobs,
            settle: self.settle,
            signing,
            ..PushOptions::default()
        };
        let here = pool(&store);
        context.ui.note(format_args!("resuming the push of {} ({})", publication.title(), publication.id));
        let resumed =
            resume(&transport, (&publication, &targets), Some(&here), &options, &context.ui, &journal).await;
        let advice = "no further tag was moved; manifest push --abort takes back those that were, as far as nobody else has moved them";
        let published = resumed.map_err(|error| CliError::from(error).advise("moved", advice))?;
        let to = reached(&named, &published);
        note(&store, publication.record, &publication.title(), to, publication.digest, context).await;
        journal.finish(&published, &context.ui).await;
        let done = named.iter().zip(&targets).zip(&published);
        let targets =
            done.map(|((to, at), done)| Delivered::done(to, done, context.ui.tally().target(&at.place)));
        let about = Descriptor::new(publication.media_type.clone(), publication.digest, publication.size);
        let entries = publication.content().map(|(_, entries)| entries).unwrap_or_default();
        let report = Report::new(&about, &entries, context.ui.tally(), (&[], targets.collect()));
        files.tell(context, &publication.title(), (&named, &published), &report)?;
        Ok(0)
    }

    /// Takes back a push that was cut off.
    pub(super) async fn abort(&self, context: &Context) -> Result<u8, CliError> {
        let store = context.store()?;
        let CutOff { publication, journal, targets, .. } = self.cut_off(context, &store).await?;
        let undone = abort(&publication, &targets).await?;
        let (id, title) = (publication.id, publication.title());
        let digest = publication.digest.to_string();
        journal.aborted(&context.ui).await;
        let stays: Vec<String> = undone.iter().filter_map(stays).collect();
        let mut text = format!("took back the push of {title} ({id})\n");
        if stays.is_empty() {
            text.push_str("every tag is what it was before\n");
        }
        stays.iter().for_each(|line| context.ui.note(format_args!("warning: {line}")));
        let tags = undone.into_iter().map(|Undone { tag, stays, .. }| TakenBack { tag, stays }).collect();
        let report = AbortReport { schema: "push-abort/1", id: id.to_string(), digest, tags };
        context.ui.result(&text, &report)?;
        Ok(0)
    }

    /// The newest push that was cut off, of the list if one is named, with its targets.
    async fn cut_off(&self, context: &Context, store: &Store) -> Result<CutOff, CliError> {
        let id = choose(context, store, self.list.as_deref()).await?;
        let again = Journal::again(store.publications(), id).await;
        let again = again
            .map_err(|error| CliError::from(error).advise("busy", "it is under way, and was not cut off"))?;
        let (journal, publication) = again.ok_or_else(|| CliError::NothingCutOff(self.list.clone()))?;
        let named = publication
            .targets
            .iter()
            .map(|target| named(&target.target, target.effort, target.tags.is_empty()))
            .collect::<Result<Vec<Named>, _>>()?;
        let locations: Vec<&Location> = named.iter().map(|named| &named.location).collect();
        let transport = context.transport(&self.registry, &locations)?;
        let targets = named.iter().map(|named| named.open(&transport)).collect::<Result<_, _>>()?;
        Ok(CutOff { publication, journal, named, transport, targets })
    }
}

fn stays(undone: &Undone) -> Option<String> {
    Some(format!("{} stays as it is: {}", undone.tag, undone.stays.as_ref()?))
}

async fn choose(context: &Context, store: &Store, list: Option<&str>) -> Result<PublicationId, CliError> {
    let which = list.map(selector).transpose()?;
    let record = match &which {
        Some(which) => store.find(which).await.ok(),
        None => None,
    };
    let is_meant = |publication: &Publication| match &which {
        None => true,
        Some(which) => {
            record == Some(publication.record)
                || is_id(which, publication.id)
                || (record.is_none() && which.name().is_some_and(|name| publication.names.contains(name)))
        }
    };
    for publication in Journal::all(&store.publications()).await? {
        match publication {
            Ok(publication) if publication.phase.is_open() && is_meant(&publication) => {
                return Ok(publication.id);
            }
            Ok(_) => {}
            Err(error) => context.ui.note(format_args!("warning: {}", chain(&error))),
        }
    }
    Err(CliError::NothingCutOff(list.map(str::to_owned)))
}

fn is_id(which: &Selector, id: PublicationId) -> bool {
    which.as_str().parse() == Ok(id)
}
