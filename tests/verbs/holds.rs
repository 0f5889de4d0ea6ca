//! `manifest hold`, `release`, and what they keep from being removed.

use std::fs;

use manifest_core::OnConflict;
use manifest_store::{Draft, Source};
use manifest_testkit::Image;
use serde_json::{Value, json};

use crate::in_process::{Cli, wait};

fn holders(cli: &Cli, list: &str) -> Vec<String> {
    let object = cli.json(&format!("inspect {list} --holders"));
    let title = |holder: &Value| holder.get("by").unwrap_or(&holder["names"][0]).as_str().unwrap().to_owned();
    object["holders"].as_array().unwrap().iter().map(title).collect()
}

// A1-5
#[test]
fn what_is_held_is_not_removed() {
    let cli = Cli::new();
    let id = cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    assert_eq!(cli.ok("hold app --by ci"), id);
    for which in ["app", id.trim()] {
        cli.fails(4, &format!("rm {which}"))
            .says("held", &["localhost/app:latest is held by ci", "manifest release", "--force"]);
    }
    assert_eq!(cli.platforms("app"), ["linux/amd64"]);
    assert_eq!(cli.ok("release app --by ci"), id);
    cli.ok("rm app");
}

// A1-7
#[test]
fn holds_are_a_set_and_not_a_count() {
    let cli = Cli::new();
    cli.ok("create app");
    cli.ok("hold app --by ci");
    let held = cli.json("hold app --by ci --ttl 1h");
    assert_eq!((&held["schema"], held["holders"].as_array().unwrap().len()), (&json!("hold/1"), 1));
    assert!(held["holders"][0]["until"].is_string(), "the second one says when it ends: {held}");
    let released = cli.json("release app --by ci");
    assert_eq!((&released["schema"], &released["holders"]), (&json!("release/1"), &json!([])));
    cli.ok("release app --by ci");
    cli.ok("release app --by nobody");
    cli.ok("rm app");
}

