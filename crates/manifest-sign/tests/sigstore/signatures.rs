//! The old form: payloads, and signatures beside them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use manifest_core::{Annotations, Digest};
use manifest_sign::sigstore::{
    CERTIFICATE_ANNOTATION, CosignSignature, LOG_ANNOTATION, SIGNATURE_ANNOTATION, SigstoreVerifier,
    cosign_signature,
};
use manifest_sign::{Payload, PayloadType, Refusal, Signer as _};
use serde_json::json;

use crate::fixture::{accepting, digest, fixture, public, signer};

fn payload() -> Vec<u8> {
    Payload::new("r.test/app:1", digest()).encode(PayloadType::Cosign)
}

/// A signature with these annotations, however wrong.
fn made(payload: &[u8], annotations: &[(&str, &str)]) -> CosignSignature {
    let annotations = annotations.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let mut layer = cosign_signature(&signer("ed25519"), payload.to_vec()).unwrap().layer();
    layer.annotations = annotations.collect();
    CosignSignature::from_layer(&layer, payload.to_vec()).unwrap()
}

#[test]
fn a_signature_of_any_key_verifies_with_that_key_only() {
    assert_eq!(payload(), fixture("payload.json"));
    let all = SigstoreVerifier::new(["ecdsa", "ed25519", "rsa"].map(public));
    for name in ["ecdsa", "ed25519", "rsa"] {
        let signature = cosign_signature(&signer(name), payload()).unwrap();
        let verified = (public(name).id().clone(), Payload::new("r.test/app:1", digest()));
        assert_eq!(signature.verify(&all), Ok(verified.clone()));
        assert_eq!(signature.verify(&accepting(name)), Ok(verified));
        let others = ["ecdsa", "ed25519", "rsa"].into_iter().filter(|other| *other != name).map(public);
        let refused = signature.verify(&SigstoreVerifier::new(others)).unwrap_err();
        assert_eq!(refused.kind(), "bad", "{refused}");
        let refused = signature.verify(&SigstoreVerifier::default()).unwrap_err();
        assert_eq!(refused.kind(), "bad", "{refused}");
    }
}

#[test]
fn sec_73_a_valid_signature_over_what_is_no_payload_is_refused() {
    let text = String::from_utf8(payload()).unwrap();
    for (name, bytes) in [
        ("not JSON", "no JSON".to_owned()),
        ("empty", String::new()),
        ("another type", text.replace("cosign container image", "atomic container")),
        ("an extra member", text.replace("\"optional\"", "\"more\":1,\"optional\"")),
        ("a key twice", text.replace("\"optional\"", "\"optional\":null,\"optional\"")),
        ("deep", format!("{}{}", "[".repeat(5000), "]".repeat(5000))),
    ] {
        let signature = cosign_signature(&signer("ecdsa"), bytes.into_bytes()).unwrap();
        let refused = signature.verify(&accepting("ecdsa")).unwrap_err();
        assert_eq!(refused.kind(), "unreadable", "{name}: {refused}");
    }
}

#[test]
fn a_signature_that_is_not_as_it_must_be_is_refused() {
    let good = STANDARD.encode(signer("ecdsa").sign(&payload()).unwrap());
    let other = STANDARD.encode(signer("ecdsa").sign(b"other").unwrap());
    let certificate = (CERTIFICATE_ANNOTATION, "-----BEGIN CERTIFICATE-----");
    for (name, annotations, kind) in [
        ("none", vec![], "unreadable"),
        ("not base64", vec![(SIGNATURE_ANNOTATION, "*")], "unreadable"),
        ("a space behind", vec![(SIGNATURE_ANNOTATION, &*format!("{good} "))], "unreadable"),
        ("empty", vec![(SIGNATURE_ANNOTATION, "")], "unreadable"),
        ("too short", vec![(SIGNATURE_ANNOTATION, "AAAA")], "bad"),
        ("over other bytes", vec![(SIGNATURE_ANNOTATION, &*other)], "bad"),
        ("keyless", vec![(SIGNATURE_ANNOTATION, &*other), certificate], "unreadable"),
    ] {
        let refused = made(&payload(), &annotations).verify(&accepting("ecdsa")).unwrap_err();
        assert_eq!(refused.kind(), kind, "{name}: {refused}");
    }
    assert!(made(&payload(), &[(SIGNATURE_ANNOTATION, &good)]).verify(&accepting("ecdsa")).is_ok());
}

