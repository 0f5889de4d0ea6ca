//! The new form: statements in bundles, and the manifests that attach them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use manifest_core::{Annotations, Descriptor, Digest, MediaType};
use manifest_sign::Signer as _;
use manifest_sign::sigstore::{
    Bundle, SIGNED_PREDICATE, SigstoreSigner, Statement, StatementError, Subject, bundle_layer,
    bundle_manifest,
};
use serde_json::{Value, json};

use crate::fixture::{accepting, digest, public, signer};

fn statement() -> String {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": digest().hex() } }],
        "predicateType": SIGNED_PREDICATE,
        "predicate": {},
    })
    .to_string()
}

/// A bundle made without any of the code that is tested, but for the bare signature.
fn built(signer: &SigstoreSigner, payload: &[u8], payload_type: &str) -> Value {
    let start = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    let signature = signer.sign(&[start.as_bytes(), payload].concat()).unwrap();
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": "h" } },
        "dsseEnvelope": {
            "payload": STANDARD.encode(payload),
            "payloadType": payload_type,
            "signatures": [{ "sig": STANDARD.encode(signature), "keyid": "h" }],
        },
    })
}

fn good() -> Value {
    built(&signer("ecdsa"), statement().as_bytes(), "application/vnd.in-toto+json")
}

/// The answer to a bundle about the digest of the fixtures.
fn verify(bundle: &Value) -> Result<Statement, &'static str> {
    let bundle = Bundle::decode(bundle.to_string().as_bytes()).map_err(|refusal| refusal.kind())?;
    let verified = bundle.verify(&accepting("ecdsa"), &digest(), SIGNED_PREDICATE);
    verified.map(|(_, statement)| statement).map_err(|refusal| refusal.kind())
}

#[test]
fn a_bundle_verifies_with_its_key_and_reads_back() {
    assert!(verify(&good()).is_ok());
    for name in ["ecdsa", "ed25519", "rsa"] {
        let annotations = Annotations::from([("by".to_owned(), "me".to_owned())]);
        let subject = Subject::new(digest()).named("app").annotated(annotations);
        let bundle = Bundle::sign(&signer(name), &Statement::signed(subject.clone())).unwrap();
        let read = Bundle::decode(&bundle.encode()).unwrap();
        assert_eq!(read, bundle);
        let (key, statement) = read.verify(&accepting(name), &digest(), SIGNED_PREDICATE).unwrap();
        assert_eq!(&key, public(name).id());
        assert_eq!((statement.subjects(), statement.predicate()), (&[subject][..], "{}"));
        let other = if name == "rsa" { "ecdsa" } else { "rsa" };
        let refused = read.verify(&accepting(other), &digest(), SIGNED_PREDICATE).unwrap_err();
        assert_eq!(refused.kind(), "unknown-key", "{refused}");
    }
}

#[test]
fn what_is_written_has_the_shape_of_version_0_3() {
    let signer = signer("ed25519");
    let bundle = Bundle::sign(&signer, &Statement::signed(Subject::new(digest()))).unwrap();
    let written: Value = serde_json::from_slice(&bundle.encode()).unwrap();
    let signature = &written["dsseEnvelope"]["signatures"][0]["sig"];
    let id = signer.key().as_str();
    assert_eq!(
        written,
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": { "publicKey": { "hint": id }, "tlogEntries": [] },
            "dsseEnvelope": {
                "payload": STANDARD.encode(Statement::signed(Subject::new(digest())).encode()),
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{ "sig": signature, "keyid": id }],
            },
        })
    );
    let payload: Value = serde_json::from_slice(&Statement::signed(Subject::new(digest())).encode()).unwrap();
    assert_eq!(payload.to_string(), serde_json::from_str::<Value>(&statement()).unwrap().to_string());
}

