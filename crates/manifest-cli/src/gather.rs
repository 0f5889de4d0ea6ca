//! From image arguments to entries and the sources they are kept with.

use std::collections::BTreeSet;
use std::path::{PathBuf, absolute};

use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use manifest_core::{Annotate, Descriptor, Digest, OnConflict, Platform};
use manifest_publish::{Fresh, Known, PublishError, Selection, choose, pool, resolve, resolve_known};
use manifest_sign::policy::Policy;
use manifest_store::{Draft, Intake, Record, RecordId, Source, Store};
use manifest_transport::{Location, Place, Transport};

use crate::args::{EntryArgs, RegistryArgs, SelectArgs};
use crate::context::{Context, selector};
use crate::error::{CliError, chain};
use crate::policy;
use crate::words::ago;

/// Images that are read at once.
const AT_ONCE: usize = 24;

/// What one image argument brings.
#[derive(Clone, Debug)]
pub(crate) struct Gathered {
    /// The entries, as they will stand in the list.
    pub(crate) entries: Vec<Descriptor>,
    /// Where they can be read again.
    pub(crate) sources: Vec<Source>,
    /// The origin, for people.
    pub(crate) origin: String,
    /// When it was read, if that was before and nothing newer could be read.
    pub(crate) remembered: Option<Timestamp>,
}

impl Gathered {
    /// All that a draft has, which is taken over whole.
    pub(crate) fn whole(draft: &Draft, origin: &str) -> Self {
        let (entries, sources) = (draft.list.entries().to_vec(), draft.sources.iter().cloned().collect());
        Self { entries, sources, origin: origin.to_owned(), remembered: None }
    }

    /// Puts the entries into a draft.
    pub(crate) fn add_to(
        &self,
        draft: &mut Draft,
        on_conflict: OnConflict,
    ) -> Result<Vec<manifest_core::Added>, manifest_core::EditError> {
        let added = draft.list.add_all(self.entries.iter().cloned(), on_conflict)?;
        for source in self.sources.iter().cloned() {
            match on_conflict {
                OnConflict::Replace => draft.sources.prefer(source),
                _ => draft.sources.add(source),
            }
        }
        Ok(added)
    }
}

/// The records that entries are taken from.
pub(crate) fn used(gathered: &[Gathered]) -> Vec<RecordId> {
    gathered.iter().flat_map(|images| &images.sources).filter_map(|source| source.record).collect()
}

/// Keeps what the store itself holds of these entries, until the record is saved that takes them over.
pub(crate) async fn rely_on(
    context: &Context,
    store: &Store,
    gathered: &[Gathered],
) -> Result<Option<Intake>, CliError> {
    let mut entries = Vec::new();
    for images in gathered {
        let here = images.sources.iter().filter(|source| source.place == Source::HERE);
        let digests: BTreeSet<&Digest> = here.flat_map(|source| &source.entries).collect();
        entries.extend(images.entries.iter().filter(|entry| digests.contains(&entry.digest)).cloned());
    }
    if entries.is_empty() {
        return Ok(None);
    }
    let intake = store.blobs().intake().await?;
    match intake.rely_on_entries(&entries).await {
        Ok(()) => Ok(Some(intake)),
        Err(error) => {
            finish(context, Some(intake)).await;
            Err(error.into())
        }
    }
}

/// Ends what [`rely_on`] began. The record is saved, or it never will be, whatever becomes of this.
pub(crate) async fn finish(context: &Context, intake: Option<Intake>) {
    let Some(intake) = intake else { return };
    if let Err(error) = intake.finish().await {
        context.ui.note(format_args!("warning: something was left behind in the store: {}", chain(&error)));
    }
}

/// Image arguments, read and checked for sense before anything is asked of a registry.
pub(crate) struct Images {
    locations: Vec<(String, Location)>,
    selection: Selection,
    change: Annotate,
    fresh: Fresh,
    /// What has to be met by all that is taken.
    policy: Option<Policy>,
}