#[test]
fn sec_70_a_log_entry_of_another_signature_is_refused_and_its_own_proves_nothing() {
    let signature = STANDARD.encode(signer("ecdsa").sign(&payload()).unwrap());
    let entry = |signature: &str, kind: &str| {
        let body =
            json!({ "apiVersion": "0.0.1", "kind": kind, "spec": { "signature": { "content": signature } } });
        json!({ "SignedEntryTimestamp": "AAAA", "Payload": { "body": STANDARD.encode(body.to_string()) } })
            .to_string()
    };
    let verify = |key, log: &str| {
        made(&payload(), &[(SIGNATURE_ANNOTATION, &signature), (LOG_ANNOTATION, log)])
            .verify(&accepting(key))
            .map_err(|refusal| refusal.kind())
    };
    assert!(verify("ecdsa", &entry(&signature, "hashedrekord")).is_ok());
    assert_eq!(verify("rsa", &entry(&signature, "hashedrekord")), Err("bad"));
    for (name, log, kind) in [
        ("another", entry("AAAA", "hashedrekord"), "bad"),
        ("another kind", entry(&signature, "alpine"), "unreadable"),
        ("no body", json!({ "Payload": {} }).to_string(), "unreadable"),
        ("a body that is no JSON", json!({ "Payload": { "body": "AAAA" } }).to_string(), "unreadable"),
        ("empty", String::new(), "unreadable"),
        ("null", "null".to_owned(), "unreadable"),
    ] {
        assert_eq!(verify("ecdsa", &log), Err(kind), "{name}");
    }
}

#[test]
fn a_layer_is_its_content() {
    let signature = cosign_signature(&signer("ecdsa"), payload()).unwrap();
    let layer = signature.layer();
    assert_eq!(layer.media_type.as_str(), "application/vnd.dev.cosign.simplesigning.v1+json");
    assert_eq!(CosignSignature::from_layer(&layer, payload()).as_ref(), Ok(&signature));
    let (mut other_type, mut size) = (layer.clone(), layer.clone());
    other_type.media_type = "text/plain".into();
    size.size += 1;
    let mut other_digest = layer.clone();
    other_digest.digest = Digest::sha256(b"other");
    for (layer, payload, kind) in [
        (&other_type, payload(), "unreadable"),
        (&size, payload(), "bad"),
        (&other_digest, payload(), "bad"),
        (&layer, b"other".to_vec(), "bad"),
        (&layer, vec![b' '; 5 << 20], "unreadable"),
    ] {
        assert_eq!(CosignSignature::from_layer(layer, payload).unwrap_err().kind(), kind, "{layer:?}");
    }
}

#[test]
fn a_signature_in_a_directory_reads_back() {
    let signature = cosign_signature(&signer("ecdsa"), payload()).unwrap();
    let stored = signature.to_stored();
    assert!(stored.starts_with(b"\0sigstore-json\n{"));
    assert_eq!(CosignSignature::from_stored(&stored), Ok(signature));
}

#[test]
fn a_file_that_is_no_stored_signature_is_refused() {
    let empty = Annotations::new();
    let good = json!({ "mimeType": "application/vnd.dev.cosign.simplesigning.v1+json", "payload": "AAAA", "annotations": empty });
    let good = format!("\0sigstore-json\n{good}");
    assert!(CosignSignature::from_stored(good.as_bytes()).is_ok());
    for (name, file) in [
        ("empty", String::new()),
        ("an OpenPGP message", "\u{a3}\u{1}".to_owned()),
        ("another format", good.replace("sigstore-json", "other")),
        ("no line end", good.replace("json\n", "json")),
        ("cut", good[..good.len() - 1].to_owned()),
        ("something behind", format!("{good}{{}}")),
        ("a key twice", good.replace("\"payload\"", "\"payload\":\"\",\"payload\"")),
        ("more", good.replace("\"payload\"", "\"more\":1,\"payload\"")),
        ("another type", good.replace("cosign", "other")),
        ("a payload that is no base64", good.replace("AAAA", "AAA")),
        ("annotations that are a list", good.replace("{}", "[]")),
        ("annotations that are null", good.replace("{}", "null")),
        ("an annotation that is a number", good.replace("{}", "{\"a\":1}")),
    ] {
        let refused = CosignSignature::from_stored(file.as_bytes());
        assert!(matches!(refused, Err(Refusal::Unreadable(_))), "{name}: {refused:?}");
    }
}
