//! Simple signatures in a lookaside store: skopeo, podman and GnuPG read them.

use std::fs;
use std::process::Command;

use manifest_testkit::{Ran, Tool, program};
use serde_json::{Value, json};

use crate::scene::Scene;

/// Every signature of the list and its images, looked at by GnuPG and skopeo.
#[track_caller]
fn is_accepted(scene: &Scene, repository: &str, fingerprint: &str) {
    let reference = scene.at(&format!("{repository}:1.0"));
    for (at, found) in scene.all(repository, "1.0").iter().enumerate() {
        let [signature] = &scene.simple(repository, &found.digest)[..] else {
            panic!("{at}: {:?}", scene.simple(repository, &found.digest));
        };
        let opened = scene.gnupg.ok(&["--decrypt", &signature.display().to_string()]);
        let payload: Value = serde_json::from_str(&opened).unwrap();
        let critical = json!({
            "identity": {"docker-reference": reference},
            "image": {"docker-manifest-digest": found.digest},
            "type": "atomic container signature",
        });
        assert_eq!(payload["critical"], critical);
        assert!(payload["optional"]["timestamp"].is_i64() && payload["optional"]["creator"].is_string());
        let manifest = scene.workspace.write(&format!("manifest-{at}"), &found.bytes);
        let mut command = Command::new(program("skopeo"));
        command.env("GNUPGHOME", scene.gnupg.home()).arg("standalone-verify");
        let verified = Ran::of(command.arg(manifest).args([&reference, fingerprint]).arg(signature));
        assert!(verified.ok().contains(&found.digest), "{verified:?}");
    }
}

#[test]
fn skopeo_and_gnupg_accept_what_keys_of_gnupg_sign() {
    let scene = Scene::new();
    for (name, algorithm) in [("rsa", "rsa3072"), ("ed", "ed25519")] {
        let fingerprint = scene.gnupg.generate(name, algorithm, "");
        let to = |repository: &str| format!("docker://{}", scene.at(&format!("{repository}:1.0")));
        scene.ok(&format!("push app {} --sign-by {fingerprint}", to(&format!("{name}-by"))));
        is_accepted(&scene, &format!("{name}-by"), &fingerprint);

        let file = scene.workspace.path().join(format!("{name}.key"));
        scene.gnupg.export("--export-secret-keys", &fingerprint, "", &file);
        scene.gnupg.forget(&fingerprint);
        scene.ok(&format!("push app {} --sign-key {}", to(&format!("{name}-key")), file.display()));
        is_accepted(&scene, &format!("{name}-key"), &fingerprint);
    }
}

#[test]
fn a_passphrase_opens_a_key_of_gnupg_and_one_in_a_file() {
    let scene = Scene::new();
    let fingerprint = scene.gnupg.generate("locked", "ed25519", "open sesame");
    let file = scene.workspace.path().join("locked.key");
    scene.gnupg.export("--export-secret-keys", &fingerprint, "open sesame", &file);
    let right = scene.workspace.write("right", "open sesame\n");
    let wrong = scene.workspace.write("wrong", "open barley\n");
    // The agent must not know the passphrase from making the key.
    Ran::of(Command::new("gpgconf").env("GNUPGHOME", scene.gnupg.home()).args(["--kill", "all"])).ok();
    for (at, key) in
        [format!("--sign-by {fingerprint}"), format!("--sign-key {}", file.display())].iter().enumerate()
    {
        let repository = format!("locked{at}");
        let push = |passphrase: &std::path::Path| {
            let target = format!("docker://{}", scene.at(&format!("{repository}:1.0")));
            scene.run(&format!("push app {target} {key} --sign-passphrase-file {}", passphrase.display()))
        };
        let before = scene.registry.requests().len();
        let refused = push(&wrong);
        assert!(refused.fails(6).contains("passphrase"), "{refused:?}");
        assert_eq!(scene.registry.requests().len(), before, "something was sent");
        push(&right).ok();
        is_accepted(&scene, &repository, &fingerprint);
    }
}

#[test]
fn podman_pulls_what_we_signed_under_a_policy_and_nothing_else() {
    let scene = Scene::new();
    let fingerprint = scene.gnupg.generate("rsa", "rsa3072", "");
    let target = |repository: &str| format!("docker://{}", scene.at(&format!("{repository}:1.0")));
    scene.ok(&format!("push app {} --sign-by {fingerprint}", target("signed")));
    scene.ok(&format!("push app {}", target("unsigned")));
    // A list that is signed alone is of no use to who pulls a child.
    scene.ok(&format!("push app {} --sign-by {fingerprint} --sign-children=false", target("alone")));

    let podman = Tool::new("podman");
    let public = podman.home().join("release.gpg");
    scene.gnupg.export("--export", &fingerprint, "", &public);
    let signed = json!([{"type": "signedBy", "keyType": "GPGKeys", "keyPath": public}]);
    let policy = json!({
        "default": [{"type": "reject"}],
        "transports": {"docker": {scene.registry.address(): signed}},
    });
    fs::write(podman.policy(), policy.to_string()).unwrap();
    let lookaside = scene.workspace.path().join("lookaside");
    let yaml = format!("default-docker:\n  lookaside: file://{}\n", lookaside.display());
    fs::write(podman.config().join("registries.d/default.yaml"), yaml).unwrap();
    let pull = |repository: &str| {
        let mut command = podman.command();
        command.args(["pull", "--tls-verify=false", "--signature-policy"]).arg(podman.policy());
        Ran::of(command.arg(target(repository)))
    };
    pull("signed").ok();
    for repository in ["unsigned", "alone"] {
        let refused = pull(repository);
        assert!(
            refused.fails(125).contains("A signature was required, but no signature exists"),
            "{refused:?}"
        );
    }
}

#[test]
fn signing_again_adds_nothing_and_says_so() {
    let scene = Scene::new();
    let (one, two) = (scene.gnupg.generate("one", "ed25519", ""), scene.gnupg.generate("two", "ed25519", ""));
    let target = format!("docker://{}", scene.at("again:1.0"));
    let first = scene.run(&format!("push app {target} --sign-by {one}"));
    assert!(first.ok().starts_with("sha256:") && first.stderr.contains("3 signatures written"), "{first:?}");
    for line in [format!("push app {target} --sign-by {one}"), format!("sign app --sign-by {one}")] {
        let again = scene.run(&line);
        again.ok();
        assert!(again.stderr.contains("nothing to sign, 3 signatures already there"), "{again:?}");
    }
    let both = scene.run(&format!("sign {target} --sign-by {one} --sign-by {two}"));
    both.ok();
    assert!(both.stderr.contains("3 signatures written, 3 already there"), "{both:?}");
    for found in scene.all("again", "1.0") {
        assert_eq!(scene.simple("again", &found.digest).len(), 2);
    }
    let removed = scene.run(&format!("sign --remove-signatures {target}"));
    removed.ok();
    assert!(removed.stderr.contains("6 signatures removed"), "{removed:?}");
    for found in scene.all("again", "1.0") {
        assert!(scene.simple("again", &found.digest).is_empty());
    }
}
