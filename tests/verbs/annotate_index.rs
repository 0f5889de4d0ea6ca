//! `manifest annotate --index`: the list as a whole.

use manifest_testkit::{Image, Index};
use serde_json::json;

use crate::in_process::Cli;

#[test]
fn annotations_of_the_list_are_set_and_removed() {
    let cli = Cli::new();
    cli.ok("create app --annotation made=here");
    let printed = cli.ok("annotate --index app --annotation a=1 --annotation b=2");
    assert_eq!(printed.trim(), cli.json("inspect app")["document"]["digest"]);
    assert_eq!(cli.document("app")["annotations"], json!({"a": "1", "b": "2", "made": "here"}));
    cli.ok("annotate app --index --remove-annotation made --remove-annotation a --annotation b=3");
    assert_eq!(cli.document("app")["annotations"], json!({"b": "3"}));
}

#[test]
fn the_artifact_type_is_set_and_cleared() {
    let cli = Cli::new();
    cli.ok("create app");
    let plain = cli.ok("inspect --raw app");
    cli.ok("annotate --index app --artifact-type application/x");
    assert_eq!(cli.document("app")["artifactType"], "application/x");
    cli.ok("annotate --index app --artifact-type=");
    assert_eq!(cli.ok("inspect --raw app"), plain);
}

#[test]
fn a_subject_is_an_image_a_list_or_an_artifact() {
    let cli = Cli::new();
    cli.ok("create app");
    let image = cli.image("linux/amd64");
    let list = cli.put_index(&Index::of(&[&Image::new("linux/amd64")]), "list");
    let artifact = cli.put(&Image::new("linux/amd64").artifact_type("application/x"), "artifact");
    for (flags, subject, artifact_type) in
        [("--index", &image, None), ("", &list, None), ("", &artifact, Some("application/x"))]
    {
        cli.ok(&format!("annotate {flags} app --subject {subject}"));
        let written = cli.document("app")["subject"].clone();
        assert_eq!(written["digest"], *subject.digest);
        assert_eq!(written.get("artifactType").and_then(|t| t.as_str()), artifact_type);
    }
    cli.fails(2, "annotate app --subject localhost/app").says("misuse", &["a draft", "push it first"]);
    cli.fails(3, &format!("annotate app --subject {image}-gone")).says("image_not_found", &["-gone"]);
}

#[test]
fn fields_of_entries_do_not_fit_the_list() {
    let cli = Cli::new();
    cli.ok("create app");
    let digest = format!("sha256:{}", "0".repeat(64));
    for flags in [
        "--os linux",
        "--arch arm64",
        "--variant v8",
        "--os-version 1",
        "--os-features x",
        "--features x",
        "--platform linux/amd64",
        &digest,
    ] {
        cli.fails(2, &format!("annotate --index app {flags}")).says("misuse", &["cannot be used with"]);
        cli.fails(2, &format!("annotate app --subject oci:/x {flags}"))
            .says("misuse", &["cannot be used with"]);
    }
}

#[test]
fn what_a_docker_list_cannot_carry_names_the_way_out() {
    let cli = Cli::new();
    cli.ok("create app --format v2s2");
    for flags in ["--annotation a=b", "--artifact-type application/x"] {
        cli.fails(8, &format!("annotate --index app {flags}")).says(
            "not_representable",
            &["a Docker manifest list", "manifest create --amend --format oci app"],
        );
    }
    cli.ok("create --amend --format oci app");
    cli.ok("annotate --index app --annotation a=b");
}
