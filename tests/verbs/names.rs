//! Names and ids: `exists`, `rm`, `tag`, `untag`, `rename` and `cp`.

use manifest_testkit::{FakeRegistry, Image};

use crate::in_process::Cli;

/// A1-4.
#[test]
fn names_are_completed() {
    let cli = Cli::new();
    for (name, whole) in [
        ("app", "localhost/app:latest"),
        ("team/app:1.0", "localhost/team/app:1.0"),
        ("localhost/web", "localhost/web:latest"),
        ("ghcr.io/acme/app:1", "ghcr.io/acme/app:1"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("docker.io/foo", "docker.io/library/foo:latest"),
    ] {
        assert_eq!(cli.json(&format!("create {name}"))["names"], serde_json::json!([whole]), "{name}");
        assert_eq!(cli.run(&format!("exists {whole}")).code, Some(0));
    }
}

/// A1-4.
#[test]
fn texts_that_are_no_names_are_refused() {
    let cli = Cli::new();
    let (digest, id) = (format!("app@sha256:{}", "0".repeat(64)), "0".repeat(64));
    for (name, part) in [
        ("App", "lower case"),
        ("a..b", "invalid reference"),
        ("app:", "invalid reference"),
        ("app:-x", "tag"),
        ("../app", "invalid reference"),
        ("docker://app", "scheme"),
        (&*digest, "has a digest"),
        (&*id, "an id"),
    ] {
        for line in [format!("create {name}"), format!("tag app {name}"), format!("untag {name}")] {
            let failed = cli.fails(2, &line);
            failed.says("invalid_reference", &[name, part, "localhost/app:latest"]);
        }
    }
    let ran = cli.run_words(["create", ""]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert_eq!(cli.store().len(), 0);
}

#[test]
fn lists_are_found_by_id_and_by_its_first_twelve_digits() {
    let cli = Cli::new();
    let id = cli.ok("create app");
    let id = id.trim();
    for which in [id, &id[..12], &id[..40]] {
        assert_eq!(cli.run(&format!("exists {which}")).code, Some(0), "{which}");
        assert_eq!(cli.json(&format!("inspect {which}"))["list"]["id"], id);
    }
    assert_eq!(cli.run(&format!("exists {}", &id[..11])).code, Some(1), "eleven digits are a name");
    cli.ok(&format!("add {} {}", &id[..12], cli.image("linux/amd64")));
    assert_eq!(cli.platforms("app"), ["linux/amd64"]);
}

#[test]
fn exists_answers_by_its_exit_code() {
    let cli = Cli::new();
    cli.ok("create app");
    for (line, code) in [("exists app", 0), ("exists app:other", 1), ("exists App", 2), ("exists", 2)] {
        let ran = cli.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
        assert_eq!(ran.stderr.is_empty(), code < 2, "{ran:?}");
    }
    std::fs::write(cli.record("app"), "damage").unwrap();
    assert_eq!(cli.run("exists app").code, Some(7));
}

#[test]
fn tag_gives_more_names_to_one_list() {
    let cli = Cli::new();
    let id = cli.ok("create app");
    assert_eq!(cli.ok("tag app app:1 registry.example.com/app:1"), id);
    for name in ["app:1", "registry.example.com/app:1"] {
        assert_eq!(cli.ok(&format!("inspect {name}")), cli.ok("inspect app"));
    }
    assert_eq!(cli.ok(&format!("tag {} app:1", &id[..12])), id, "a name that it has already is fine");
    cli.fails(3, "tag gone new").says("list_not_found", &["gone"]);
    cli.fails(2, "tag app").says("misuse", &["<NAME>"]);
}

#[test]
fn tag_takes_no_name_from_another_list() {
    let cli = Cli::new();
    cli.ok("create app");
    let id = cli.ok("create other");
    let failed = cli.fails(4, "tag app new other");
    failed.says("name_taken", &["localhost/other:latest", &id[..12], "manifest untag"]);
    assert_eq!(cli.run("exists new").code, Some(1), "all names or none");
}

#[test]
fn untag_takes_names_and_leaves_the_list() {
    let cli = Cli::new();
    let id = cli.ok("create app");
    cli.ok("tag app app:1 app:2");
    assert_eq!(cli.ok("untag app app:1"), "Untagged: localhost/app:latest\nUntagged: localhost/app:1\n");
    cli.ok("untag app:2");
    assert_eq!(cli.run(&format!("exists {id}")).code, Some(0));
    assert!(cli.ok(&format!("inspect {id}")).starts_with("Name:    <none>\n"));
    cli.fails(3, "untag app").says("list_not_found", &["localhost/app:latest"]);

    cli.ok(&format!("tag {id} back"));
    let ran = cli.run("untag gone back");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), "Untagged: localhost/back:latest\n"), "{ran:?}");
    assert!(ran.stderr.contains("localhost/gone:latest"), "{ran:?}");
}