impl Images {
    /// Understands the arguments.
    pub(crate) fn parse(
        context: &Context,
        texts: &[String],
        select: &SelectArgs,
        entry: Option<&EntryArgs>,
    ) -> Result<Self, CliError> {
        let locations = texts.iter().map(|text| Ok((text.clone(), context.location(text)?)));
        let locations = locations.collect::<Result<Vec<_>, CliError>>()?;
        let change = entry.map(|entry| entry.change(OnConflict::Refuse)).unwrap_or_default();
        let names_platform = change.os.is_some() || change.arch.is_some() || change.variant.is_some();
        if names_platform && (select.all || !select.platform.is_empty()) {
            let message = "--os, --arch and --variant say what one image is for; --all and --platform choose from a list";
            return Err(CliError::Misuse(
                message.to_owned(),
                "manifest annotate changes entries after they were added",
            ));
        }
        let selection = Selection {
            all: select.all,
            platforms: select.platform.clone(),
            given: given(&change),
            attestations: select.attestations,
            nest: select.nest,
        };
        let fresh = if select.refresh { Fresh::Always } else { Fresh::WherePossible };
        let policy = policy::holding(context, select.policy.as_deref())?;
        Ok(Self { locations, selection, change, fresh, policy })
    }

    /// Where the images are.
    pub(crate) fn locations(&self) -> Vec<&Location> {
        self.locations.iter().map(|(_, location)| location).collect()
    }

    /// The policy that has to be met by all that is taken.
    pub(crate) const fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// Refuses entries that the policy does not let in.
    async fn let_in(
        &self,
        from: (&Location, Option<(&Transport, &Place)>),
        entries: &[Descriptor],
    ) -> Result<(), CliError> {
        let Some(policy) = &self.policy else { return Ok(()) };
        let digests: BTreeSet<Digest> = entries.iter().map(|entry| entry.digest).collect();
        policy::let_in(policy, from, &digests.into_iter().collect::<Vec<_>>()).await
    }

    /// Reads all of them, several at once; the outcome is in the order of the arguments.
    pub(crate) async fn gather(
        &self,
        context: &Context,
        registry: &RegistryArgs,
        store: &Store,
    ) -> Result<Vec<Gathered>, CliError> {
        let transport = context.transport(registry, &self.locations())?;
        let all: Vec<Gathered> = self.read(&transport, store).try_collect().await?;
        for Gathered { origin, remembered, .. } in &all {
            if let Some(read) = remembered {
                let read = ago(*read, Timestamp::now());
                context.ui.note(format_args!(
                    "{origin} is cached, as it was read {read}; --refresh asks the registry"
                ));
            }
        }
        Ok(all)
    }

    /// Reads all of them as [`Images::gather`] does; one that cannot be read does not keep the others from it.
    pub(crate) async fn gather_each(
        &self,
        context: &Context,
        registry: &RegistryArgs,
        store: &Store,
    ) -> Result<Vec<Result<Gathered, CliError>>, CliError> {
        let transport = context.transport(registry, &self.locations())?;
        Ok(self.read(&transport, store).collect().await)
    }