#[test]
fn a_bundle_that_is_not_as_it_must_be_is_refused() {
    let with = |at: &str, new: Value| {
        let mut bundle = good();
        let (parent, name) = at.rsplit_once('/').unwrap();
        bundle.pointer_mut(parent).unwrap()[name] = new;
        bundle
    };
    let twice = good()["dsseEnvelope"]["signatures"][0].clone();
    let certificate = json!({ "certificate": { "rawBytes": "AAAA" }, "tlogEntries": [{}] });
    let entry = |signature: &Value| {
        let body = json!({ "apiVersion": "0.0.1", "kind": "dsse", "spec": { "signatures": [{ "signature": signature }] } });
        json!([{ "canonicalizedBody": STANDARD.encode(body.to_string()) }])
    };
    for (name, bundle, kind) in [
        (
            "another version",
            with("/mediaType", json!("application/vnd.dev.sigstore.bundle.v0.2+json")),
            "unreadable",
        ),
        ("an unknown member", with("/more", json!(1)), "unreadable"),
        ("unknown material", with("/verificationMaterial/more", json!({})), "unreadable"),
        ("an unknown member of the envelope", with("/dsseEnvelope/more", json!(1)), "unreadable"),
        ("bytes that are signed", with("/messageSignature", json!({})), "unreadable"),
        ("no envelope", with("/dsseEnvelope", json!(null)), "unreadable"),
        ("no material", with("/verificationMaterial", json!({})), "unreadable"),
        ("a certificate", with("/verificationMaterial", certificate), "unreadable"),
        ("a certificate beside a key", with("/verificationMaterial/certificate", json!({})), "unreadable"),
        (
            "SEC-74: no certificate in a chain",
            with("/verificationMaterial", json!({ "x509CertificateChain": { "certificates": [] } })),
            "unreadable",
        ),
        (
            "SEC-74: a chain that is a list",
            with("/verificationMaterial", json!({ "x509CertificateChain": [] })),
            "unreadable",
        ),
        ("no signature", with("/dsseEnvelope/signatures", json!([])), "unreadable"),
        ("two signatures", with("/dsseEnvelope/signatures", json!([twice, twice])), "unreadable"),
        ("signatures that are an object", with("/dsseEnvelope/signatures", twice.clone()), "unreadable"),
        ("a signature that is text", with("/dsseEnvelope/signatures", json!(["AAAA"])), "unreadable"),
        (
            "a signature with more",
            with("/dsseEnvelope/signatures", json!([{ "sig": "AAAA", "alg": "none" }])),
            "unreadable",
        ),
        (
            "a signature that is no base64",
            with("/dsseEnvelope/signatures", json!([{ "sig": "*" }])),
            "unreadable",
        ),
        ("another keyid", with("/verificationMaterial/publicKey", json!({ "hint": "other" })), "unreadable"),
        ("a keyid without a hint", with("/verificationMaterial/publicKey", json!({})), "unreadable"),
        ("another payload type", with("/dsseEnvelope/payloadType", json!("text/plain")), "unreadable"),
        ("a payload that is no base64", with("/dsseEnvelope/payload", json!("*")), "unreadable"),
        ("another payload", with("/dsseEnvelope/payload", json!("AAAA")), "unknown-key"),
        ("an empty payload", with("/dsseEnvelope/payload", json!("")), "unknown-key"),
        (
            "SEC-70: an entry of another signature",
            with("/verificationMaterial/tlogEntries", entry(&json!("AAAA"))),
            "bad",
        ),
        ("SEC-74: an empty entry", with("/verificationMaterial/tlogEntries", json!([{}])), "unreadable"),
        ("entries that are an object", with("/verificationMaterial/tlogEntries", json!({})), "unreadable"),
    ] {
        assert_eq!(verify(&bundle).map(drop), Err(kind), "{name}: {bundle}");
    }
    let own = entry(&good()["dsseEnvelope"]["signatures"][0]["sig"]);
    let mut logged = good();
    logged["verificationMaterial"]["tlogEntries"] = own;
    assert_eq!(verify(&logged).map(drop), Err("bad"), "ECDSA signs otherwise each time");
    logged["verificationMaterial"]["tlogEntries"] = entry(&logged["dsseEnvelope"]["signatures"][0]["sig"]);
    assert!(verify(&logged).is_ok());
    let text = good().to_string();
    for (name, text) in [
        ("a key twice", text.replace("\"mediaType\"", "\"mediaType\":1,\"mediaType\"")),
        ("cut", text[..text.len() - 1].to_owned()),
        ("something behind", format!("{text}{{}}")),
        ("a list", format!("[{text}]")),
        ("deep", "{\"a\":".repeat(5000)),
        ("empty", String::new()),
        ("large", " ".repeat(9 << 20)),
    ] {
        assert_eq!(Bundle::decode(text.as_bytes()).unwrap_err().kind(), "unreadable", "{name}");
    }
}

/// SEC-71.
#[test]
fn sec_71_a_valid_signature_over_another_statement_is_refused() {
    let statement = statement();
    let digest = digest().hex();
    for (name, payload, kind) in [
        ("SEC-73: not JSON", "no JSON".to_owned(), "unreadable"),
        ("a list", format!("[{statement}]"), "unreadable"),
        ("a key twice", statement.replace("\"subject\"", "\"subject\":[],\"subject\""), "unreadable"),
        ("an unknown member", statement.replace("\"subject\"", "\"more\":[],\"subject\""), "unreadable"),
        ("another type", statement.replace("Statement/v1", "Statement/v2"), "unreadable"),
        ("another predicate", statement.replace("cosign/sign", "cosign/other"), "bad"),
        ("another subject", statement.replace(&digest, &Digest::sha256(b"other").hex()), "bad"),
        ("no subject", statement.replace(&format!("{{\"digest\":{{\"sha256\":\"{digest}\"}}}}"), ""), "bad"),
        ("another algorithm", statement.replace("\"sha256\"", "\"sha1\""), "bad"),
        ("a digest that is none", statement.replace(&digest, "12"), "unreadable"),
        ("a digest in capitals", statement.replace(&digest, &digest.to_uppercase()), "unreadable"),
        ("a digest that is a list", statement.replace(&format!("\"{digest}\""), "[]"), "unreadable"),
        ("a subject that is text", statement.replace("\"subject\":[", "\"subject\":[\"a\","), "unreadable"),
        ("no predicate", statement.replace("\"predicate\":{},", ""), "unreadable"),
    ] {
        assert_ne!(payload, statement, "{name}");
        let bundle = built(&signer("ecdsa"), payload.as_bytes(), "application/vnd.in-toto+json");
        assert_eq!(verify(&bundle).map(drop), Err(kind), "{name}: {payload}");
    }
}