/// A1-10.
#[test]
fn rm_takes_a_name_and_with_the_last_one_the_list() {
    let cli = Cli::new();
    let id = cli.ok("create app");
    cli.ok("tag app app:2");
    assert_eq!(cli.ok("rm app:2"), "Untagged: localhost/app:2\n");
    assert_eq!(cli.ok("rm app"), format!("Untagged: localhost/app:latest\nDeleted: {id}"));
    assert_eq!(cli.store().len(), 0);
    cli.fails(3, "rm app").says("list_not_found", &["there is no list app"]);
}

#[test]
fn rm_by_id_needs_force_when_there_are_several_names() {
    let cli = Cli::new();
    let id = cli.ok("create app");
    cli.ok("tag app app:2");
    cli.fails(4, &format!("rm {}", &id[..12]))
        .says("several_names", &["localhost/app:latest, localhost/app:2", "--force"]);
    let printed = cli.ok(&format!("rm --force {id}"));
    assert_eq!(printed, format!("Untagged: localhost/app:latest\nUntagged: localhost/app:2\nDeleted: {id}"));

    let id = cli.ok("create app");
    assert_eq!(
        cli.ok(&format!("rm {}", &id[..12])),
        format!("Untagged: localhost/app:latest\nDeleted: {id}")
    );
}

#[test]
fn rm_goes_on_after_an_error_and_tells_each() {
    let cli = Cli::new();
    let id = cli.ok("create app");
    let ran = cli.run("rm gone app lost");
    assert_eq!(ran.code, Some(3));
    assert_eq!(ran.stdout, format!("Untagged: localhost/app:latest\nDeleted: {id}"));
    assert!(ran.stderr.contains("no list gone") && ran.stderr.contains("no list lost"), "{ran:?}");
    cli.ok("create app");
    cli.fails(2, "rm app NotAName").says("invalid_reference", &["NotAName"]);
}

/// A1-10.
#[test]
fn rm_may_ignore_what_is_not_there() {
    let cli = Cli::new();
    cli.ok("create app");
    for flag in ["--ignore-missing", "--ignore", "-i"] {
        let ran = cli.run(&format!("rm {flag} gone"));
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""), "{ran:?}");
    }
    assert!(cli.ok("rm --ignore gone app lost").contains("Deleted"));
    cli.fails(2, "rm").says("misuse", &["<LIST>"]);
}

// A0-12, A0-13
#[test]
fn a_tag_changes_neither_digest_nor_sources_and_may_be_repeated() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    Image::new("linux/amd64").push_to(&registry, "app", "v1");
    cli.ok(&format!("create app {}/app:v1", registry.address()));
    let before = cli.json("inspect app --sources");
    for _ in 0..2 {
        cli.ok("tag app app:stable");
        let (one, other) = (cli.json("inspect app --sources"), cli.json("inspect app:stable --sources"));
        assert_eq!(one["document"], other["document"]);
        assert_eq!(one["sources"], before["sources"]);
        assert_eq!(
            other["list"]["names"],
            serde_json::json!(["localhost/app:latest", "localhost/app:stable"])
        );
    }
    assert_eq!(registry.address(), before["sources"][0]["from"].as_str().unwrap().split('/').next().unwrap());
}

// A0-14
#[test]
fn a_digest_that_nothing_has_is_not_found() {
    let cli = Cli::new();
    cli.ok("create app");
    let digest = cli.json("inspect app")["document"]["digest"].as_str().unwrap().to_owned();
    let id = cli.ok(&format!("tag {digest} new"));
    assert_eq!(cli.json("inspect new")["list"]["id"], id.trim());
    cli.fails(3, &format!("tag sha256:{} more", "1".repeat(64))).says("list_not_found", &["sha256:1111"]);
    cli.fails(2, "tag sha256:11 Bad").says("invalid_reference", &["Bad"]);
    cli.ok("cp app copy");
    cli.fails(2, &format!("tag {digest} more"))
        .says("misuse", &["2 lists have the digest", "by its name or id"]);
    cli.fails(3, &format!("tag {} new", "1".repeat(64))).says("list_not_found", &["1111"]);
}

// A1-14
#[test]
fn a_list_without_its_only_name_is_found_by_its_id() {
    let cli = Cli::new();
    let id = cli.ok("create app");
    cli.ok("untag app");
    assert_eq!(cli.json(&format!("inspect {id}"))["list"]["names"], serde_json::json!([]));
    cli.fails(3, "untag app").says("list_not_found", &["localhost/app:latest"]);
}