// A1-8
#[test]
fn all_who_hold_are_shown_sorted() {
    let cli = Cli::new();
    let id = cli.import("base", "linux/amd64");
    cli.ok("hold base --by zoe");
    cli.ok("hold base --by ann");
    cli.ok("hold base --by mid --ttl 0");
    cli.ok("create all store:base");
    assert_eq!(holders(&cli, "base"), ["ann", "mid", "zoe", "localhost/all:latest"]);
    let printed = cli.ok("inspect --holders base");
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("HOLDER") && lines[1].starts_with("ann  "), "{printed}");
    assert!(lines[2].starts_with("mid  ") && lines[2].ends_with("(expired)"), "{printed}");
    assert!(lines[4].starts_with("the list localhost/all:latest  "), "{printed}");
    let object = cli.json("inspect base --holders");
    assert_eq!(
        (&object["holders"][1]["expired"], &object["holders"][0]["expired"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(object["record"]["id"], id.trim());
    cli.fails(4, "rm base").says("held", &["held by ann, zoe, the list localhost/all:latest"]);
    assert_eq!(cli.json("inspect base").get("holders"), None, "only when asked for");
    cli.fails(2, "inspect oci:/x --holders").says("misuse", &["not in the store"]);
    cli.fails(2, "inspect base --holders --raw").says("misuse", &["--raw"]);
}

#[test]
fn an_expired_hold_holds_nothing() {
    let cli = Cli::new();
    cli.ok("create app");
    cli.ok("hold app --by ci --ttl 0s");
    cli.ok("rm app");
}

// A1-19
#[test]
fn an_image_that_a_list_has_an_entry_of_is_not_removed() {
    let cli = Cli::new();
    cli.import("base", "linux/amd64");
    cli.ok("create all:1 store:base");
    cli.fails(4, "rm base")
        .says("held", &["the list localhost/all:1", "remove those lists first", "--force"]);
    cli.ok("remove all:1 --platform linux/amd64");
    assert_eq!(holders(&cli, "base"), <[&str; 0]>::default());
    cli.ok("add all:1 store:base");
    cli.fails(4, "rm base").says("held", &["the list localhost/all:1"]);
    cli.ok("untag all:1");
    let failed = cli.fails(4, "rm base");
    failed.says("held", &["the list "]);
    assert!(!failed.message.contains("localhost/all"), "{failed:?}");
}

// A1-19
#[test]
fn an_image_that_a_list_has_as_an_entry_is_not_removed() {
    let cli = Cli::new();
    let image = Image::new("linux/amd64");
    let id = cli.keep("base", &image);
    cli.ok("create all");
    let store = cli.store_at("2026-01-02T03:04:06Z");
    let used = id.parse().unwrap();
    let entry =
        manifest_core::Descriptor::new(image.media_type(), image.digest(), image.manifest().len() as u64);
    let source = Source {
        from: "store:base".to_owned(),
        place: Source::HERE.to_owned(),
        digest: image.digest(),
        resolved: "2026-01-02T03:04:06Z".parse().unwrap(),
        entries: vec![image.digest()],
        record: Some(used),
    };
    wait(async {
        let edit = |draft: &mut Draft| {
            draft.sources.add(source.clone());
            draft.list.add(entry.clone(), OnConflict::Refuse).map(drop)
        };
        store.update_using(&"all".parse().unwrap(), &[used], edit).await.unwrap();
    });
    cli.fails(4, "rm base").says("held", &["localhost/base:latest is held by the list localhost/all:latest"]);
    cli.ok(&format!("remove all {}", image.digest()));
    cli.ok("rm base");
}

#[test]
fn force_goes_over_holds_and_tells_whose() {
    let cli = Cli::new();
    let id = cli.import("base", "linux/amd64");
    cli.ok("create all store:base");
    cli.ok("hold base --by ci");
    let ran = cli.run("rm --force base");
    assert_eq!(ran.ok(), format!("Untagged: localhost/base:latest\nDeleted: {id}"));
    let said = "warning: localhost/base:latest was held by ci, the list localhost/all:latest\n";
    assert_eq!(ran.stderr, said);
    assert_eq!(cli.platforms("all"), ["linux/amd64"], "the list stays whole");

    cli.ok("hold all --by ci");
    let removed = cli.json("rm --force all");
    assert_eq!(removed["overridden"], json!([{"id": removed["deleted"][0], "by": ["ci"]}]));
}

#[test]
fn a_list_and_what_it_uses_are_removed_together_in_any_order() {
    for line in ["rm base all", "rm all base", "rm --all", "rm -a"] {
        let cli = Cli::new();
        cli.ok(&format!("create base {}", cli.image("linux/amd64")));
        cli.ok("create all store:base");
        cli.ok("tag all more");
        cli.ok("untag more");
        cli.ok(line);
        assert_eq!(cli.store().len(), 0, "{line}");
    }
}

#[test]
fn rm_all_leaves_what_is_held_and_says_so() {
    let cli = Cli::new();
    assert_eq!(cli.ok("rm --all"), "", "there is nothing");
    cli.ok("create app");
    cli.ok("tag app app:2");
    cli.ok("create kept");
    cli.ok("hold kept --by ci");
    let ran = cli.run("rm --all");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(
        ran.stdout.starts_with("Untagged: localhost/app:latest\nUntagged: localhost/app:2\nDeleted: "),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("localhost/kept:latest is held by ci"), "{ran:?}");
    cli.ok("exists kept");
    cli.ok("rm --all --force");
    assert_eq!(cli.store().len(), 0);
    cli.fails(2, "rm --all app").says("misuse", &["--all"]);
}

// A1-9
#[test]
fn what_a_list_points_at_is_never_removed() {
    let cli = Cli::new();
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    let read = || {
        let mut files: Vec<_> =
            fs::read_dir(cli.layout().join("blobs/sha256")).unwrap().map(|f| f.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| (fs::read(&file).unwrap(), file)).collect::<Vec<_>>()
    };
    let before = read();
    cli.ok("rm app");
    assert_eq!(read(), before);
}

#[test]
fn a_push_removes_no_list_that_is_held() {
    let cli = Cli::new();
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    cli.ok("hold app --by ci");
    let ran = cli.run(&format!("push --rm app oci:{}:1", cli.workspace.path().join("out").display()));
    ran.ok();
    assert!(ran.stderr.contains("localhost/app:latest is held by ci and stays"), "{ran:?}");
    cli.ok("exists app");
}

#[test]
fn holders_have_names_that_can_be_shown() {
    let cli = Cli::new();
    cli.ok("create app");
    cli.ok("hold app --by ann@build-7");
    for verb in ["hold", "release"] {
        cli.fails(3, &format!("{verb} gone --by ci")).says("list_not_found", &["gone"]);
        cli.fails(2, &format!("{verb} app")).says("misuse", &["--by"]);
        cli.fails(2, &format!("{verb} app --by {}", "x".repeat(257))).says("misuse", &["256"]);
        for (by, part) in [("", "empty"), ("a\u{1b}[31m", "cannot be shown"), ("a\nb", "cannot be shown")] {
            let ran = cli.run_words([verb, "app", "--by", by]);
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.contains(part), "{ran:?}");
        }
    }
    cli.fails(2, "hold app --by ci --ttl soon").says("misuse", &["soon"]);
    cli.fails(2, "hold app --by ci --ttl 99999999h").says("misuse", &["calendar"]);
    assert_eq!(holders(&cli, "app"), ["ann@build-7"]);
}

#[test]
fn a_name_may_leave_a_held_list() {
    let cli = Cli::new();
    let id = cli.ok("create app");
    cli.ok("tag app app:2");
    cli.ok("hold app --by ci");
    cli.ok("rm app:2");
    cli.ok("untag app");
    cli.fails(4, &format!("rm {id}")).says("held", &[&format!("{} is held by ci", &id[..12])]);
}