#[test]
fn a_signature_over_the_bare_statement_or_for_another_type_is_not_one() {
    let mut bare = good();
    let signature = signer("ecdsa").sign(statement().as_bytes()).unwrap();
    bare["dsseEnvelope"]["signatures"][0]["sig"] = json!(STANDARD.encode(signature));
    assert_eq!(verify(&bare).map(drop), Err("unknown-key"));
    let mut other = built(&signer("ecdsa"), statement().as_bytes(), "text/plain");
    other["dsseEnvelope"]["payloadType"] = json!("application/vnd.in-toto+json");
    assert_eq!(verify(&other).map(drop), Err("unknown-key"));
}

#[test]
fn a_bad_signature_that_names_an_accepted_key_is_bad_and_not_unknown() {
    let key = public("ecdsa");
    let base64 = STANDARD.encode(hex(key.id().as_str()));
    for hint in [key.id().as_str(), &base64] {
        let mut bundle = built(&signer("rsa"), statement().as_bytes(), "application/vnd.in-toto+json");
        bundle["verificationMaterial"]["publicKey"]["hint"] = json!(hint);
        bundle["dsseEnvelope"]["signatures"][0]["keyid"] = json!(hint);
        assert_eq!(verify(&bundle).map(drop), Err("bad"));
    }
}

fn hex(text: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

#[test]
fn any_predicate_is_kept_as_it_was_written() {
    for predicate in ["{\"a\": [1.10, 123456789012345678901234567890]}", "null", "[]", "\"text\""] {
        let kind = "https://example.test/predicate/v1";
        let subjects = vec![Subject::new(Digest::sha256(b"other")), Subject::new(digest()).named("app")];
        let statement = Statement::new(subjects, kind, predicate.as_bytes()).unwrap();
        let bundle = Bundle::sign(&signer("ecdsa"), &statement).unwrap();
        let (_, read) = bundle.verify(&accepting("ecdsa"), &digest(), kind).unwrap();
        assert_eq!((read.predicate(), read.predicate_type()), (predicate, kind));
        assert_eq!(bundle.unverified().unwrap().subjects(), statement.subjects());
        let refused = bundle.verify(&accepting("ecdsa"), &digest(), SIGNED_PREDICATE).unwrap_err();
        assert_eq!(refused.kind(), "bad");
    }
    let of =
        |subjects, kind, predicate: &str| Statement::new(subjects, kind, predicate.as_bytes()).unwrap_err();
    let subject = || vec![Subject::new(digest())];
    assert_eq!(of(vec![], "t", "{}"), StatementError::NoSubject);
    assert_eq!(of(subject(), "", "{}"), StatementError::NoType);
    for predicate in ["", "{", "{}{}", "{\"a\":1,\"a\":2}"] {
        assert!(matches!(of(subject(), "t", predicate), StatementError::Predicate(_)), "{predicate:?}");
    }
}

#[test]
fn the_manifest_of_a_bundle_attaches_it_to_one_subject() {
    let subject = Descriptor::new(MediaType::OCI_INDEX, digest(), 7);
    let manifest = bundle_manifest(&subject, b"bundle", SIGNED_PREDICATE, Some("2026-01-02T03:04:05Z"));
    let value: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(
        value,
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "config": {
                "mediaType": "application/vnd.oci.empty.v1+json",
                "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
                "size": 2,
            },
            "layers": [{
                "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "digest": Digest::sha256(b"bundle"),
                "size": 6,
            }],
            "subject": { "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest(), "size": 7 },
            "annotations": {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
                "org.opencontainers.image.created": "2026-01-02T03:04:05Z",
            },
        })
    );
    assert_eq!(bundle_layer(&manifest, &digest()).unwrap().digest, Digest::sha256(b"bundle"));
    let with = |name: &str, new: Value| {
        let mut value = value.clone();
        value[name] = new;
        value.to_string()
    };
    let layer = &value["layers"][0];
    for (name, manifest, kind) in [
        ("no subject", with("subject", json!(null)), "bad"),
        ("another artifact", with("artifactType", json!("a/b")), "unreadable"),
        ("no layer", with("layers", json!([])), "unreadable"),
        ("two layers", with("layers", json!([layer, layer])), "unreadable"),
        (
            "another layer",
            with("layers", json!([{ "mediaType": "a/b", "digest": digest(), "size": 0 }])),
            "unreadable",
        ),
        ("no manifest", "{}".to_owned(), "unreadable"),
    ] {
        assert_eq!(bundle_layer(manifest.as_bytes(), &digest()).unwrap_err().kind(), kind, "{name}");
    }
    assert_eq!(bundle_layer(&manifest, &Digest::sha256(b"other")).unwrap_err().kind(), "bad");
}
