//! `manifest create --from`: a published list, kept whole.

use manifest_testkit::{Image, Index};
use serde_json::json;

use crate::in_process::{Cli, Put};

/// A list with things that no model knows, spaced as no writer here would space it.
fn odd_list(cli: &Cli) -> Put {
    let image = cli.image("linux/amd64");
    cli.put_document(
        &json!({
            "x-unknown": {"deep": [1, 2.5, null]},
            "schemaVersion": 2,
            "manifests": [{
                "size": Image::new("linux/amd64").manifest().len(), "digest": image.digest,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "platform": {"os": "linux", "architecture": "amd64"}, "x-entry": true,
            }],
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "annotations": {"kept": "yes"},
        }),
        "odd",
    )
}

#[test]
fn a_list_that_is_only_taken_over_keeps_its_bytes() {
    let cli = Cli::new();
    let odd = odd_list(&cli);
    let ran = cli.run(&format!("create app --from {odd}"));
    ran.ok();
    assert!(ran.stderr.contains(&format!("from {odd}")), "{ran:?}");
    let list = cli.json("inspect app");
    assert_eq!(list["document"]["digest"], *odd.digest);
}

#[test]
fn what_is_unknown_survives_an_edit() {
    let cli = Cli::new();
    let odd = odd_list(&cli);
    let arm64 = cli.image("linux/arm64");
    cli.ok(&format!("create app --from {odd} {arm64} --annotation more=1"));
    let document = cli.document("app");
    assert_eq!(document["x-unknown"], json!({"deep": [1, 2.5, null]}));
    assert_eq!(document["manifests"][0]["x-entry"], true);
    assert_eq!(document["annotations"], json!({"kept": "yes", "more": "1"}));
    assert_eq!(cli.platforms("app"), ["linux/amd64", "linux/arm64"]);
}

#[test]
fn images_take_the_place_of_those_for_their_platform() {
    let cli = Cli::new();
    let odd = odd_list(&cli);
    let newer = cli.put(&Image::new("linux/amd64").layer("newer"), "newer");
    cli.ok(&format!("create app --from {odd} {newer}"));
    assert_eq!(cli.entries("app"), [("linux/amd64".to_owned(), newer.digest)]);
}

#[test]
fn another_draft_can_be_the_start() {
    let cli = Cli::new();
    cli.ok(&format!("create app:1 {} --annotation a=1", cli.image("linux/amd64")));
    for from in ["store:app:1", "localhost/app:1"] {
        cli.ok(&format!("create app:2 --replace --from {from}"));
        assert_eq!(cli.ok("inspect --raw app:2"), cli.ok("inspect --raw app:1"));
    }
}

#[test]
fn a_docker_list_stays_one() {
    let cli = Cli::new();
    let index = Index::of(&[&Image::new("linux/amd64").docker()]).docker();
    let published = cli.put_index(&index, "docker");
    cli.ok(&format!("create app --from {published}"));
    assert_eq!(cli.json("inspect app")["document"]["digest"], *published.digest);
    cli.fails(8, "annotate --index app --annotation a=b").says(
        "not_representable",
        &["a Docker manifest list has no place for annotations", "create --amend --format oci app"],
    );
}

#[test]
fn a_single_image_is_no_list_to_start_from() {
    let cli = Cli::new();
    let image = cli.image("linux/amd64");
    cli.fails(2, &format!("create app --from {image}"))
        .says("misuse", &[&image.to_string(), "a single image, not a list", "without --from"]);
}

#[test]
fn from_and_amend_make_no_sense_for_a_list_that_is_there() {
    let cli = Cli::new();
    cli.ok("create app");
    cli.fails(2, "create app --amend --from oci:/nowhere").says("misuse", &["--from starts a new list"]);
    cli.ok(&format!("create app --replace --from {}", odd_list(&cli)));
    assert_eq!(cli.platforms("app"), ["linux/amd64"]);
}