    fn read<'a>(
        &'a self,
        transport: &'a Transport,
        store: &'a Store,
    ) -> impl Stream<Item = Result<Gathered, CliError>> + 'a {
        let one = move |(text, location): &'a (String, Location)| self.one(text, location, transport, store);
        stream::iter(&self.locations).map(one).buffered(AT_ONCE)
    }

    async fn one(
        &self,
        text: &str,
        location: &Location,
        transport: &Transport,
        store: &Store,
    ) -> Result<Gathered, CliError> {
        let Some((place, which)) = transport.open(location) else {
            let gathered = self.record(text, location, store).await?;
            self.let_in((location, None), &gathered.entries).await?;
            return Ok(gathered);
        };
        let what = location.to_string();
        let (resolved, remembered) = match location {
            Location::Registry(reference) => {
                let reference = Known::name(reference);
                let known = Known { place: &place, which: &which, reference: &reference, fresh: self.fresh };
                resolve_known(known, store, &self.selection).await?
            }
            _ => (resolve(&place, &which, &self.selection, &what).await?, None),
        };
        self.let_in((location, Some((transport, &place))), &resolved.entries).await?;
        let entries = self.changed(resolved.entries, resolved.was_list)?;
        let source = Source {
            from: text.to_owned(),
            place: place.to_string(),
            digest: resolved.digest,
            resolved: remembered.unwrap_or_else(Timestamp::now),
            entries: entries.iter().map(|entry| entry.digest).collect(),
            record: None,
        };
        Ok(Gathered { entries, sources: vec![source], origin: what, remembered })
    }

    /// Takes entries over from another list of the store, with their sources.
    async fn record(&self, text: &str, location: &Location, store: &Store) -> Result<Gathered, CliError> {
        let Location::Store(name) = location else {
            let message = format!("{text} cannot be read from");
            return Err(CliError::Misuse(message, "images are docker://…, oci:…, dir:… or store:LIST"));
        };
        let record = store.load(&selector(name)?).await?;
        let what = location.to_string();
        if record.image().is_some() {
            return self.image(&record, text, what, store).await;
        }
        if self.selection.nest {
            let message = format!("{what} is a draft; only a list that was pushed can be nested");
            return Err(CliError::Misuse(message, "push it first and add it from where it was pushed to"));
        }
        let chosen = choose(record.list()?.entries().to_vec(), &self.selection, &what)?;
        let entries = self.changed(chosen, true)?;
        let digests: Vec<Digest> = entries.iter().map(|entry| entry.digest).collect();
        let mut sources = Vec::new();
        for source in record.sources().iter() {
            let kept = source.entries.iter().filter(|digest| digests.contains(digest)).copied().collect();
            let mut source = Source { entries: kept, ..source.clone() };
            // One that was removed by force is not in use any more; its content is here all the same.
            if let Some(used) = source.record
                && !store.exists(&used.into()).await?
            {
                source.record = None;
            }
            sources.extend((!source.entries.is_empty()).then_some(source));
        }
        Ok(Gathered { sources, entries, origin: what, remembered: None })
    }

    /// Makes an entry of an image of the store, which tells itself what it is for.
    async fn image(
        &self,
        record: &Record,
        text: &str,
        what: String,
        store: &Store,
    ) -> Result<Gathered, CliError> {
        let digest = record.encoded().digest;
        let source = record.sources().place_of(&digest).filter(|source| source.place == Source::HERE);
        let source = source.ok_or(PublishError::NoSource(digest))?;
        let resolved = resolve(&pool(store), &digest.into(), &self.selection, &what).await?;
        let entries = self.changed(resolved.entries, false)?;
        let source = Source { from: text.to_owned(), record: Some(record.id()), ..source.clone() };
        Ok(Gathered { entries, sources: vec![source], origin: what, remembered: None })
    }

    /// Applies what the user says of the entries.
    fn changed(&self, mut entries: Vec<Descriptor>, from_list: bool) -> Result<Vec<Descriptor>, CliError> {
        let mut change = self.change.clone();
        if from_list {
            // They chose the entry, which says itself what it is for.
            (change.os, change.arch, change.variant) = (None, None, None);
        }
        // What came along with an image was not named; what was named is meant, whatever it is.
        for entry in entries.iter_mut().filter(|entry| !(from_list && entry.is_attestation())) {
            change.apply(entry)?;
        }
        Ok(entries)
    }
}

/// The platform that the user gives, when it is whole.
fn given(change: &Annotate) -> Option<Platform> {
    let (os, arch) = (change.os.clone()?, change.arch.clone()?);
    let variant = change.variant.clone().filter(|variant| !variant.is_empty());
    Some(Platform { os, architecture: arch, variant, ..Platform::default() })
}

/// Understands where an image is; a path is meant from where we are now.
pub(crate) fn location(text: &str) -> Result<Location, CliError> {
    let whole = |path: PathBuf| {
        let path = absolute(&path).map_err(|error| CliError::File("find", path, error))?;
        if path.to_string_lossy().contains(':') {
            // A record keeps where its images are as oci:DIRECTORY, and there a colon ends the directory.
            let message = format!("the path {} has a colon in it", path.display());
            let hint = "a layout or archive cannot lie there; move it, or name it by a link";
            return Err(CliError::Misuse(message, hint));
        }
        Ok(path)
    };
    match text.parse()? {
        Location::Layout(path, pick) => Ok(Location::Layout(whole(path)?, pick)),
        Location::Directory(path, pick) => {
            let whole = absolute(&path).map_err(|error| CliError::File("find", path, error))?;
            Ok(Location::Directory(whole, pick))
        }
        Location::Archive(kind, path, pick) => Ok(Location::Archive(kind, whole(path)?, pick)),
        other => Ok(other),
    }
}
