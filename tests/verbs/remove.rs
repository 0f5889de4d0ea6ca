//! `manifest remove`: entries.

use manifest_testkit::{Image, Index};

use crate::in_process::Cli;

#[test]
fn one_entry_goes_and_the_others_stay() {
    let cli = Cli::new();
    let platforms = ["linux/amd64", "linux/arm/v7", "linux/arm64", "linux/ppc64le", "linux/s390x"];
    let images = platforms.map(Image::new);
    let list = cli.put_index(&Index::of(&images.each_ref()), "list");
    cli.ok(&format!("create app --all {list}"));
    let arm64 = images[2].digest().to_string();
    assert_eq!(cli.ok(&format!("remove app {arm64}")), format!("{arm64}\n"));
    assert_eq!(cli.platforms("app"), ["linux/amd64", "linux/arm/v7", "linux/ppc64le", "linux/s390x"]);
    assert_eq!(cli.ok("remove app --platform linux/arm").trim(), images[1].digest().to_string());
    assert_eq!(
        cli.ok(&format!("remove app oci:{}@{}", cli.layout().display(), images[4].digest())).trim(),
        images[4].digest().to_string()
    );
    assert_eq!(cli.platforms("app"), ["linux/amd64", "linux/ppc64le"]);
}

#[test]
fn the_last_entry_leaves_an_empty_list() {
    let cli = Cli::new();
    cli.ok("create empty");
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    cli.ok("remove app --platform linux/amd64");
    assert_eq!(cli.ok("inspect --raw app"), cli.ok("inspect --raw empty"));
}

#[test]
fn an_entry_that_is_not_there_is_an_error() {
    let cli = Cli::new();
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    let unknown = format!("sha256:{}", "0".repeat(64));
    cli.fails(3, &format!("remove app {unknown}")).says("entry_not_found", &[&unknown]);
    cli.fails(3, "remove app --platform linux/s390x").says("no_such_platform", &["it has linux/amd64"]);
    cli.fails(2, "remove app").says("misuse", &["no entry is named"]);
    cli.fails(3, &format!("remove gone {unknown}")).says("list_not_found", &["gone"]);
    cli.fails(2, "remove app sha256:xyz").says("misuse", &["is not a digest"]);
}

#[test]
fn attestations_go_with_their_image() {
    let cli = Cli::new();
    let amd64 = cli.image("linux/amd64");
    let proof = cli.put(&Image::new("unknown/unknown").layer("proof"), "proof");
    cli.ok(&format!("create app {amd64}"));
    cli.ok(&format!("add app {proof} --annotation vnd.docker.reference.digest={}", amd64.digest));
    assert_eq!(cli.entries("app").len(), 2);
    let removed = cli.json("remove app --platform linux/amd64");
    assert_eq!(removed["removed"], serde_json::json!([amd64.digest, proof.digest]));
    assert!(cli.entries("app").is_empty());
}
