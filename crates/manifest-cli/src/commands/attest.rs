//! `manifest attest`

mod kind;
mod report;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use manifest_core::{Descriptor, Document, Platform};
use manifest_publish::{
    AttestBy, Attestations, Attesting, MAX_PREDICATE_SIZE, Predicate, PublishError, Selection, attest,
    choose, describe,
};
use manifest_sign::sigstore::SigstoreSigner;
use manifest_transport::{Fetched, Location};

use self::report::{Done, Report};
use super::sign::spot::{Spot, spots};
use crate::args::RegistryArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::keyfile::{self, Family};
use crate::passphrase::PassphraseArgs;

/// Attach a statement to a list or an image that is in a registry, such as where it comes from or what is in it
///
/// The statement (in-toto) says the PREDICATE of the digest, and of no other: of the list itself, or with --platform or --each of
/// an image in it. It is kept in a manifest that refers to that digest: signed, in a sigstore bundle, or without a key as it is.
/// What is there in the same words is not attached again. A LIST of the store is described where it was pushed last.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest attest --predicate sbom.json --type spdx --platform linux/arm64 --sign-key cosign.key \\
      docker://registry.example.com/app:1.0
  manifest attest --predicate build.json --type slsaprovenance1 --each app:1.0
  manifest inspect --attestations docker://registry.example.com/app:1.0

Types of predicates, as cosign calls them; any other is given as a URI:
  slsaprovenance, slsaprovenance02  https://slsa.dev/provenance/v0.2
  slsaprovenance1                   https://slsa.dev/provenance/v1
  spdx, spdxjson                    https://spdx.dev/Document
  cyclonedx                         https://cyclonedx.org/bom
  vuln                              https://cosign.sigstore.dev/attestation/vuln/v1
  openvex                           https://openvex.dev/ns
  link                              https://in-toto.io/Link/v1
  custom                            https://cosign.sigstore.dev/attestation/v1")]
pub(crate) struct Attest {
    /// What to describe: docker://HOST/REPOSITORY[:TAG][@DIGEST], oci:DIRECTORY[:NAME], dir:DIRECTORY, or a name or id in the store: wherever that was pushed to last
    image: String,
    /// What is said of it: a file with JSON, at most 6 MB; - is standard input
    #[arg(long, value_name = "FILE")]
    predicate: PathBuf,
    /// What kind of predicate it is: a URI, or one of the words below
    #[arg(long, value_name = "TYPE", value_parser = kind::uri)]
    r#type: String,
    /// Describe the image for this platform, and not the list
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Describe each image in the list, and not the list
    #[arg(long, conflicts_with = "platform")]
    each: bool,
    /// Sign it with the sigstore key in this file
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl Attest {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        if self.passphrase.is_named() && self.sign_key.is_none() {
            return Err(CliError::Misuse(
                "a passphrase is given, and no key".to_owned(),
                "--sign-key FILE gives one; without it the statement is attached unsigned",
            ));
        }
        let json = read(&self.predicate)?;
        let predicate = Predicate::new(&self.r#type, json).map_err(PublishError::from)?;
        let by = self.sign_key.as_deref().map(|file| self.signer(context, file)).transpose()?;
        let timestamp = Some(Timestamp::now().as_second());
        let attesting = Attesting { predicate, by, timestamp };
        let spots = spots(context, &self.image, "described").await?;
        let locations: Vec<&Location> = spots.iter().map(|spot| &spot.location).collect();
        let transport = context.transport(&self.registry, &locations)?;
        // Whoever attaches something without a store has nobody to wait for.
        let turns = context.store().ok().map(|store| store.publications());
        let mut done = Vec::new();
        for spot in &spots {
            if !matches!(
                spot.location,
                Location::Registry(_) | Location::Layout(..) | Location::Directory(..)
            ) {
                return Err(CliError::Misuse(
                    format!("nothing can be attached to what is in {}", spot.target),
                    "it can in a registry or an OCI layout, and in dir:DIRECTORY",
                ));
            }
            let (place, which) = spot.open(&transport)?;
            let subjects = self.subjects(&place.manifest(&which).await?, spot)?;
            let attached =
                attest(&transport, (&place, &subjects), &attesting, turns.as_ref(), &context.ui).await?;
            done.push(Done::new(spot.target.clone(), attached, &subjects));
        }
        let report = Report::new(&attesting, done);
        context.ui.result(&report.text(), &report)?;
        Ok(0)
    }

    /// What is described: the list or image itself, or images in it.
    fn subjects(&self, fetched: &Fetched, spot: &Spot) -> Result<Vec<Descriptor>, CliError> {
        if self.platform.is_none() && !self.each {
            return Ok(vec![describe(fetched)]);
        }
        let Document::List(list, _) = &fetched.document else {
            return Err(CliError::Misuse(
                format!("{} is an image, in which there are no others", spot.target),
                "without --platform and --each the image itself is described",
            ));
        };
        let selection = Selection {
            all: self.each,
            platforms: self.platform.iter().cloned().collect(),
            attestations: Attestations::Drop,
            ..Selection::default()
        };
        let mut subjects = choose(list.entries().to_vec(), &selection, &spot.target)?;
        let mut seen = std::collections::BTreeSet::new();
        subjects.retain(|subject| seen.insert(subject.digest));
        Ok(subjects)
    }

    fn signer(&self, context: &Context, path: &Path) -> Result<AttestBy, CliError> {
        let file = keyfile::read(path)?;
        if Family::of(&file) == Family::OpenPgp {
            let message = format!("{} is an OpenPGP key, which signs no statements", path.display());
            return Err(CliError::Misuse(message, "manifest key generate makes a sigstore key, which does"));
        }
        let open = |passphrase: Option<&_>| SigstoreSigner::open(&file, passphrase);
        let signer = self.passphrase.unlock(context, path, Family::Sigstore, open)?;
        Ok(AttestBy { verifier: signer.verifier(), signer: Arc::new(signer) })
    }
}

/// Reads a predicate, and no more of it than shows that it is too large.
fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let most = MAX_PREDICATE_SIZE as u64 + 1;
    let read = match path.as_os_str().as_encoded_bytes() {
        b"-" => io::stdin().lock().take(most).read_to_end(&mut bytes),
        _ => File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    read.map(|_| bytes).map_err(|error| CliError::File("read the predicate in", path.to_owned(), error))
}
