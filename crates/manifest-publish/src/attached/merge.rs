//! Two manifests of signatures made one, as cosign would have made it: a layer for each signature.

use bytes::Bytes;
use manifest_core::{Digest, MediaType};
use serde_json::{Value, json};

/// What came of adding signatures to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// They are all there.
    Same,
    /// The manifest and the configuration of both.
    Document { manifest: Bytes, config: Bytes },
}

/// Adds the layers of `ours` that `theirs` lacks behind its own; each is a manifest with its configuration.
///
/// `None` when one of them is not of the form: a JSON object with as many diff IDs as there are layers. Members that
/// nobody knows stay as they are in `theirs`.
pub(super) fn merge(theirs: (&[u8], &[u8]), ours: (&[u8], &[u8])) -> Option<Merged> {
    let (mut theirs, ours) = (Signatures::read(theirs)?, Signatures::read(ours)?);
    let before = theirs.layers()?.len();
    for (at, layer) in ours.layers()?.iter().enumerate() {
        if !theirs.layers()?.contains(layer) {
            theirs.manifest.get_mut("layers")?.as_array_mut()?.push(layer.clone());
            let diff_id = ours.config.pointer("/rootfs/diff_ids")?.get(at)?.clone();
            theirs.config.pointer_mut("/rootfs/diff_ids")?.as_array_mut()?.push(diff_id);
            if let Some(history) = theirs.config.get_mut("history").and_then(Value::as_array_mut) {
                let of_it = ours.config.get("history").and_then(|history| history.get(at));
                history.push(of_it.cloned().unwrap_or_else(|| json!({})));
            }
        }
    }
    if theirs.layers()?.len() == before {
        return Some(Merged::Same);
    }
    let config = serde_json::to_vec(&theirs.config).ok()?;
    let described = theirs.manifest.get_mut("config")?.as_object_mut()?;
    described.insert("mediaType".to_owned(), json!(MediaType::OCI_CONFIG));
    described.insert("digest".to_owned(), json!(Digest::sha256(&config)));
    described.insert("size".to_owned(), json!(config.len()));
    let manifest = serde_json::to_vec(&theirs.manifest).ok()?;
    Some(Merged::Document { manifest: manifest.into(), config: config.into() })
}

/// A manifest of signatures.
struct Signatures {
    manifest: Value,
    config: Value,
}

impl Signatures {
    fn read((manifest, config): (&[u8], &[u8])) -> Option<Self> {
        let read = Self {
            manifest: serde_json::from_slice(manifest).ok()?,
            config: serde_json::from_slice(config).ok()?,
        };
        let diff_ids = read.config.pointer("/rootfs/diff_ids")?.as_array()?.len();
        // An inline copy of the configuration would be that of before.
        let is_plain = read.manifest.pointer("/config/data").is_none();
        (read.layers()?.len() == diff_ids && is_plain).then_some(read)
    }

    fn layers(&self) -> Option<&Vec<Value>> {
        self.manifest.get("layers")?.as_array()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signatures(all: &[(&str, &str)]) -> (Vec<u8>, Vec<u8>) {
        let digest = |payload: &str| Digest::sha256(payload.as_bytes());
        let ids: Vec<Digest> = all.iter().map(|(payload, _)| digest(payload)).collect();
        let config = json!({ "x": 1, "rootfs": { "type": "layers", "diff_ids": ids }, "history": vec![json!({"created": "then"}); all.len()] });
        let config = config.to_string().into_bytes();
        let layer = |(payload, signature): &(&str, &str)| json!({ "digest": digest(payload), "size": payload.len(), "annotations": { "s": signature } });
        let layers: Vec<Value> = all.iter().map(layer).collect();
        let manifest = json!({ "y": 2, "config": { "digest": Digest::sha256(&config), "size": config.len() }, "layers": layers });
        (manifest.to_string().into_bytes(), config)
    }

    fn merged(theirs: &[(&str, &str)], ours: &[(&str, &str)]) -> Option<Merged> {
        let ((theirs, their_config), (ours, our_config)) = (signatures(theirs), signatures(ours));
        merge((&theirs, &their_config), (&ours, &our_config))
    }

    #[test]
    fn the_signatures_of_both_are_kept_each_once() {
        let (a, b, c) = (("p", "a"), ("p", "b"), ("q", "c"));
        for (theirs, ours, both) in [
            (&[a][..], &[b][..], Some(&[a, b][..])),
            (&[a, b], &[b, c], Some(&[a, b, c])),
            (&[a, b], &[b], None),
            (&[], &[a], Some(&[a])),
            (&[a], &[], None),
        ] {
            let merged = merged(theirs, ours).unwrap();
            let Some(both) = both else {
                assert_eq!(merged, Merged::Same);
                continue;
            };
            let Merged::Document { manifest, config } = merged else { panic!("{ours:?} is lost") };
            let (expected, expected_config) = signatures(both);
            let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
            assert_eq!(value(&config), value(&expected_config));
            assert_eq!(value(&manifest)["layers"], value(&expected)["layers"]);
            assert_eq!(value(&manifest)["y"], 2);
            assert_eq!(value(&manifest)["config"]["digest"], json!(Digest::sha256(&config)));
        }
    }

    #[test]
    fn what_is_no_list_of_signatures_is_not_merged() {
        let (good, good_config) = signatures(&[("p", "a")]);
        for (manifest, config) in [
            (&b"{}"[..], &good_config[..]),
            (&good, b"{}"),
            (&good, b"no"),
            (&good, br#"{"rootfs":{"diff_ids":[]}}"#),
        ] {
            assert_eq!(merge((manifest, config), (&good, &good_config)), None);
            assert_eq!(merge((&good, &good_config), (manifest, config)), None);
        }
    }
}
