//! `manifest inspect --config` and `--layers`: one image, or that of one platform in a list.

use std::fs;

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Index};
use serde_json::{Value, json};

use crate::in_process::{Cli, Put};

/// An image whose configuration has this environment.
fn with_env(cli: &Cli, platform: &str, env: &Value) -> (Put, String) {
    let image = Image::new(platform);
    let mut config: Value = serde_json::from_slice(&image.config()).unwrap();
    config["config"] = json!({ "Env": env });
    let config = config.to_string();
    let digest = Digest::sha256(config.as_bytes());
    let name = platform.replace('/', "-");
    cli.put(&image, &format!("{name}-plain"));
    cli.workspace.write(&format!("images/blobs/sha256/{}", digest.hex()), &config);
    let mut manifest: Value = serde_json::from_slice(&image.manifest()).unwrap();
    manifest["config"]["digest"] = json!(digest);
    manifest["config"]["size"] = json!(config.len());
    (cli.put_document(&manifest, &name), config)
}

/// A4-24.
#[test]
fn a_configuration_is_shown_whole() {
    let cli = Cli::new();
    let env = json!(["FOO=bar=baz", "no equals", "EMPTY=", "FOO=again", "=odd"]);
    let (amd64, config) = with_env(&cli, "linux/amd64", &env);
    let (arm64, other) = with_env(&cli, "linux/arm64", &json!([]));
    cli.ok(&format!("create app {amd64} {arm64}"));
    for line in [
        format!("inspect --config {amd64}"),
        "inspect --config --platform linux/amd64 app".to_owned(),
        "inspect --config --platform linux/x86_64 store:app --output json".to_owned(),
    ] {
        assert_eq!(cli.ok(&line), config, "{line}");
    }
    assert_eq!(cli.ok("inspect app --platform linux/arm64 --config"), other);
    let shown: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(shown["config"]["Env"], env);

    cli.ok(&format!("import one --image linux-amd64 --oci-dir {}", cli.layout().display()));
    cli.ok("create here store:one");
    let elsewhere = cli.image("linux/s390x");
    fs::remove_dir_all(cli.layout()).unwrap();
    assert_eq!(cli.ok("inspect --config one"), config);
    assert_eq!(cli.ok("inspect --config here"), config, "the only image needs no choice");
    cli.fails(3, "inspect --config app --platform linux/amd64").says("image_not_found", &["does not exist"]);
    cli.fails(3, &format!("inspect --config {elsewhere}")).says("layout_not_found", &[]);
}

/// A4-23.
#[test]
fn layers_are_shown_with_both_of_their_digests() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let image = Image::new("linux/amd64").layer("one").layer("two");
    let list = Index::of(&[&image, &Image::new("linux/arm64")]);
    list.push_to(&registry, "app", "1");
    let remote = format!("docker://{}/app:1", registry.address());
    cli.ok(&format!("create app --all {remote}"));
    let put = cli.put(&image, "one");
    let (blobs, plain) = (image.blobs(), image.layer_archives());
    for which in
        [format!("{remote} --platform linux/amd64"), "app --platform linux/amd64".to_owned(), put.to_string()]
    {
        let object = cli.json(&format!("inspect --layers {which}"));
        assert_eq!(object["image"], image.digest().to_string(), "{which}");
        let printed = cli.ok(&format!("inspect --layers {which}"));
        for (at, (layer, line)) in
            object["layers"].as_array().unwrap().iter().zip(printed.lines().skip(1)).enumerate()
        {
            let (digest, diff_id) = (blobs[at].digest.to_string(), plain[at].digest.to_string());
            assert_eq!((&layer["digest"], &layer["diffId"]), (&json!(digest), &json!(diff_id)), "{which}");
            assert_eq!(line.split_whitespace().take(2).collect::<Vec<_>>(), [digest, diff_id]);
        }
        assert_eq!((object["layers"].as_array().unwrap().len(), printed.lines().count()), (2, 3));
    }
    // A configuration that counts other layers tells nothing of these.
    let artifact = cli.put(&Image::new("linux/amd64").artifact_type("application/x"), "artifact");
    let mut manifest = image.manifest();
    let text = String::from_utf8(std::mem::take(&mut manifest)).unwrap();
    let mut short: Value = serde_json::from_str(&text).unwrap();
    short["layers"].as_array_mut().unwrap().pop();
    let short = cli.put_document(&short, "short");
    assert_eq!(cli.json(&format!("inspect --layers {short}"))["layers"][0].get("diffId"), None);
    assert!(cli.ok(&format!("inspect --layers {short}")).contains("  -  "));
    cli.ok(&format!("inspect --layers {artifact}"));
}

#[test]
fn an_image_of_several_must_be_chosen() {
    let cli = Cli::new();
    cli.ok(&format!("create app {} {}", cli.image("linux/amd64"), cli.image("linux/arm64")));
    for flag in ["--config", "--layers"] {
        cli.fails(2, &format!("inspect app {flag}")).says("several_platforms", &["linux/amd64, linux/arm64"]);
        cli.fails(3, &format!("inspect app {flag} --platform linux/s390x"))
            .says("no_such_platform", &["linux/amd64, linux/arm64"]);
        cli.fails(3, &format!("inspect gone {flag}")).says("list_not_found", &["gone"]);
        cli.fails(2, &format!("inspect app {flag} --raw")).says("misuse", &["cannot be used with"]);
        cli.ok("create --replace empty");
        cli.fails(2, &format!("inspect empty {flag}"));
    }
    cli.fails(2, "inspect app --platform linux/amd64").says("misuse", &["--config or --layers"]);
    cli.keep("bare", &Image::new("linux/amd64"));
    cli.fails(7, "inspect bare --config").says("damaged", &["missing"]);
}
