//! `manifest sign`

mod remove;
mod report;
pub(super) mod spot;

use clap::Args;
use manifest_core::{Descriptor, Document, Match, Platform};
use manifest_publish::{ResolveError, Signed, Signing, sign};
use manifest_store::Publications;
use manifest_transport::{Fetched, Location, Transport};

use self::report::{Done, Report};
use self::spot::{Spot, spots};
use super::push::signed::told;
use crate::args::RegistryArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::signing::SignArgs;

/// Sign a list or an image that is in a registry, and everything in it
///
/// What is signed are digests: a tag is read once. A LIST of the store is signed where it was pushed last, as it was pushed
/// then. A key signs nothing twice, so that the command may be repeated.
///
/// manifest push --sign-key FILE signs before a tag moves, so that nobody finds the list unsigned.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest sign --sign-key cosign.key docker://registry.example.com/app:1.0
  manifest sign --sign-by 0123456789ABCDEF0123456789ABCDEF01234567 app:1.0
  manifest sign --sign-key cosign.key --signature-format bundle --platform linux/arm64 docker://registry.example.com/app:1.0
  manifest sign --remove-signatures docker://registry.example.com/app:1.0")]
pub(crate) struct Sign {
    /// What to sign: docker://HOST/REPOSITORY[:TAG][@DIGEST], oci:DIRECTORY[:NAME], dir:DIRECTORY, or a name or id in the store: wherever that was pushed to last
    image: String,
    /// Sign the image for this platform only, and not the list; may be repeated
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<Platform>,
    /// Take all signatures away, whoever made them, instead of signing
    #[arg(long, conflicts_with_all = ["sign_by", "sign_key", "sign_by_sigstore_private_key", "signature_format", "sign_identity"])]
    remove_signatures: bool,
    #[command(flatten)]
    sign: SignArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl Sign {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        if !self.remove_signatures && !self.sign.has_keys() {
            return Err(CliError::Misuse(
                "no key is given".to_owned(),
                "--sign-key FILE or --sign-by FINGERPRINT gives one; manifest key generate makes one",
            ));
        }
        let spots = spots(context, &self.image, "signed").await?;
        let signing = self.sign.open(context)?;
        let locations: Vec<&Location> = spots.iter().map(|spot| &spot.location).collect();
        let transport = context.transport(&self.registry, &locations)?;
        if self.remove_signatures {
            return self.remove(context, &transport, &spots).await;
        }
        // Whoever signs without a store has nobody to wait for.
        let turns = context.store().ok().map(|store| store.publications());
        let mut done = Vec::new();
        for spot in &spots {
            let one = self.sign_at(&transport, spot, (&signing, turns.as_ref()), context).await?;
            context.ui.note(format_args!("signed {}: {}", spot.target, told(one.signed)));
            done.push(one);
        }
        let report = Report::new(&done, &signing);
        context.ui.result(&report.text(), &report)?;
        Ok(0)
    }

    async fn sign_at(
        &self,
        transport: &Transport,
        spot: &Spot,
        (signing, turns): (&Signing, Option<&Publications>),
        context: &Context,
    ) -> Result<Done, CliError> {
        let (place, wanted) = self.wanted(transport, spot).await?;
        let mut done = Done::at(spot);
        for (entry, fetched) in wanted {
            let what = (&place, &fetched, spot.tag.as_deref());
            let signing = (signing, self.registry.connection.jobs);
            let signed: Signed = sign(transport, what, signing, turns, &context.ui).await?;
            done.add(&entry, signed);
        }
        Ok(done)
    }

    /// What is to be signed: the list or image itself, or the images in it for some platforms.
    async fn wanted(
        &self,
        transport: &Transport,
        spot: &Spot,
    ) -> Result<(manifest_transport::Place, Vec<(Descriptor, Fetched)>), CliError> {
        let (place, which) = spot.open(transport)?;
        let fetched = place.manifest(&which).await?;
        if self.platform.is_empty() {
            let about =
                Descriptor::new(fetched.media_type.clone(), fetched.digest, fetched.bytes.len() as u64);
            return Ok((place, vec![(about, fetched)]));
        }
        let mut wanted: Vec<(Descriptor, Fetched)> = Vec::new();
        for platform in &self.platform {
            for entry in entries_for(platform, &fetched, &spot.target)? {
                if !wanted.iter().any(|(known, _)| known.digest == entry.digest) {
                    let image = place.manifest(&entry.digest.into()).await?;
                    wanted.push((entry, image));
                }
            }
        }
        Ok((place, wanted))
    }
}

/// The entries of a list that are for a platform.
fn entries_for(platform: &Platform, list: &Fetched, what: &str) -> Result<Vec<Descriptor>, CliError> {
    let Document::List(list, _) = &list.document else {
        return Err(CliError::Misuse(
            format!("{what} is an image, in which there are no others"),
            "leave --platform out",
        ));
    };
    let of = |entry: &Descriptor| entry.platform.clone().filter(|_| !entry.is_attestation());
    let platforms: Vec<Option<Platform>> = list.entries().iter().map(of).collect();
    let found = platform.select(Match::Strict, platforms.iter().map(Option::as_ref));
    let entries: Vec<Descriptor> =
        found.into_iter().filter_map(|at| list.entries().get(at)).cloned().collect();
    if entries.is_empty() {
        let platforms = platforms.iter().flatten().map(ToString::to_string).collect();
        let wanted = platform.to_string();
        return Err(ResolveError::NoSuchPlatform { what: what.to_owned(), wanted, platforms }.into());
    }
    Ok(entries)
}