#[test]
fn rename_moves_a_name_in_one_step() {
    let cli = Cli::new();
    let id = cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    cli.ok("tag app app:1");
    assert_eq!(cli.ok("rename app web:2"), id);
    assert_eq!(cli.run("exists app").code, Some(1));
    let names = serde_json::json!(["localhost/app:1", "localhost/web:2"]);
    assert_eq!(cli.json("inspect web:2")["list"]["names"], names);
    let printed = cli.json("rename web:2 web:2");
    assert_eq!((&printed["schema"], &printed["names"]), (&serde_json::json!("rename/1"), &names));
    assert_eq!(cli.json("history web:2")["changes"].as_array().unwrap().len(), 3, "nothing was renamed");

    cli.ok("create other");
    cli.fails(4, "rename web:2 other").says("name_taken", &["localhost/other:latest", "manifest untag"]);
    cli.fails(3, "rename gone new").says("list_not_found", &["gone"]);
    cli.fails(2, &format!("rename {id} new")).says("invalid_reference", &["an id"]);
    cli.fails(2, "rename web:2 Bad").says("invalid_reference", &["Bad"]);
    cli.fails(2, "rename web:2").says("misuse", &["<NEW>"]);
}

#[test]
fn a_copy_has_the_same_bytes_and_goes_its_own_way() {
    let cli = Cli::new();
    let id = cli.ok(&format!("create app {} --format oci", cli.image("linux/amd64")));
    cli.ok("hold app --by ci");
    let copy = cli.ok("cp app copy:1");
    assert_ne!(copy, id);
    let (one, other) = (cli.json("inspect app --sources"), cli.json("inspect copy:1 --sources --holders"));
    assert_eq!(one["document"], other["document"]);
    assert_eq!(one["sources"], other["sources"]);
    assert_eq!(other["holders"], serde_json::json!([]), "holds stay behind");
    assert_eq!(cli.ok("inspect --raw app"), cli.ok("inspect --raw copy:1"));
    let changes = cli.json("history copy:1")["changes"].clone();
    assert_eq!(changes.as_array().unwrap().len(), 1);
    assert_eq!(changes[0]["command"], "manifest cp app copy:1");

    cli.ok(&format!("add copy:1 {}", cli.image("linux/arm64")));
    assert_eq!((cli.platforms("app").len(), cli.platforms("copy:1").len()), (1, 2));

    cli.fails(4, "cp app copy:1").says("name_taken", &["copy:1", "--replace"]);
    let again = cli.json("cp app copy:1 --replace");
    assert_eq!(again["schema"], "cp/1");
    assert_eq!(cli.json(&format!("inspect {copy}"))["list"]["names"], serde_json::json!([]));
    cli.fails(3, "cp gone new").says("list_not_found", &["gone"]);
    cli.fails(2, "cp app Bad").says("invalid_reference", &["Bad"]);
}

#[test]
fn a_published_list_is_copied_to_the_byte() {
    let cli = Cli::new();
    let image = cli.image("linux/amd64");
    let odd = cli.put_document(
        &serde_json::json!({
            "x-unknown": 1, "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"size": 300, "digest": image.digest, "mediaType": "application/vnd.oci.image.manifest.v1+json"}],
        }),
        "odd",
    );
    cli.ok(&format!("create app --from {odd}"));
    cli.ok("cp app copy");
    assert_eq!(cli.json("inspect copy")["document"]["digest"], *odd.digest);
    assert_eq!(cli.ok("inspect --raw copy"), cli.ok("inspect --raw app"));
}

#[test]
fn images_have_names_like_lists() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64");
    let id = cli.keep("base:1", &image);
    assert_eq!(cli.ok("tag base:1 base:2"), format!("{id}\n"));
    assert_eq!(cli.ok("rename base:1 base:3"), format!("{id}\n"));
    for (line, code) in [("exists base:2", 0), ("exists base:1", 1), (&*format!("exists {id}"), 0)] {
        assert_eq!(cli.run(line).code, Some(code), "{line}");
    }
    let copy = cli.ok("cp base:2 copy");
    assert_eq!(cli.ok("inspect --raw copy").as_bytes(), image.manifest());
    let copied = cli.json("inspect copy");
    assert_eq!(
        (&copied["record"]["origin"], &copied["record"]["kind"]),
        (&"imported".into(), &"image".into())
    );
    assert_eq!(cli.ok("untag base:3"), "Untagged: localhost/base:3\n");
    assert_eq!(cli.ok("rm base:2"), format!("Untagged: localhost/base:2\nDeleted: {id}\n"));
    assert_eq!(cli.ok(&format!("rm {copy}")), format!("Untagged: localhost/copy:latest\nDeleted: {copy}"));
    cli.keep("base", &image);
    let other = cli.image("linux/arm64");
    for line in [
        &*format!("add base {other}"),
        "annotate --index base --annotation a=b",
        "inspect base --format v2s2",
    ] {
        let failed = cli.fails(2, line);
        assert!(failed.text.contains("localhost/base:latest is an image"), "{line}: {}", failed.text);
    }
}
