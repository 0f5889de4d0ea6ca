//! One image, or that of one platform in a list: its configuration and its layers.

use manifest_core::{Descriptor, Digest, Document, ImageManifest};
use manifest_publish::{Attestations, PublishError, Selection, choose, pool, resolve};
use manifest_store::{Source, Store};
use manifest_transport::{Location, LocationError, Place, Which};
use serde::Serialize;

use super::Inspect;
use crate::context::Context;
use crate::error::CliError;
use crate::named::{Named, load};
use crate::table::{clean, table};

/// An image with its configuration.
pub(super) struct Whole {
    origin: String,
    digest: Digest,
    image: ImageManifest,
    config: Vec<u8>,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    origin: String,
    image: String,
    layers: Vec<LayerReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerReport {
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff_id: Option<String>,
    media_type: String,
    size: u64,
}

impl Inspect {
    /// Reads the image that is meant, where it is.
    pub(super) async fn whole(&self, context: &Context, named: &Named) -> Result<Whole, CliError> {
        let selection = Selection {
            platforms: self.platform.iter().cloned().collect(),
            attestations: Attestations::Drop,
            ..Selection::default()
        };
        let origin = named.origin();
        let name = match named {
            Named::Here(name) => name,
            Named::Elsewhere(location) => {
                let transport = context.transport(&self.registry, &[location])?;
                let (place, which) = transport.open(location).ok_or_else(|| unsupported(&origin))?;
                return Whole::read(&place, &which, &selection, origin).await;
            }
        };
        let store = context.store()?;
        let record = load(&store, name).await?;
        if record.image().is_some() {
            let which = record.encoded().digest.into();
            return Whole::read(&pool(&store), &which, &selection, origin).await;
        }
        let chosen = choose(record.list()?.entries().to_vec(), &selection, &origin)?;
        // A choice is of one entry, or an error.
        let digest = chosen.first().map_or(record.encoded().digest, |entry| entry.digest);
        let source = record.sources().place_of(&digest).ok_or(PublishError::NoSource(digest))?;
        let place = self.place(context, &store, source)?;
        // The list says what it is for, whatever its configuration says.
        let any = Selection { platforms: Vec::new(), ..selection };
        Whole::read(&place, &digest.into(), &any, origin).await
    }

    fn place(&self, context: &Context, store: &Store, source: &Source) -> Result<Place, CliError> {
        if source.place == Source::HERE {
            return Ok(pool(store));
        }
        let refused = |error| PublishError::Place(source.place.clone(), error);
        let location: Location = source.place.parse().map_err(refused)?;
        let transport = context.transport(&self.registry, &[&location])?;
        transport.open(&location).map(|(place, _)| place).ok_or_else(|| unsupported(&source.place))
    }
}

fn unsupported(text: &str) -> CliError {
    PublishError::Place(text.to_owned(), LocationError::Unsupported(Source::HERE.to_owned())).into()
}

impl Whole {
    async fn read(
        place: &Place,
        which: &Which,
        selection: &Selection,
        origin: String,
    ) -> Result<Self, CliError> {
        let resolved = resolve(place, which, selection, &origin).await?;
        let fetched = match resolved.entries.first().filter(|_| resolved.was_list) {
            Some(entry) => place.manifest(&entry.digest.into()).await?,
            None => resolved.fetched,
        };
        let Document::Image(image) = fetched.document else {
            let message = format!("{origin} has no image in it");
            return Err(CliError::Misuse(message, "--config and --layers are for images"));
        };
        let config = place.config(&image.config).await?.to_vec();
        Ok(Self { origin, digest: fetched.digest, image, config })
    }

    /// Prints the configuration, to the byte.
    pub(super) fn print_config(&self, context: &Context) -> Result<(), CliError> {
        Ok(context.ui.raw(&self.config)?)
    }

    /// Prints the layers, each with both of its digests.
    pub(super) fn print_layers(&self, context: &Context) -> Result<(), CliError> {
        let mut ids = self.image.layers_with_ids(&self.config).map(|(_, id)| id);
        let layers: Vec<_> =
            self.image.layers.iter().map(|layer| LayerReport::new(layer, ids.next())).collect();
        let mut rows = vec![["DIGEST", "DIFF ID", "SIZE", "TYPE"].map(str::to_owned).to_vec()];
        rows.extend(layers.iter().map(|layer| {
            let diff_id = layer.diff_id.clone().unwrap_or_else(|| "-".to_owned());
            vec![layer.digest.clone(), diff_id, layer.size.to_string(), clean(&layer.media_type)]
        }));
        let (origin, image) = (self.origin.clone(), self.digest.to_string());
        let report = Report { schema: "inspect-layers/1", origin, image, layers };
        Ok(context.ui.result(&table(&rows), &report)?)
    }
}

impl LayerReport {
    fn new(layer: &Descriptor, diff_id: Option<Digest>) -> Self {
        Self {
            digest: layer.digest.to_string(),
            diff_id: diff_id.map(|id| id.to_string()),
            media_type: layer.media_type.to_string(),
            size: layer.size,
        }
    }
}
