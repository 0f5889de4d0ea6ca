//! `manifest import`

mod from;
mod save;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use manifest_core::ListName;
use manifest_publish::{Action, Choice, Offered, choose_images, shadowed, take};
use manifest_store::{IfTaken, Intake, Store};
use manifest_transport::{ArchiveKind, Offer, Origin, Pick, Place};
use serde::Serialize;

use self::from::From;
use self::save::{check_free, save};
use crate::carried::{Blobs, blob_parts, blobs};
use crate::context::Context;
use crate::entry::shown;
use crate::error::CliError;
use crate::gather::{finish, location};
use crate::report::ListReport;
use crate::words::counted;

/// Take images and lists out of a layout, a directory or an archive into the store, with everything in them
///
/// Without a source the archive is read from standard input; which kind it is is found out. A name of a layout or an
/// archive is read as that of a list everywhere: app:1.0 is localhost/app:1.0.
///
/// What the store has is not copied again. Of that, manifests and whatever has at most 1 MiB are compared with their
/// digests and written anew when they are damaged; larger layers are not read: manifest fsck --repair moves the
/// damaged ones away, and the next import brings them again.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest import app:1.0 --oci-dir build
  manifest import --all --oci-archive bundle.tar
  manifest import app:1.0 app.tar
  manifest import app:1.0 oci:build:latest
  manifest import app:1.0 dir:images
  docker save app | manifest import app:1.0")]
pub(crate) struct Import {
    /// The name to import it under [default: its names in the layout or archive]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// An archive of either kind, an OCI image layout, or - for standard input; alone it is written with a slash, or
    /// with its transport as in oci:DIR:NAME or dir:DIR
    #[arg(value_name = "FILE", conflicts_with_all = ["oci_dir", "oci_archive", "docker_archive"])]
    file: Option<PathBuf>,
    /// An OCI image layout
    #[arg(long, value_name = "DIR", conflicts_with_all = ["oci_archive", "docker_archive"])]
    oci_dir: Option<PathBuf>,
    /// An OCI archive; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "docker_archive")]
    oci_archive: Option<PathBuf>,
    /// What docker save writes; - is standard input
    #[arg(long, value_name = "FILE")]
    docker_archive: Option<PathBuf>,
    /// Which image, of several: its name there, @POSITION counted from 0, or its digest
    #[arg(long, value_name = "IMAGE", conflicts_with = "all")]
    image: Option<String>,
    /// Import all of them, each under its own names
    #[arg(long)]
    all: bool,
    /// Take the name from the list or image that has it; one that was imported and never edited is removed with it
    #[arg(long)]
    replace: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    imported: Vec<Imported>,
}

#[derive(Serialize)]
struct Imported {
    outcome: &'static str,
    from: String,
    synthesised: bool,
    list: ListReport,
    manifests: usize,
    blobs: Vec<Blobs>,
}

/// How a source begins that is written with its transport.
const TRANSPORTS: &[&str] = &["oci:", "dir:", "oci-archive:", "docker-archive:"];

/// An image with the names that it will have here.
struct Wanted {
    image: Offered,
    names: Vec<ListName>,
    from: String,
}

