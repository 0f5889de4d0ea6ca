//! `manifest create`

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use manifest_core::{AnnotateList, Descriptor, Document, Format, List, ListName, OnConflict};
use manifest_publish::describe;
use manifest_sign::policy::Policy;
use manifest_store::{Base, Draft, IfTaken, Record, Source, Store, StoreError};
use manifest_transport::{Location, Transport};
use serde::Serialize;

use crate::args::{RegistryArgs, SelectArgs, annotations, key_value};
use crate::context::{Context, selector};
use crate::error::CliError;
use crate::gather::{Gathered, Images, finish, rely_on, used};
use crate::policy;
use crate::report::ListReport;

/// Create a list, and add images to it
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest create app:1.0
  manifest create app:1.0 registry.example.com/app:1.0-amd64 registry.example.com/app:1.0-arm64
  manifest create app:next --from registry.example.com/app:1.0")]
pub(crate) struct Create {
    /// The name of the list; app is localhost/app:latest
    #[arg(value_name = "LIST")]
    name: String,
    /// Images to add: docker://HOST/REPOSITORY[:TAG][@DIGEST], oci:DIRECTORY[:NAME], dir:DIRECTORY or store:LIST
    image: Vec<String>,
    /// Start from a published list, kept whole: entries, annotations, subject and unknown fields
    #[arg(long, value_name = "REF")]
    from: Option<String>,
    /// What to do when the name is taken
    #[arg(long, value_enum, default_value_t)]
    if_exists: IfExists,
    /// The same as --if-exists amend: add to the list that is there, in the place of entries for the same platform
    #[arg(long, short, conflicts_with_all = ["replace", "if_exists"])]
    amend: bool,
    /// The same as --if-exists replace: take the name from the list that is there
    #[arg(long, conflicts_with = "if_exists")]
    replace: bool,
    /// An annotation of the list; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    annotation: Vec<(String, String)>,
    /// The artifact type of the list
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,
    /// The image that the list is about
    #[arg(long, value_name = "REF")]
    subject: Option<String>,
    /// The format of the list, oci or v2s2 [default: oci, unless all images are of Docker types]
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<Format>,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// What to do when a name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum IfExists {
    #[default]
    Fail,
    Amend,
    Replace,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    #[serde(flatten)]
    list: ListReport,
}

/// What a draft starts with besides images.
struct Start {
    base: Option<(Draft, String)>,
    change: AnnotateList,
}

