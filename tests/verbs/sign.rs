//! Signing: what may be asked for, what is planned, and which of several images is meant.

use manifest_testkit::{FakeRegistry, Image, Index, Method};

use crate::in_process::Cli;

const KEY: &str = "--sign-key ../manifest-sign/tests/fixtures/sigstore/ed25519.pem";
const OPENPGP: &str = "--sign-key ../manifest-sign/tests/fixtures/openpgp/rsa.asc";

/// A list `app` whose two images lie in the registry, which has the list as `app:1`, too.
fn scene() -> (Cli, FakeRegistry) {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    Index::of(&[&Image::new("linux/amd64"), &Image::new("linux/arm64")]).push_to(&registry, "app", "1");
    cli.ok(&format!("create app --all docker://{}/app:1", registry.address()));
    (cli, registry)
}

fn signed_tags(registry: &FakeRegistry) -> usize {
    registry.tags("app").iter().filter(|tag| tag.ends_with(".sig")).count()
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let (cli, registry) = scene();
    let there = format!("docker://{}/app:1", registry.address());
    let before = registry.requests().len();
    for (arguments, says) in [
        (String::new(), "no key is given"),
        ("--sign-by-sq-fingerprint ABC".to_owned(), "sq key export"),
        ("--sign-by-sigstore params.yaml".to_owned(), "--sign-by-sigstore-private-key FILE"),
        (format!("{KEY} --signature-format simple"), "makes no signatures of the form simple"),
        (format!("{OPENPGP} --signature-format cosign"), "makes no signatures of the form cosign"),
        (format!("{KEY} --signature-format cosign,simple"), "for a key that is not given"),
        (
            "--sign-by-sigstore-private-key ../manifest-sign/tests/fixtures/openpgp/rsa.asc".to_owned(),
            "is an OpenPGP key",
        ),
        (
            "--sign-key ../manifest-sign/tests/fixtures/sigstore/sealed-16.key".to_owned(),
            "--sign-passphrase-file",
        ),
    ] {
        cli.fails(2, &format!("sign {there} {arguments}")).says("misuse", &[says]);
        if !arguments.is_empty() {
            cli.fails(2, &format!("push app {there} {arguments}")).says("misuse", &[says]);
        }
    }
    for how in ["--signature-format cosign", "--sign-passphrase-file secret"] {
        cli.fails(2, &format!("push app {there} {how}")).says("misuse", &["no key is given"]);
    }
    cli.fails(7, &format!("sign {there} --sign-key ../manifest-sign/tests/fixtures/sigstore/ed25519.pub"));
    assert_eq!(registry.requests().len(), before, "something was sent");
}

#[test]
fn a_dry_run_says_what_would_be_signed() {
    let (cli, registry) = scene();
    let push = format!("push app docker://{}/app:2 {KEY}", registry.address());
    let before = registry.requests().len();
    let planned = cli.ok(&format!("{push} --dry-run"));
    assert_eq!(planned.lines().filter(|line| line.starts_with("sign ")).count(), 3, "{planned}");
    assert!(registry.requests()[before..].iter().all(|one| matches!(one.method, Method::Get | Method::Head)));
    let told = cli.run(&push);
    assert!(told.stderr.contains("3 signatures written"), "{told:?}");
    let planned = cli.ok(&format!("{push} --dry-run"));
    assert!(!planned.contains("sign "), "what is signed would be signed again: {planned}");
}

#[test]
fn signatures_are_there_before_the_tag() {
    let (cli, registry) = scene();
    cli.ok(&format!("push app docker://{}/app:2 {KEY} --signature-format cosign,bundle", registry.address()));
    let puts = registry.requests().into_iter().filter(|one| one.method == Method::Put);
    let puts: Vec<String> = puts.map(|one| one.path().to_owned()).collect();
    let tag = puts.iter().position(|path| path == "/v2/app/manifests/2").unwrap();
    assert_eq!(tag + 1, puts.len(), "{puts:?}");
    assert_eq!(signed_tags(&registry), 3);
}

