//! Names and ids: `ls`, `exists`, `rm`, `tag` and `untag`.

use crate::in_process::Cli;

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
fn ls_shows_the_lists_the_last_changed_first() {
    let cli = Cli::new();
    assert_eq!(cli.ok("ls"), "NAME  ID  ENTRIES  FORMAT  CHANGED\n");
    let first = cli.ok("create app:1 --format v2s2");
    let second = cli.ok(&format!("create app:2 {}", cli.image("linux/amd64")));
    cli.ok("tag app:2 registry.example.com/app:2");
    let printed = cli.ok("ls");
    let words: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1][..4], ["localhost/app:2", &second[..12], "1", "oci"]);
    assert_eq!(words[2], ["registry.example.com/app:2", &second[..12]]);
    assert_eq!(words[3][..4], ["localhost/app:1", &first[..12], "0", "v2s2"]);
    assert_eq!(cli.ok("list"), printed);
    let lists = cli.json("ls")["lists"].clone();
    assert_eq!(lists[0]["names"], serde_json::json!(["localhost/app:2", "registry.example.com/app:2"]));
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
