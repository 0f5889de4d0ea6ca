//! Signatures in a directory (`dir:`), beside the images: skopeo verifies them, and copies by a policy that wants them.

use std::fs;
use std::process::Command;

use manifest_testkit::{Ran, Tool, program};
use serde_json::json;

use crate::scene::Scene;

#[test]
fn skopeo_accepts_simple_signatures_in_a_directory() {
    let scene = Scene::new();
    let fingerprint = scene.gnupg.generate("rsa", "rsa3072", "");
    let (dir, name) = (scene.workspace.path().join("images"), "registry.example.com/app:1.0");
    let target = format!("dir:{}", dir.display());
    let refused = scene.run(&format!("push app {target} --sign-by {fingerprint}"));
    assert!(refused.fails(2).contains("--sign-identity"), "{refused:?}");
    scene.ok(&format!("push app {target} --sign-by {fingerprint} --sign-identity {name}"));

    let mut signed = 0;
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let Some(of) = path.to_str().unwrap().strip_suffix("manifest.json") else { continue };
        let mut command = Command::new(program("skopeo"));
        command.env("GNUPGHOME", scene.gnupg.home()).arg("standalone-verify").arg(&path);
        Ran::of(command.args([name, &fingerprint, &format!("{of}signature-1")])).ok();
        signed += 1;
    }
    assert_eq!(signed, 3, "the list and its images");

    let ring = scene.workspace.path().join("ring.gpg");
    scene.gnupg.export("--export", &fingerprint, "", &ring);
    let policy = |reference: &str| {
        let rule = json!({
            "type": "signedBy", "keyType": "GPGKeys", "keyPath": ring,
            "signedIdentity": {"type": "exactReference", "dockerReference": reference},
        });
        let policy = json!({"default": [{"type": "reject"}], "transports": {"dir": {"": [rule]}}});
        scene.workspace.write("policy.json", policy.to_string()).display().to_string()
    };
    let copy = |policy: &str, to: &str| {
        let mut command = Command::new(program("skopeo"));
        let to = format!("dir:{}", scene.workspace.path().join(to).display());
        Ran::of(command.args(["--policy", policy, "copy", "--all", &target, &to]))
    };
    let good = policy(name);
    copy(&good, "copied").ok();
    scene.ok(&format!("verify --policy {good} {target} --require-signed both"));
    scene.ok(&format!("create let-in --all --policy {good} {target}"));
    // What skopeo has copied is signed as well.
    let copied = format!("dir:{}", scene.workspace.path().join("copied").display());
    scene.ok(&format!("verify --key {} --identity {name} {copied}", ring.display()));
    let other = policy("registry.example.com/other:1.0");
    assert_ne!(copy(&other, "refused").code, Some(0));
    scene.run(&format!("verify --policy {other} {target}")).fails(10);

    // Another list that is published there has signatures of its own, and the first one keeps its.
    scene.ok(&format!("create other --platform linux/amd64 docker://{}", scene.at("source:v1")));
    scene.ok(&format!("push other {target} --sign-by {fingerprint} --sign-identity {name}"));
    let good = policy(name);
    copy(&good, "copied-again").ok();
    scene.ok(&format!("push app {target}"));
    copy(&good, "copied-back").ok();
    scene.ok(&format!("sign {target} --remove-signatures"));
    assert_ne!(copy(&good, "unsigned").code, Some(0));
}

#[test]
fn podman_reads_a_list_that_was_pushed_into_a_directory() {
    let scene = Scene::new();
    let target = format!("dir:{}", scene.workspace.path().join("images").display());
    scene.ok(&format!("push app {target}"));
    let buildah = Tool::new("buildah");
    buildah.run(["pull", "--quiet", &target]).ok();
    buildah.run(["manifest", "create", "copy"]).ok();
    buildah.run(["manifest", "add", "--all", "copy", &target]).ok();
    let pushed = format!("dir:{}", scene.workspace.path().join("pushed").display());
    buildah.run(["manifest", "push", "--all", "copy", &pushed]).ok();
    scene.ok(&format!("check {pushed}"));
    scene.ok(&format!("create back --all {pushed}"));
    assert_eq!(scene.ok("inspect --raw back"), scene.ok("inspect --raw app"));
}