#[test]
fn a_platform_is_signed_alone() {
    let (cli, registry) = scene();
    let there = format!("docker://{}/app:1", registry.address());
    let object = cli.json(&format!("sign {there} {KEY} --platform linux/arm64"));
    let arm64 = Image::new("linux/arm64").digest();
    assert_eq!(object["targets"][0]["images"][0]["digest"], arm64.to_string());
    assert_eq!(object["targets"][0]["signed"]["written"], 1);
    let signed = registry.tags("app").into_iter().find(|tag| tag.ends_with(".sig"));
    assert_eq!(signed, Some(format!("sha256-{}.sig", arm64.hex())));
    cli.fails(3, &format!("sign {there} {KEY} --platform linux/s390x")).says("no_such_platform", &[]);
    let image = format!("docker://{}/app@{arm64}", registry.address());
    cli.fails(2, &format!("sign {image} {KEY} --platform linux/arm64"))
        .says("misuse", &["leave --platform out"]);
}

#[test]
fn a_list_of_the_store_is_signed_where_it_was_pushed_last() {
    let (cli, registry) = scene();
    cli.fails(3, &format!("sign app {KEY}")).says("not_pushed", &["app"]);
    cli.ok(&format!("push app docker://{0}/app:2 docker://{0}/other:2,3", registry.address()));
    let object = cli.json(&format!("sign app {KEY}"));
    let targets: Vec<&str> =
        object["targets"].as_array().unwrap().iter().map(|one| one["target"].as_str().unwrap()).collect();
    assert_eq!(targets.len(), 2);
    assert!(targets[1].ends_with("/other:2,3"), "{targets:?}");
    assert!(object["targets"].as_array().unwrap().iter().all(|one| one["signed"]["written"] == 3));
    // What was changed since is not what is there.
    cli.ok("annotate app --index --annotation a=b");
    let again = cli.run(&format!("sign app {KEY}"));
    again.ok();
    assert!(again.stderr.contains("is another one than what was pushed"), "{again:?}");
    assert!(again.stderr.contains("nothing to sign, 3 signatures already there"), "{again:?}");
}

#[test]
fn signatures_are_taken_away_as_far_as_the_registry_lets_them() {
    let (cli, registry) = scene();
    let there = format!("docker://{}/app:1", registry.address());
    cli.ok(&format!("sign {there} {KEY} --signature-format cosign,bundle"));
    cli.ok(&format!("sign {there} --remove-signatures --sign-children=false"));
    assert_eq!(signed_tags(&registry), 2, "those of the images stay");
    cli.ok(&format!("sign {there} --remove-signatures"));
    assert_eq!(signed_tags(&registry), 0);
    let object = cli.json(&format!("sign {there} {KEY} --signature-format cosign,bundle"));
    assert_eq!(object["targets"][0]["signed"]["written"], 6, "bundles were removed, too");
    registry.keep_tags();
    registry.keep_manifests();
    let kept = cli.run(&format!("sign {there} --remove-signatures"));
    assert!(kept.fails(5).contains(".sig"), "{kept:?}");
}

#[test]
fn a_layout_is_signed_with_bundles_and_with_what_it_is_told_to_be() {
    let (cli, registry) = scene();
    let layout = format!("oci:{}:1", cli.workspace.path().join("out").display());
    cli.ok(&format!("push app {layout}"));
    let refused = cli.run(&format!("sign {layout} {KEY}"));
    assert!(refused.fails(2).contains("no reference that a signature could state"), "{refused:?}");
    cli.ok(&format!("sign {layout} {KEY} --signature-format bundle"));
    cli.ok(&format!("sign {layout} {KEY} --sign-identity {}/app:1", registry.address()));
    let refused = cli.run(&format!("sign {layout} {OPENPGP}"));
    assert!(
        refused.fails(2).contains("only images in registries and in directories (dir:) can have them"),
        "{refused:?}"
    );
}
