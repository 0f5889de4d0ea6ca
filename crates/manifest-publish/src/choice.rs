//! Which images of a layout or an archive are meant.

use manifest_core::{Descriptor, Digest, Kind, ListName, Reference};
use manifest_transport::{Offer, Origin, Pick};

use crate::error::ImportError;

/// The annotation that names a manifest in `index.json`.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Which images of a layout or an archive are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "these are all the ways to choose that there are")]
pub enum Choice {
    /// The only one.
    Only,
    /// All of them.
    All,
    /// This one. A name may be written short or in full: `app` is `docker.io/library/app:latest`, and
    /// `localhost/app:latest` where no image has that name.
    One(Pick),
}

/// An image, or a list of images, that a layout or an archive offers under its names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offered {
    /// Its manifest.
    pub descriptor: Descriptor,
    /// Where it stands first, counted from 0.
    pub position: usize,
    /// Its names, as they are written there.
    pub names: Vec<String>,
    /// Whether its bytes lie there, or are made here.
    pub origin: Origin,
}

/// A name that two images have; the last one has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shadowed {
    /// The name.
    pub name: String,
    /// The image that does not have it.
    pub digest: Digest,
    /// The image that has it.
    pub by: Digest,
}

/// Names that two images have, each with the image that does not have it.
pub fn shadowed(offers: &[Offer]) -> Vec<Shadowed> {
    let one = |offer: &Offer| {
        let (name, by) = (offer.name.clone()?, offer.shadowed_by?);
        (by != offer.descriptor.digest).then_some(Shadowed { name, digest: offer.descriptor.digest, by })
    };
    offers.iter().filter_map(one).collect()
}

/// Chooses among what is offered, by position; `what` names the layout or archive in messages.
///
/// What has another media type than that of a manifest is passed over.
///
/// # Errors
/// [`ImportError::Several`] and [`ImportError::NoSuchImage`] name what there is; [`ImportError::Empty`].
pub fn choose_images(offers: &[Offer], choice: &Choice, what: &str) -> Result<Vec<Offered>, ImportError> {
    let images = images(offers);
    if images.is_empty() {
        return Err(ImportError::Empty(what.to_owned()));
    }
    let pick = match choice {
        Choice::All => return Ok(images),
        Choice::One(pick) => pick,
        Choice::Only => &Pick::Only,
    };
    let found = match pick {
        Pick::Only if images.len() > 1 => {
            return Err(ImportError::Several { what: what.to_owned(), images: shown(&images) });
        }
        Pick::Only => images.first(),
        Pick::Position(at) => {
            let there = offers.iter().find(|offer| offer.position == *at);
            there.and_then(|there| images.iter().find(|image| image.descriptor == there.descriptor))
        }
        Pick::Digest(digest) => images.iter().find(|image| image.descriptor.digest == *digest),
        Pick::Name(name) => named(&images, name),
        _ => None,
    };
    let none = || ImportError::NoSuchImage { what: format!("{what}{pick}"), images: shown(&images) };
    found.cloned().map(|image| vec![image]).ok_or_else(none)
}

/// Each image once, with all names that no other has.
fn images(offers: &[Offer]) -> Vec<Offered> {
    let mut images: Vec<Offered> = Vec::new();
    for offer in offers.iter().filter(|offer| offer.descriptor.media_type.kind() != Kind::Other) {
        if offer.shadowed_by.is_some_and(|by| by != offer.descriptor.digest) {
            continue;
        }
        let same = |image: &&mut Offered| image.descriptor.digest == offer.descriptor.digest;
        match images.iter_mut().find(same) {
            Some(image) => image.names.extend(offer.name.clone().filter(|name| !image.names.contains(name))),
            None => images.push(Offered {
                descriptor: offer.descriptor.clone(),
                position: offer.position,
                names: offer.name.iter().cloned().collect(),
                origin: offer.origin,
            }),
        }
    }
    images
}

/// The image of a name: of this very text, else of this name in another spelling.
fn named<'a>(images: &'a [Offered], wanted: &str) -> Option<&'a Offered> {
    let whole = |text: &str| text.parse::<Reference>().ok().map(Reference::with_default_tag);
    let local = |text: &str| text.parse::<ListName>().ok();
    // Docker keeps the whole name elsewhere and leaves the tag in the place of the name.
    let tag = |image: &Offered| image.descriptor.annotations.get(REF_NAME).cloned();
    let has = |image: &Offered, is: &dyn Fn(&str) -> bool| {
        image.names.iter().any(|name| is(name)) || tag(image).is_some_and(|tag| is(&tag))
    };
    let find = |is: &dyn Fn(&str) -> bool| images.iter().find(|image| has(image, is));
    find(&|name| name == wanted)
        .or_else(|| whole(wanted).and_then(|wanted| find(&|name| whole(name).as_ref() == Some(&wanted))))
        .or_else(|| local(wanted).and_then(|wanted| find(&|name| local(name).as_ref() == Some(&wanted))))
}

