//! Arguments that name nothing, or something else than is meant.

use manifest_testkit::{Image, Index};

use crate::in_process::Cli;

#[test]
fn an_unknown_list_is_not_found_by_any_verb() {
    let cli = Cli::new();
    let digest = format!("sha256:{}", "1".repeat(64));
    for line in [
        "add gone oci:/x",
        "inspect gone",
        "tag gone new",
        "rm gone",
        "push gone oci:/x",
        "annotate --index gone --annotation a=b",
        &format!("remove gone {digest}"),
        &format!("annotate gone {digest} --annotation a=b"),
    ] {
        cli.fails(3, line).says("list_not_found", &["there is no list gone", "hint: manifest ls"]);
    }
}

#[test]
fn a_bad_reference_is_misuse_that_shows_how_it_is_written() {
    let cli = Cli::new();
    cli.ok("create app");
    for (image, part) in [
        ("host.example/UPPER", "lower case"),
        ("host.example/a@sha256:12", "12"),
        ("docker://", "empty"),
        ("http://host.example/app", "\"http://\" is not supported"),
        ("oci:", "names no directory"),
        ("oci:dir:@x", "position"),
        ("dir:", "it is written dir:DIRECTORY"),
        ("ostree:/tmp", "\"ostree:\" is not supported"),
        ("containers-storage:app", "not supported"),
    ] {
        for line in
            [format!("add app {image}"), format!("create new {image}"), format!("create new --from {image}")]
        {
            cli.fails(2, &line)
                .says("invalid_reference", &[part, "docker://HOST/REPOSITORY", "oci:DIRECTORY"]);
        }
    }
    cli.fails(3, "add app store:gone").says("list_not_found", &["gone"]);
    cli.fails(2, "add app store:BAD").says("invalid_reference", &["\"BAD\"", "lower case"]);
}

#[test]
fn a_list_where_an_image_is_meant_shows_what_it_holds() {
    let cli = Cli::new();
    cli.ok("create app");
    let list = cli.put_index(&Index::of(&[&Image::new("linux/amd64"), &Image::new("linux/arm64")]), "list");
    cli.fails(2, &format!("add app {list}")).says(
        "several_platforms",
        &[&list.to_string(), "2 platforms: linux/amd64, linux/arm64", "--all", "--platform"],
    );
    cli.fails(3, &format!("remove app {list}")).says("entry_not_found", &[&list.digest]);
}

#[test]
fn a_platform_that_is_not_there_shows_those_that_are() {
    let cli = Cli::new();
    let list = cli.put_index(&Index::of(&[&Image::new("linux/amd64"), &Image::new("linux/arm64")]), "list");
    cli.ok("create app");
    cli.fails(3, &format!("add app {list} --platform plan9/amd64"))
        .says("no_such_platform", &["plan9/amd64", "it has linux/amd64, linux/arm64"]);
    cli.ok(&format!("add app --all {list}"));
    for verb in ["annotate", "remove"] {
        cli.fails(3, &format!("{verb} app --platform plan9/amd64")).says(
            "no_such_platform",
            &["app has no entry for plan9/amd64", "it has linux/amd64, linux/arm64"],
        );
    }
}

#[test]
fn misuse_is_an_object_too() {
    let cli = Cli::new();
    let failed = cli.fails(2, "create");
    assert_eq!(failed.kind, "misuse");
    assert!(failed.message.contains("<LIST>"), "{failed:?}");
    assert!(failed.hint.contains("--help"), "{failed:?}");
    cli.fails(2, "add app x --jobs 0").says("misuse", &["1 to 256"]);
    cli.fails(2, "ls --lock-timeout soon").says("misuse", &["soon", "30s"]);
    cli.fails(2, "ls --quiet --verbose").says("misuse", &["cannot be used with"]);
    let ran = cli.run("ls --output yaml");
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn credentials_are_for_exactly_one_registry() {
    let cli = Cli::new();
    cli.ok("create app");
    for images in ["a.example/x b.example/x", "oci:/x"] {
        cli.fails(2, &format!("add app --creds ann:secret {images}"))
            .says("misuse", &["exactly one registry", "--authfile"]);
    }
    let failed = cli.fails(2, "add app --creds ann a.example/x");
    failed.says("misuse", &["no password", "nobody can be asked", "USER:PASSWORD"]);
}
