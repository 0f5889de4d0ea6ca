//! Signatures in the form of cosign: openssl verifies them, and a reader written from the specification alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use manifest_testkit::Ran;
use serde_json::{Value, json};

use crate::scene::Scene;

/// The keys of an object, in their order.
fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Verifies bytes with a public key in PEM.
#[track_caller]
pub fn verify(scene: &Scene, kind: &str, public: &str, bytes: &[u8], signature: &[u8]) -> Ran {
    scene.workspace.write("message", bytes);
    scene.workspace.write("signature", signature);
    let verified = match kind {
        "ed25519" => scene.openssl(&format!(
            "pkeyutl -verify -pubin -inkey {public} -rawin -in message -sigfile signature"
        )),
        _ => scene.openssl(&format!("dgst -sha256 -verify {public} -signature signature message")),
    };
    verified.ok();
    verified
}

/// Reads what is attached to a manifest: the payload and the signature of the only layer.
#[track_caller]
fn read(scene: &Scene, repository: &str, digest: &str) -> (Vec<u8>, Vec<u8>) {
    let found = scene.manifest(repository, &format!("{}.sig", digest.replace(':', "-")));
    let manifest = &found.json;
    assert_eq!(manifest["schemaVersion"], 2);
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
    let layers = manifest["layers"].as_array().unwrap();
    let [layer] = &layers[..] else { panic!("{manifest}") };
    assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
    let config = scene.blob(repository, manifest["config"]["digest"].as_str().unwrap());
    assert_eq!(manifest["config"]["size"], config.len());
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["rootfs"], json!({"type": "layers", "diff_ids": [layer["digest"]]}));
    let payload = scene.blob(repository, layer["digest"].as_str().unwrap());
    assert_eq!(layer["size"], payload.len());
    assert_eq!(keys(&layer["annotations"]), ["dev.cosignproject.cosign/signature"]);
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
    (payload, STANDARD.decode(signature).unwrap())
}

#[test]
fn openssl_and_a_reader_of_the_specification_accept_what_cosign_keys_sign() {
    let scene = Scene::new();
    for kind in ["ecdsa", "rsa", "ed25519"] {
        scene.ok(&format!("key generate --type {kind} --no-passphrase --output-prefix {kind}"));
        let target = format!("docker://{}", scene.at(&format!("{kind}:1.0")));
        let flag = if kind == "rsa" { "--sign-by-sigstore-private-key" } else { "--sign-key" };
        scene.ok(&format!("push app {target} {flag} {kind}.key"));
        for found in scene.all(kind, "1.0") {
            let (payload, signature) = read(&scene, kind, &found.digest);
            verify(&scene, kind, &format!("{kind}.pub"), &payload, &signature);
            let said: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(keys(&said), ["critical", "optional"]);
            let critical = json!({
                "identity": {"docker-reference": scene.at(&format!("{kind}:1.0"))},
                "image": {"docker-manifest-digest": found.digest},
                "type": "cosign container image signature",
            });
            assert_eq!(said["critical"], critical);
            assert!(said["optional"].is_object());
        }
    }
}

#[test]
fn a_signature_says_what_it_is_told_to_say() {
    let scene = Scene::new();
    scene.ok("key generate --no-passphrase --output-prefix k");
    let target = format!("docker://{}", scene.at("said:1.0"));
    scene.ok(&format!("push app {target} --sign-key k.key --sign-identity registry.example.com/app:1.0"));
    for found in scene.all("said", "1.0") {
        let (payload, _) = read(&scene, "said", &found.digest);
        let said: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(said["critical"]["identity"]["docker-reference"], "registry.example.com/app:1.0");
    }
}
