//! What other people's programs have signed, verified by us.

use std::process::Command;

use manifest_testkit::{Ran, program};
use serde_json::Value;

use crate::scene::Scene;

/// The certificate of a key, in a file.
fn certificate(scene: &Scene, fingerprint: &str) -> String {
    let file = scene.workspace.path().join(format!("{fingerprint}.gpg"));
    scene.gnupg.export("--export", fingerprint, "", &file);
    file.display().to_string()
}

/// A verification that must succeed; the keys that vouch for each digest.
#[track_caller]
fn keys(scene: &Scene, line: &str) -> Vec<Value> {
    let report: Value = serde_json::from_str(&scene.ok(&format!("verify {line} --output json"))).unwrap();
    let verified = report["places"][0]["verified"].as_array().unwrap();
    verified.iter().map(|one| one["by"][0]["key"].clone()).collect()
}

fn skopeo(scene: &Scene) -> Command {
    let mut command = scene.workspace.command(program("skopeo"));
    command.env("GNUPGHOME", scene.gnupg.home());
    command
}

#[test]
fn what_skopeo_signs_while_it_copies_is_verified() {
    let scene = Scene::new();
    for (name, algorithm) in [("rsa", "rsa3072"), ("ed", "ed25519")] {
        let fingerprint = scene.gnupg.generate(name, algorithm, "");
        let to = format!("docker://{}", scene.at(&format!("{name}:1.0")));
        let from = format!("docker://{}", scene.at("source:v1"));
        let policy = scene.workspace.write("any.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
        let mut copy = skopeo(&scene);
        copy.arg("--policy").arg(policy).args(["copy", "--all", "--src-tls-verify=false"]);
        copy.args(["--dest-tls-verify=false", "--sign-by", &fingerprint, &from, &to]);
        Ran::of(&mut copy).ok();
        let line = format!("{to} --key {}", certificate(&scene, &fingerprint));
        let vouching = keys(&scene, &line);
        assert_eq!(vouching.len(), 3);
        assert!(vouching.iter().all(|key| *key == fingerprint), "{vouching:?}");
        // The name is that of the tag, and the time is now.
        keys(&scene, &format!("{line} --identity exact --signed-after 1h"));
        let other = scene.gnupg.generate(&format!("{name}-other"), algorithm, "");
        let refused = scene.run(&format!("verify {to} --key {}", certificate(&scene, &other)));
        assert!(refused.fails(10).contains("not an accepted key"), "{refused:?}");
    }
}

#[test]
fn what_skopeo_and_gnupg_sign_by_hand_is_verified() {
    let scene = Scene::new();
    let fingerprint = scene.gnupg.generate("rsa", "rsa3072", "");
    let reference = scene.at("source:v1");
    for (at, found) in scene.all("source", "v1").iter().enumerate() {
        let directory = format!("lookaside/source@{}", found.digest.replace(':', "="));
        let signature = scene.workspace.write(&format!("{directory}/signature-1"), "");
        if at == 0 {
            let payload = format!(
                r#"{{"critical":{{"identity":{{"docker-reference":"{reference}"}},"image":{{"docker-manifest-digest":"{}"}},"type":"atomic container signature"}},"optional":{{}}}}"#,
                found.digest
            );
            let payload = scene.workspace.write("payload", payload).display().to_string();
            let to = signature.display().to_string();
            scene.gnupg.ok(&["--yes", "-u", &fingerprint, "--output", &to, "--sign", &payload]);
        } else {
            let manifest = scene.workspace.write("manifest", &found.bytes);
            let mut sign = skopeo(&scene);
            sign.arg("standalone-sign").arg(manifest).args([&reference, &fingerprint, "-o"]).arg(signature);
            Ran::of(&mut sign).ok();
        }
    }
    let line = format!("docker://{reference} --key {}", certificate(&scene, &fingerprint));
    assert_eq!(keys(&scene, &line).len(), 3);
    // The same under a policy, from a file and from the directory that is named.
    let policy = serde_json::json!({"default": [{
        "type": "signedBy", "keyType": "GPGKeys", "keyPath": certificate(&scene, &fingerprint),
    }]});
    let policy = scene.workspace.write("policy.json", policy.to_string());
    let by_policy = format!("docker://{reference} --policy {}", policy.display());
    assert_eq!(keys(&scene, &by_policy).len(), 3);
    std::fs::create_dir(scene.workspace.path().join("nothing")).unwrap();
    let nowhere = scene.workspace.path().join("home/.local/share/containers/sigstore");
    assert!(!nowhere.exists());
    scene.workspace.write("elsewhere/it.yaml", "default-docker:\n  lookaside: file:///nowhere\n");
    scene.run(&format!("verify {by_policy} --registries.d elsewhere")).fails(10);
    scene.ok(&format!("create taken --all docker://{reference} --policy {}", policy.display()));
}

/// What we sign is what we verify, in each form.
#[test]
fn our_own_signatures_are_verified_in_each_form() {
    let scene = Scene::new();
    scene.openssl("genpkey -algorithm ed25519 -out plain.pem").ok();
    scene.openssl("pkey -in plain.pem -pubout -out plain.pub").ok();
    let fingerprint = scene.gnupg.generate("rsa", "rsa3072", "");
    for (form, key, public) in [
        ("cosign", "--sign-key plain.pem --signature-format cosign".to_owned(), "plain.pub".to_owned()),
        ("bundle", "--sign-key plain.pem --signature-format bundle".to_owned(), "plain.pub".to_owned()),
        ("simple", format!("--sign-by {fingerprint}"), certificate(&scene, &fingerprint)),
    ] {
        let to = format!("docker://{}", scene.at(&format!("{form}:1.0")));
        scene.ok(&format!("push app {to} {key}"));
        assert_eq!(keys(&scene, &format!("{to} --key {public}")).len(), 3, "{form}");
        assert_eq!(keys(&scene, &format!("app --key {public}")).len(), 3, "{form}");
        let shown: Value =
            serde_json::from_str(&scene.ok(&format!("signatures {to} --output json"))).unwrap();
        let signed = shown["places"][0]["signed"].as_array().unwrap();
        assert!(signed.iter().all(|one| one["signatures"][0]["form"] == form), "{shown}");
    }
}