/// The images for a message: their names, or where they stand.
fn shown(images: &[Offered]) -> Vec<String> {
    let one = |image: &Offered| match image.names.as_slice() {
        [] => format!("@{} ({})", image.position, image.descriptor.digest),
        names => names.join(" = "),
    };
    images.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use manifest_core::MediaType;

    use super::*;

    /// The offers of an `index.json` with these names; images of one letter.
    fn offers(all: &[(&str, Option<&str>)]) -> Vec<Offer> {
        let layout = tempfile::tempdir().unwrap();
        let entry = |(image, name): &(&str, Option<&str>)| {
            let digest = Digest::sha256(image.as_bytes());
            let annotations = name.map_or_else(String::new, |name| {
                format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{name}"}}"#)
            });
            let media_type = MediaType::OCI_INDEX;
            format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":1{annotations}}}"#)
        };
        let entries = all.iter().map(entry).collect::<Vec<_>>().join(",");
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
        std::fs::File::create(layout.path().join("oci-layout"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, br#"{"imageLayoutVersion":"1.0.0"}"#))
            .unwrap();
        std::fs::File::create(layout.path().join("index.json"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, index.as_bytes()))
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(manifest_transport::Layout::new(layout.path()).offers()).unwrap()
    }

    fn chosen(all: &[(&str, Option<&str>)], choice: &Choice) -> Result<Vec<(usize, Vec<String>)>, String> {
        let images = choose_images(&offers(all), choice, "oci:d").map_err(|error| error.to_string())?;
        Ok(images.into_iter().map(|image| (image.position, image.names)).collect())
    }

    fn one(name: &str) -> Choice {
        Choice::One(Pick::Name(name.to_owned()))
    }

    #[test]
    fn one_image_needs_no_choice_and_several_do() {
        assert_eq!(chosen(&[("a", None)], &Choice::Only), Ok(vec![(0, vec![])]));
        let twice = [("a", Some("v1")), ("a", Some("v2"))];
        assert_eq!(chosen(&twice, &Choice::Only), Ok(vec![(0, vec!["v1".to_owned(), "v2".to_owned()])]));
        let refused = chosen(&[("a", Some("v1")), ("b", None)], &Choice::Only).unwrap_err();
        let b = Digest::sha256(b"b");
        assert_eq!(refused, format!("oci:d has 2 images: v1, @1 ({b})"));
        assert_eq!(chosen(&[], &Choice::Only).unwrap_err(), "oci:d has no images");
        assert_eq!(chosen(&[], &Choice::All).unwrap_err(), "oci:d has no images");
    }

    #[test]
    fn the_last_image_of_a_name_has_it() {
        let all = [("a", Some("v1")), ("b", Some("v1"))];
        assert_eq!(chosen(&all, &Choice::Only), Ok(vec![(1, vec!["v1".to_owned()])]));
        let found = shadowed(&offers(&all));
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        assert_eq!(found, [Shadowed { name: "v1".to_owned(), digest: a, by: b }]);
        assert_eq!(shadowed(&offers(&[("a", Some("v1")), ("a", Some("v1"))])), []);
    }

    #[test]
    fn an_image_is_chosen_by_name_position_or_digest() {
        let all = [
            ("a", Some("docker.io/library/app:latest")),
            ("b", Some("localhost/tool:latest")),
            ("c", Some("1.0")),
            ("d", None),
        ];
        for (choice, at) in [
            (one("app"), 0),
            (one("app:latest"), 0),
            (one("docker.io/library/app:latest"), 0),
            (one("tool"), 1),
            (one("localhost/tool"), 1),
            (one("1.0"), 2),
            (Choice::One(Pick::Position(3)), 3),
            (Choice::One(Pick::Digest(Digest::sha256(b"d"))), 3),
        ] {
            assert_eq!(chosen(&all, &choice).unwrap()[0].0, at, "{choice:?}");
        }
        let refused = chosen(&all, &one("other")).unwrap_err();
        assert!(
            refused.starts_with("oci:d:other does not exist; there are docker.io/library/app"),
            "{refused}"
        );
    }
}
