//! Signatures as bundles that refer to what is signed: openssl verifies them, and a reader written from the specification
//! alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::attached::verify;
use crate::scene::Scene;

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
const STATEMENT: &str = "application/vnd.in-toto+json";

/// The only bundle that refers to a manifest, found by the tag that stands in for the API.
#[track_caller]
fn read(scene: &Scene, digest: &str, media_type: &Value, size: usize) -> Value {
    let index = scene.manifest("bundles", &digest.replace(':', "-")).json;
    let listed = index["manifests"].as_array().unwrap();
    let [entry] = &listed[..] else { panic!("{index}") };
    assert_eq!(entry["artifactType"], BUNDLE);
    let manifest = scene.manifest("bundles", entry["digest"].as_str().unwrap()).json;
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["artifactType"], BUNDLE);
    assert_eq!(manifest["subject"], json!({"mediaType": media_type, "digest": digest, "size": size}));
    let config = &manifest["config"];
    assert_eq!(config["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(config["digest"], "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    assert_eq!(config["size"], 2);
    let annotations = &manifest["annotations"];
    assert_eq!(annotations["dev.sigstore.bundle.content"], "dsse-envelope");
    assert_eq!(annotations["dev.sigstore.bundle.predicateType"], PREDICATE);
    assert!(annotations["org.opencontainers.image.created"].is_string());
    let [layer] = &manifest["layers"].as_array().unwrap()[..] else { panic!("{manifest}") };
    assert_eq!(layer["mediaType"], BUNDLE);
    serde_json::from_slice(&scene.blob("bundles", layer["digest"].as_str().unwrap())).unwrap()
}

#[test]
fn openssl_and_a_reader_of_the_specification_accept_bundles() {
    let scene = Scene::new();
    scene.ok("key generate --no-passphrase --output-prefix k");
    let target = format!("docker://{}", scene.at("bundles:1.0"));
    scene.ok(&format!("push app {target} --sign-key k.key --signature-format bundle"));
    for found in scene.all("bundles", "1.0") {
        let bundle = read(&scene, &found.digest, &found.json["mediaType"], found.bytes.len());
        assert_eq!(bundle["mediaType"], BUNDLE);
        let envelope = &bundle["dsseEnvelope"];
        assert_eq!(envelope["payloadType"], STATEMENT);
        let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
        let [signature] = &envelope["signatures"].as_array().unwrap()[..] else { panic!("{bundle}") };
        let hint = &bundle["verificationMaterial"]["publicKey"]["hint"];
        assert!(hint.is_string());
        assert!(signature.get("keyid").is_none_or(|keyid| keyid == hint), "{bundle}");
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(statement["predicateType"], PREDICATE);
        let hex = found.digest.strip_prefix("sha256:").unwrap();
        assert_eq!(statement["subject"][0]["digest"], json!({"sha256": hex}));
        let mut signed = format!("DSSEv1 {} {STATEMENT} {} ", STATEMENT.len(), payload.len()).into_bytes();
        signed.extend_from_slice(&payload);
        let signature = STANDARD.decode(signature["sig"].as_str().unwrap()).unwrap();
        verify(&scene, "ecdsa", "k.pub", &signed, &signature);
    }
}