impl Import {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (store, name, (from, pick)) = (context.store()?, self.name()?, self.from(context)?);
        let (place, offers) = from.open().await?;
        for double in shadowed(&offers) {
            let (name, digest, by) = (double.name, double.digest, double.by);
            context.ui.note(format_args!("warning: {name} names {digest}, too; {by} stands last and has it"));
        }
        let wanted = self.wanted(&offers, name.as_ref(), pick, &place.to_string(), &from)?;
        // Before anything is copied: the answer is known.
        for one in &wanted {
            for name in &one.names {
                check_free(&store, name, one, self.if_taken()).await?;
            }
        }
        let intake = store.blobs().intake().await?;
        let imported = self.all(context, &store, &intake, &place, &wanted).await;
        finish(context, Some(intake)).await;
        let imported = imported?;
        let text = imported.iter().map(|one| format!("{}\n", one.list.id)).collect::<String>();
        context.ui.result(&text, &Report { schema: "import/1", imported })?;
        Ok(0)
    }

    /// The name that is given, unless it is the path of a source.
    fn name(&self) -> Result<Option<ListName>, CliError> {
        let Some(text) = self.name.as_ref().filter(|_| !self.name_is_file()) else { return Ok(None) };
        if self.all {
            let message = "--all takes each image under its own names, and a name is given".to_owned();
            return Err(CliError::Misuse(
                message,
                "--image IMAGE chooses one; a FILE alone is written ./FILE",
            ));
        }
        text.parse().map(Some).map_err(|error| CliError::Name(text.clone(), error))
    }

    /// Whether what stands first is a path: no list has such a name.
    fn name_is_file(&self) -> bool {
        let is_path = |text: &str| {
            text == "-" || ["/", "./", "../"].iter().chain(TRANSPORTS).any(|start| text.starts_with(start))
        };
        self.file.is_none() && self.flagged().is_none() && self.name.as_deref().is_some_and(is_path)
    }

    fn flagged(&self) -> Option<(Option<ArchiveKind>, &Path)> {
        match (&self.oci_dir, &self.oci_archive, &self.docker_archive) {
            (Some(path), _, _) => Some((None, path)),
            (_, Some(path), _) => Some((Some(ArchiveKind::Oci), path)),
            (_, _, Some(path)) => Some((Some(ArchiveKind::Docker), path)),
            (None, None, None) => None,
        }
    }

    /// What to read, and which image of it is meant by what was typed.
    fn from(&self, context: &Context) -> Result<(From, Pick), CliError> {
        let own = self.name.as_deref().filter(|_| self.name_is_file()).map(Path::new);
        if let Some(text) = self.file.as_deref().or(own).and_then(Path::to_str)
            && self.flagged().is_none()
            && TRANSPORTS.iter().any(|transport| text.starts_with(transport))
        {
            return From::location(location(text)?);
        }
        let from = match (self.flagged(), self.file.as_deref().or(own)) {
            (Some((None, path)), _) => From::layout(path)?,
            (Some((kind, path)), _) => From::path(kind, path)?,
            (None, path) => From::path(None, path.unwrap_or(Path::new("-")))?,
        };
        if matches!(from, From::Stdin(_)) && context.can_ask() {
            let message = "there is nothing to import: standard input is a terminal".to_owned();
            return Err(CliError::Misuse(
                message,
                "give --oci-dir DIR, --oci-archive FILE, --docker-archive FILE, or a FILE behind the name",
            ));
        }
        Ok((from, Pick::Only))
    }

    /// The images that are meant, with the names that they will have.
    fn wanted(
        &self,
        offers: &[Offer],
        name: Option<&ListName>,
        picked: Pick,
        what: &str,
        from: &From,
    ) -> Result<Vec<Wanted>, CliError> {
        let choice = match (&self.image, picked, self.all) {
            (Some(text), Pick::Only, _) => Choice::One(pick(text)?),
            (None, Pick::Only, true) => Choice::All,
            (None, Pick::Only, false) => Choice::Only,
            (None, picked, false) => Choice::One(picked),
            _ => {
                let message = "the source names one image, and others are asked for".to_owned();
                return Err(CliError::Misuse(
                    message,
                    "leave --image and --all out, or the name behind the source",
                ));
            }
        };
        let (mut wanted, mut owners) = (Vec::new(), BTreeMap::new());
        for image in choose_images(offers, &choice, what)? {
            let names = match name {
                Some(name) => vec![name.clone()],
                None => own_names(&image, what)?,
            };
            for name in &names {
                if let Some(other) = owners.insert(name.clone(), image.position) {
                    let message = format!("@{other} and @{} of {what} would both be {name}", image.position);
                    return Err(CliError::Misuse(
                        message,
                        "import one of them with NAME and --image @POSITION",
                    ));
                }
            }
            let from = from.typed(&image);
            wanted.push(Wanted { image, names, from });
        }
        Ok(wanted)
    }

    async fn all(
        &self,
        context: &Context,
        store: &Store,
        intake: &Intake,
        place: &Place,
        wanted: &[Wanted],
    ) -> Result<Vec<Imported>, CliError> {
        let mut imported = Vec::new();
        for one in wanted {
            imported.push(self.one(context, store, intake, place, one).await?);
        }
        Ok(imported)
    }

    /// Copies an image and saves its record.
    async fn one(
        &self,
        context: &Context,
        store: &Store,
        intake: &Intake,
        place: &Place,
        one: &Wanted,
    ) -> Result<Imported, CliError> {
        let taken = take(place, &one.image.descriptor, &one.from, intake, &context.ui).await?;
        let synthesised = one.image.origin == Origin::Synthesised;
        if synthesised {
            context.ui.note(format_args!(
                "{} holds no manifest for {}; it was made here, so its digest is not that of any registry",
                place, one.from
            ));
        }
        let (record, is_new) = save(context, store, taken.record, one, self.if_taken()).await?;
        let outcome = if is_new { "imported" } else { "unchanged" };
        let mut parts = vec![counted(taken.manifests, "manifest")];
        parts.extend(blob_parts(&taken.blobs));
        let parts = parts.join(", ");
        context.ui.note(format_args!("{outcome} {} from {}: {parts}", shown(&record), one.from));
        if taken.blobs.contains_key(&Action::Leave) {
            context.ui.note(format_args!("layers that may not be distributed stay where they are"));
        }
        Ok(Imported {
            outcome,
            from: one.from.clone(),
            synthesised,
            list: ListReport::from(&record),
            manifests: taken.manifests,
            blobs: blobs(&taken.blobs),
        })
    }

    const fn if_taken(&self) -> IfTaken {
        if self.replace { IfTaken::Replace } else { IfTaken::Refuse }
    }
}

fn pick(text: &str) -> Result<Pick, CliError> {
    if let Ok(digest) = text.parse() {
        return Ok(Pick::Digest(digest));
    }
    match text.strip_prefix('@') {
        Some(at) => at.parse().map(Pick::Position).map_err(|_not_a_number| {
            let message = format!("{text:?} is not a position");
            CliError::Misuse(message, "a position is written @0, a digest sha256:…")
        }),
        None => Ok(Pick::Name(text.to_owned())),
    }
}

/// The names of an image there, as names of a list.
fn own_names(image: &Offered, what: &str) -> Result<Vec<ListName>, CliError> {
    let mut names = Vec::new();
    for text in &image.names {
        let name: ListName = text.parse().map_err(|error| {
            CliError::Name(text.clone(), error)
                .advise("invalid_reference", "manifest import NAME gives it a name of its own")
        })?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { Err(nameless(image, what)) } else { Ok(names) }
}

fn nameless(image: &Offered, what: &str) -> CliError {
    let message = format!("@{} of {what} has no name", image.position);
    CliError::Misuse(message, "manifest import NAME gives it one; --image chooses one of several")
}