impl Create {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, name) = (context.store()?, self.name()?);
        let which = selector(&name.to_string())?;
        let if_exists = self.if_exists();
        let exists = store.exists(&which).await?;
        if exists && if_exists == IfExists::Fail {
            // Before anything is read from registries: the answer is known.
            let id = store.load(&which).await?.id();
            return Err(StoreError::NameTaken { name, id }.into());
        }
        let amends = exists && if_exists == IfExists::Amend;
        if amends && self.from.is_some() {
            return Err(from_and_amend());
        }
        let images = Images::parse(context, &self.image, &self.select, None)?;
        let base = self.base(context, &store, images.policy()).await?;
        // What the base has here is relied on before anything else is read, which may take long.
        let whole: Vec<Gathered> =
            base.iter().map(|(draft, origin)| Gathered::whole(draft, origin)).collect();
        let intake = rely_on(context, &store, &whole).await?;
        let made = self.gather_and_save(context, &store, &name, base, &images, amends).await;
        finish(context, intake).await;
        let (record, origins) = made?;
        for origin in origins {
            context.ui.note(format_args!("from {origin}"));
        }
        let report = Report { schema: "create/1", list: ListReport::from(&record) };
        context.ui.result(&format!("{}\n", record.id()), &report)?;
        Ok(0)
    }

    /// Reads the images, and saves the list. The record, and where its parts came from.
    async fn gather_and_save(
        &self,
        context: &Context,
        store: &Store,
        name: &ListName,
        base: Option<(Draft, String)>,
        images: &Images,
        amends: bool,
    ) -> Result<(Record, Vec<String>), CliError> {
        let start = self.start(context, base).await?;
        let gathered = images.gather(context, &self.registry, store).await?;
        let intake = rely_on(context, store, &gathered).await?;
        let saved = if amends {
            self.amend(store, name, &start, &gathered).await
        } else {
            self.make(store, name, &start, &gathered).await
        };
        finish(context, intake).await;
        let bases = start.base.into_iter().map(|(_, origin)| origin);
        Ok((saved?, bases.chain(gathered.into_iter().map(|images| images.origin)).collect()))
    }

    async fn make(
        &self,
        store: &Store,
        name: &ListName,
        start: &Start,
        gathered: &[Gathered],
    ) -> Result<Record, CliError> {
        let if_exists = self.if_exists();
        match store.create(name, self.draft(start, gathered)?, taken(if_exists)).await {
            // Somebody else made it in the meantime.
            Err(StoreError::NameTaken { .. }) if if_exists == IfExists::Amend => {
                self.amend(store, name, start, gathered).await
            }
            created => Ok(created?),
        }
    }

    fn name(&self) -> Result<ListName, CliError> {
        self.name.parse().map_err(|error| CliError::Name(self.name.clone(), error))
    }

    const fn if_exists(&self) -> IfExists {
        match (self.amend, self.replace) {
            (true, _) => IfExists::Amend,
            (_, true) => IfExists::Replace,
            _ => self.if_exists,
        }
    }

    async fn start(&self, context: &Context, base: Option<(Draft, String)>) -> Result<Start, CliError> {
        let subject = match &self.subject {
            Some(text) => Some(subject(context, &self.registry, text).await?),
            None => None,
        };
        let change = AnnotateList {
            annotations: annotations(&self.annotation),
            artifact_type: self.artifact_type.clone(),
            subject,
            ..AnnotateList::default()
        };
        Ok(Start { base, change })
    }

    /// The list that this one starts from, with where it was, if there is to be one.
    async fn base(
        &self,
        context: &Context,
        store: &Store,
        policy: Option<&Policy>,
    ) -> Result<Option<(Draft, String)>, CliError> {
        match &self.from {
            Some(text) => self.taken_over(context, (store, policy), text).await.map(Some),
            None => Ok(None),
        }
    }

    /// Takes a published list over, whole.
    async fn taken_over(
        &self,
        context: &Context,
        (store, policy): (&Store, Option<&Policy>),
        text: &str,
    ) -> Result<(Draft, String), CliError> {
        let location = context.location(text)?;
        let origin = location.to_string();
        let digests = |list: &List| list.entries().iter().map(|entry| entry.digest).collect::<Vec<_>>();
        if let Location::Store(name) = &location {
            let record = store.load(&selector(name)?).await?;
            if let Some(policy) = policy {
                policy::let_in(policy, (&location, None), &digests(record.list()?)).await?;
            }
            let base = Base { reference: text.to_owned(), digest: record.encoded().digest };
            return Ok((Draft { base: Some(base), ..record.draft()? }, origin));
        }
        let transport = context.transport(&self.registry, &[&location])?;
        let Some((place, which)) = transport.open(&location) else {
            return Err(CliError::Misuse(
                format!("{text} cannot be read from"),
                "give docker://…, oci:… or dir:…",
            ));
        };
        let fetched = place.manifest(&which).await?;
        let Document::List(list, format) = fetched.document else {
            let message = format!("{origin} is a single image, not a list");
            return Err(CliError::Misuse(
                message,
                "name it as an IMAGE, without --from, to add it to a new list",
            ));
        };
        if let Some(policy) = policy {
            policy::let_in(policy, (&location, Some((&transport, &place))), &digests(&list)).await?;
        }
        let mut draft = Draft { format: Some(format), ..Draft::from(list) };
        draft.sources.add(Source {
            from: text.to_owned(),
            place: place.to_string(),
            digest: fetched.digest,
            resolved: Timestamp::now(),
            entries: draft.list.entries().iter().map(|entry| entry.digest).collect(),
            record: None,
        });
        draft.base = Some(Base { reference: text.to_owned(), digest: fetched.digest });
        Ok((draft, origin))
    }

    fn draft(&self, start: &Start, gathered: &[Gathered]) -> Result<Draft, CliError> {
        let mut draft = start.base.as_ref().map(|(draft, _)| draft.clone()).unwrap_or_default();
        let usual = if start.base.is_some() { OnConflict::Replace } else { OnConflict::Refuse };
        self.fill(&mut draft, start, gathered, usual)?;
        Ok(draft)
    }

    async fn amend(
        &self,
        store: &Store,
        name: &ListName,
        start: &Start,
        gathered: &[Gathered],
    ) -> Result<Record, CliError> {
        if start.base.is_some() {
            return Err(from_and_amend());
        }
        let edit = |draft: &mut Draft| self.fill(draft, start, gathered, OnConflict::Replace);
        Ok(store.update_using(&selector(&name.to_string())?, &used(gathered), edit).await?.record)
    }

    fn fill(
        &self,
        draft: &mut Draft,
        start: &Start,
        gathered: &[Gathered],
        usual: OnConflict,
    ) -> Result<(), CliError> {
        let on_conflict = if self.select.allow_duplicate { OnConflict::Allow } else { usual };
        let keeps_both = "leave one of the images out, or keep both with --allow-duplicate";
        for images in gathered {
            let added = images.add_to(draft, on_conflict);
            added.map_err(|error| CliError::from(error).advise("platform_taken", keeps_both))?;
        }
        draft.list.annotate_list(&start.change);
        draft.format = self.format.or(draft.format);
        Ok(())
    }
}

fn from_and_amend() -> CliError {
    let message = "--from starts a new list, --amend keeps the one that is there".to_owned();
    CliError::Misuse(message, "--replace takes the name from the list that is there")
}

const fn taken(if_exists: IfExists) -> IfTaken {
    match if_exists {
        IfExists::Replace => IfTaken::Replace,
        IfExists::Fail | IfExists::Amend => IfTaken::Refuse,
    }
}

/// The descriptor of a subject: type, digest and size, and the artifact type if it is an artifact.
pub(super) async fn subject(
    context: &Context,
    registry: &RegistryArgs,
    text: &str,
) -> Result<Descriptor, CliError> {
    let location = context.location(text)?;
    let transport: Transport = context.transport(registry, &[&location])?;
    let Some((place, which)) = transport.open(&location) else {
        let message = format!("{text} is a draft, which cannot be a subject");
        return Err(CliError::Misuse(message, "push it first and name where it was pushed to"));
    };
    Ok(describe(&place.manifest(&which).await?))
}
