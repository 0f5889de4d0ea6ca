//! `manifest signatures`: what signatures there are, of which nothing is believed.

use serde_json::{Value, json};

use super::verify::{Scene, payload};

fn signed(scene: &Scene) -> Vec<Value> {
    let report = scene.cli.json(&format!("signatures {}", scene.app()));
    assert_eq!(report["schema"], "signatures/1");
    report["places"][0]["signed"].as_array().unwrap().clone()
}

#[test]
fn signatures_of_all_forms_are_shown_with_what_they_say() {
    let scene = Scene::new();
    scene.registry.serve_referrers();
    scene.cli.workspace.write(
        "home/.config/containers/registries.d/default.yaml",
        format!("default-docker:\n  lookaside: file://{}\n", scene.file("lookaside").display()),
    );
    let said = payload("r.io/any:1", &scene.list, r#"{"creator":"me","timestamp":1700000000}"#);
    scene.attach_these(&scene.list, &[(said, "AAAA".to_owned()), ("garbage".to_owned(), "AAAA".to_owned())]);
    let bundle = scene.bundle("ours", &scene.list, &scene.children[1], "https://sigstore.dev/cosign/sign/v1");
    let simple = format!("lookaside/app@sha256={}/signature-1", scene.children[0].hex());
    let message = include_bytes!("../../crates/manifest-sign/tests/fixtures/openpgp/gpg.pgp");
    scene.cli.workspace.write(&simple, message);

    let all = signed(&scene);
    assert_eq!(all.len(), 3);
    let [list, child, none] = [0, 1, 2].map(|at| all[at]["signatures"].as_array().unwrap().clone());
    assert_eq!((list.len(), child.len(), none.len()), (3, 1, 0));
    assert_eq!(list[0]["identity"], "r.io/any:1");
    assert_eq!(list[0]["signed"], "2023-11-14T22:13:20Z");
    assert_eq!((&list[0]["creator"], &list[0]["key"]), (&json!("me"), &Value::Null));
    assert_eq!((&list[1]["form"], &list[1]["answer"]), (&json!("cosign"), &json!("unreadable")));
    assert_eq!((&list[2]["form"], &list[2]["at"]), (&json!("bundle"), &json!(bundle.to_string())));
    assert_eq!(list[2]["digests"], json!([scene.children[1].to_string()]));
    assert_eq!((&child[0]["form"], &child[0]["at"]), (&json!("simple"), &json!("signature-1")));
    assert_eq!(child[0]["key"].as_str().unwrap().len(), 40);
    assert!(child[0]["signed"].as_str().unwrap().starts_with("20") && child[0]["identity"].is_string());

    let ran = scene.cli.run(&format!("signatures {}", scene.app()));
    let text = ran.ok();
    assert!(text.starts_with("PLATFORM     IMAGE         FORM"), "{text}");
    assert!(
        text.contains("linux/arm64") && text.contains("unsigned") && text.contains("r.io/any:1"),
        "{text}"
    );
    assert!(ran.stderr.contains("nothing of this is verified"), "{ran:?}");
}

#[test]
fn that_there_is_no_signature_is_no_error() {
    let scene = Scene::new();
    let ran = scene.cli.run(&format!("signatures {}", scene.app()));
    assert_eq!(ran.ok().matches("unsigned").count(), 3);
    assert_eq!(ran.stderr, "");
    scene
        .cli
        .fails(3, &format!("signatures docker://{}/app:none", scene.host()))
        .says("image_not_found", &[]);
}
