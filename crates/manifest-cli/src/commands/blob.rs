//! `manifest blob`

use clap::{Args, Subcommand};
use manifest_core::Digest;
use manifest_store::{StoreError, Variant};
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::table::table;
use crate::words;

/// Show content that the store keeps, by its digest
#[derive(Clone, Debug, Args)]
pub(crate) struct Blob {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Print the path of its file, which is not to be changed
    Path(Which),
    /// Print it, compared with its digest; the last piece comes only when it is right
    Cat(Which),
    /// Show the same layer in all compressions that the store has
    Variants(Which),
}

#[derive(Clone, Debug, Args)]
struct Which {
    /// The digest: sha256: or sha512: and hex digits; for variants also the diff ID of a layer
    digest: String,
}

#[derive(Serialize)]
struct PathReport {
    schema: &'static str,
    digest: String,
    path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VariantsReport {
    schema: &'static str,
    variants: Vec<VariantReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VariantReport {
    digest: String,
    media_type: String,
    size: u64,
    diff_id: String,
}

impl Blob {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let (Verb::Path(which) | Verb::Cat(which) | Verb::Variants(which)) = &self.verb;
        let digest: Digest = which.digest.parse().map_err(|error: manifest_core::DigestError| {
            CliError::Misuse(error.to_string(), "manifest inspect LIST shows digests")
        })?;
        match &self.verb {
            Verb::Path(_) => path(context, digest).await,
            Verb::Cat(_) => cat(context, digest).await,
            Verb::Variants(_) => variants(context, digest).await,
        }?;
        Ok(0)
    }
}

async fn path(context: &Context, digest: Digest) -> Result<(), CliError> {
    let blobs = context.store()?.blobs();
    let Some(path) = blobs.path(&digest).await? else {
        if blobs.has(&digest).await?.is_none() {
            return Err(StoreError::NoBlob(digest).into());
        }
        let message = "blobs of a shared store are not files".to_owned();
        return Err(CliError::Misuse(message, "manifest blob cat prints one"));
    };
    let report =
        PathReport { schema: "blob-path/1", digest: digest.to_string(), path: path.display().to_string() };
    let mut text = path.into_os_string().into_encoded_bytes();
    text.push(b'\n');
    Ok(context.ui.result_bytes(&text, &report)?)
}

async fn cat(context: &Context, digest: Digest) -> Result<(), CliError> {
    let blob = context.store()?.blobs().read(&digest).await?;
    let mut blob = blob.ok_or(StoreError::NoBlob(digest))?;
    while let Some(piece) = blob.next().await {
        context.ui.raw(&piece?)?;
    }
    Ok(())
}

async fn variants(context: &Context, digest: Digest) -> Result<(), CliError> {
    let variants = context.store()?.blobs().variants(&digest).await?;
    if variants.is_empty() {
        return Err(StoreError::NoBlob(digest).into());
    }
    let mut rows = vec![["DIGEST", "SIZE", "TYPE"].map(str::to_owned).to_vec()];
    rows.extend(variants.iter().map(|variant| {
        vec![variant.digest.to_string(), words::size(variant.size), variant.media_type.to_string()]
    }));
    let variants = variants.iter().map(VariantReport::from).collect();
    Ok(context.ui.result(&table(&rows), &VariantsReport { schema: "blob-variants/1", variants })?)
}

impl From<&Variant> for VariantReport {
    fn from(variant: &Variant) -> Self {
        Self {
            digest: variant.digest.to_string(),
            media_type: variant.media_type.to_string(),
            size: variant.size,
            diff_id: variant.diff_id.to_string(),
        }
    }
}
