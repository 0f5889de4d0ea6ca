//! Attachments.

use manifest_core::Digest;
use manifest_sign::sigstore::{Added, Attachment, CosignSignature, cosign_signature};
use manifest_sign::{Payload, PayloadType};
use serde_json::{Value, json};

use crate::fixture::{digest, signer};

fn signature(name: &str) -> CosignSignature {
    cosign_signature(&signer(name), Payload::new("r.test/app:1", digest()).encode(PayloadType::Cosign))
        .unwrap()
}

fn values(attachment: &Attachment) -> (Value, Value) {
    let (manifest, config) = attachment.encode();
    (serde_json::from_slice(&manifest).unwrap(), serde_json::from_slice(&config).unwrap())
}

#[test]
fn a_new_attachment_is_what_others_write() {
    let signature = signature("ecdsa");
    let mut attachment = Attachment::new();
    assert_eq!(attachment.add(&signature), Added::Appended);
    let (manifest, config) = values(&attachment);
    let payload = Digest::sha256(signature.payload());
    assert_eq!(
        config,
        json!({ "architecture": "", "os": "", "config": {}, "rootfs": { "type": "layers", "diff_ids": [payload] } })
    );
    let config = attachment.encode().1;
    assert_eq!(
        manifest,
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": Digest::sha256(&config),
                "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "digest": payload,
                "size": signature.payload().len(),
                "annotations": signature.annotations(),
            }],
        })
    );
}

#[test]
fn a_signature_is_added_behind_the_others_and_only_once() {
    let (one, two) = (signature("ecdsa"), signature("rsa"));
    let mut attachment = Attachment::new();
    attachment.add(&one);
    let (manifest, config) = attachment.encode();
    let mut again = Attachment::read(&manifest, &config).unwrap();
    assert_eq!(again.add(&one), Added::Unchanged);
    assert_eq!(again.encode(), (manifest, config));
    assert_eq!(again.add(&two), Added::Appended);
    assert_eq!(again.add(&two), Added::Unchanged);
    assert_eq!(again.signatures(), [one.layer(), two.layer()]);
    let (manifest, config) = again.encode();
    assert_eq!(Attachment::signatures_in(&manifest).unwrap(), again.signatures());
    assert_eq!(Attachment::read(&manifest, &config).unwrap().signatures(), again.signatures());
}

#[test]
fn what_nobody_knows_stays_and_what_is_lacking_is_written() {
    let one = signature("ecdsa").layer();
    let layer = json!({ "mediaType": one.media_type, "digest": one.digest, "size": one.size, "annotations": one.annotations, "z": 1 });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "y": [2], "layers": [layer],
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::sha256(b"{}"), "size": 2, "data": "e30=" },
    });
    for (config, kept) in [
        (json!({}), json!({})),
        (
            json!({ "created": "then", "history": [{ "created": "then" }] }),
            json!({ "created": "then", "history": [{ "created": "then" }, {}] }),
        ),
    ] {
        let mut attachment =
            Attachment::read(manifest.to_string().as_bytes(), config.to_string().as_bytes()).unwrap();
        let two = signature("rsa");
        attachment.add(&two);
        let (written, config) = values(&attachment);
        assert_eq!((&written["y"], &written["layers"][0]), (&json!([2]), &layer));
        assert_eq!(written["config"].get("data"), None);
        assert_eq!(config["rootfs"]["diff_ids"], json!([one.digest, two.layer().digest]));
        for (name, value) in kept.as_object().unwrap() {
            assert_eq!(&config[name], value);
        }
    }
}

#[test]
fn what_is_no_attachment_is_refused() {
    let (good, config) = Attachment::new().encode();
    let text = String::from_utf8(good).unwrap();
    assert!(Attachment::read(text.as_bytes(), &config).is_ok());
    let layer = r#"{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;
    for (name, manifest) in [
        ("empty", String::new()),
        ("an array", "[]".to_owned()),
        (
            "a list",
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#
                .to_owned(),
        ),
        ("a key twice", text.replace("\"layers\"", "\"layers\":[],\"layers\"")),
        ("layers that are an object", text.replace("\"layers\":[]", "\"layers\":{}")),
        (
            "a layer without a digest",
            text.replace("\"layers\":[]", "\"layers\":[{\"mediaType\":\"a/b\",\"size\":1}]"),
        ),
        (
            "an annotation that is a number",
            text.replace(
                "\"layers\":[]",
                &format!("\"layers\":[{}]", layer.replace("\"size\"", "\"annotations\":{\"a\":1},\"size\"")),
            ),
        ),
        (
            "a thousand layers, five times",
            text.replace("\"layers\":[]", &format!("\"layers\":[{}]", vec![layer; 5000].join(","))),
        ),
        ("cut", text[..text.len() - 1].to_owned()),
    ] {
        let refused = Attachment::read(manifest.as_bytes(), &config).map(drop).unwrap_err();
        assert_eq!(refused.kind(), "unreadable", "{name}: {refused}");
        assert!(Attachment::signatures_in(manifest.as_bytes()).is_err(), "{name}");
    }
}
