//! `manifest signatures`

use clap::Args;
use manifest_core::Platform;
use manifest_publish::verify::{Listed, ListedSignature, VerifyOptions, list_signatures};
use manifest_transport::{Fetched, Location, Transport};
use serde::Serialize;

use super::sign::spot::{Spot, spots};
use super::verify::when;
use crate::args::RegistryArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::table::{clean, table};
use crate::words::short;

/// Show the signatures of a list or an image, and of everything in it
///
/// Nothing is verified: what stands here is what signatures say, and anybody can write that. manifest verify tells which of them
/// are good. A LIST of the store is looked at where it was pushed last.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  manifest signatures docker://registry.example.com/app:1.0
  manifest signatures app:1.0 --output json")]
pub(crate) struct Signatures {
    /// What to look at: docker://HOST/REPOSITORY[:TAG][@DIGEST], oci:DIRECTORY[:NAME], dir:DIRECTORY, an archive, or a name or id in the store: wherever that was pushed to last
    image: String,
    /// Look only at the images for this platform, and at the list; may be repeated
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<Platform>,
    /// Look into lists in the list
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    places: Vec<PlaceReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlaceReport {
    target: String,
    digest: String,
    media_type: String,
    signed: Vec<SignedReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedReport {
    digest: String,
    media_type: String,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    signatures: Vec<SignatureReport>,
}

#[derive(Serialize)]
struct SignatureReport {
    form: &'static str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    digests: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Signatures {
    pub(crate) async fn run(&self, context: &Context) -> Result<u8, CliError> {
        let spots = spots(context, &self.image, "looked at").await?;
        let locations: Vec<&Location> = spots.iter().map(|spot| &spot.location).collect();
        let transport = context.transport(&self.registry, &locations)?;
        let mut report = Report { schema: "signatures/1", places: Vec::new() };
        for spot in &spots {
            report.places.push(self.at(&transport, spot).await?);
        }
        let all = report.places.iter().flat_map(|place| &place.signed);
        if all.map(|signed| signed.signatures.len()).sum::<usize>() > 0 {
            context.ui.note(format_args!("nothing of this is verified; manifest verify does that"));
        }
        context.ui.result(&report.text(), &report)?;
        Ok(0)
    }

    async fn at(&self, transport: &Transport, spot: &Spot) -> Result<PlaceReport, CliError> {
        let (place, which) = spot.look(transport)?;
        let subject = place.manifest(&which).await?;
        let simple = spot.reference().and_then(|reference| transport.signatures(&reference));
        let options = VerifyOptions {
            platforms: self.platform.clone(),
            recursive: self.recursive,
            jobs: self.registry.connection.jobs,
            ..VerifyOptions::default()
        };
        let listed = list_signatures(&place, simple.as_ref(), &subject, &options).await?;
        Ok(PlaceReport::new(&spot.target, &subject, &listed))
    }
}

impl PlaceReport {
    fn new(target: &str, subject: &Fetched, listed: &[Listed]) -> Self {
        Self {
            target: target.to_owned(),
            digest: subject.digest.to_string(),
            media_type: subject.media_type.to_string(),
            signed: listed.iter().map(SignedReport::from).collect(),
        }
    }

    fn text(&self) -> String {
        let head =
            ["PLATFORM", "IMAGE", "FORM", "KEY", "IDENTITY", "SIGNED", "AT"].map(str::to_owned).to_vec();
        let rows = self.signed.iter().flat_map(SignedReport::rows);
        table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
    }
}

impl Report {
    fn text(&self) -> String {
        let several = self.places.len() > 1;
        let titled = |place: &PlaceReport| match several {
            true => format!("{}\n{}", clean(&place.target), place.text()),
            false => place.text(),
        };
        self.places.iter().map(titled).collect::<Vec<_>>().join("\n")
    }
}

impl SignedReport {
    /// A line for each signature, or one that says that there is none.
    fn rows(&self) -> Vec<Vec<String>> {
        let what = self.platform.clone().unwrap_or_else(|| self.role.to_owned());
        let digest = self.digest.parse().map_or_else(|_| self.digest.clone(), |digest| short(&digest));
        let or_dash = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "-".to_owned());
        if self.signatures.is_empty() {
            return vec![vec![clean(&what), digest, "unsigned".to_owned()]];
        }
        let row = |one: &SignatureReport| {
            let identity = one.why.as_ref().or(one.identity.as_ref()).cloned();
            let cells = [
                what.clone(),
                digest.clone(),
                one.form.to_owned(),
                or_dash(&one.key),
                or_dash(&identity),
                or_dash(&one.signed),
                one.at.clone(),
            ];
            cells.iter().map(|cell| clean(cell)).collect()
        };
        self.signatures.iter().map(row).collect()
    }
}

impl From<&Listed> for SignedReport {
    fn from(listed: &Listed) -> Self {
        let subject = &listed.subject;
        Self {
            digest: subject.digest.to_string(),
            media_type: subject.media_type.to_string(),
            role: listed.role.as_str(),
            platform: subject.platform.as_ref().map(ToString::to_string),
            signatures: listed.signatures.iter().map(SignatureReport::from).collect(),
        }
    }
}

impl From<&ListedSignature> for SignatureReport {
    fn from(listed: &ListedSignature) -> Self {
        let (form, at) = (listed.form.as_str(), listed.at.clone());
        let (claims, refused) = match &listed.claims {
            Ok(claims) => (claims.clone(), None),
            Err(refused) => (manifest_sign::Claims::default(), Some(refused)),
        };
        Self {
            form,
            at,
            key: claims.key.as_ref().map(ToString::to_string),
            identity: claims.identity,
            digests: claims.digests.iter().map(ToString::to_string).collect(),
            creator: claims.creator,
            signed: claims.timestamp.and_then(when),
            answer: refused.map(manifest_sign::Refusal::kind),
            why: refused.map(ToString::to_string),
        }
    }
}
