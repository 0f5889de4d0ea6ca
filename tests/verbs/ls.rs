//! `manifest ls`.

use manifest_store::{Draft, IfTaken};
use manifest_testkit::{FakeRegistry, Image};
use serde_json::{Value, json};

use crate::in_process::{Cli, wait};

/// The first names of the lists that are shown, without `localhost/`.
fn shown(cli: &Cli, words: &[&str]) -> Vec<String> {
    let ran = cli.run_words(["ls", "--output", "json"].iter().chain(words));
    let object: Value = serde_json::from_str(ran.ok()).unwrap();
    let name = |list: &Value| list["names"][0].as_str().unwrap_or("<none>").replace("localhost/", "");
    object["lists"].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn people_see_a_table_the_last_changed_first() {
    let cli = Cli::new();
    assert_eq!(cli.ok("ls"), "NAME  ID  KIND  ENTRIES  SIZE  CHANGED  PUSHED\n");
    let first = cli.ok("create app:1");
    let second = cli.ok(&format!("create app:2 {}", cli.image("linux/amd64")));
    cli.ok("tag app:2 registry.example.com/app:2");
    let image = cli.keep("base", &Image::new("linux/amd64"));
    let printed = cli.ok("ls");
    let rows: Vec<Vec<&str>> = printed
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let size = |list: &str| format!("{} B", cli.ok(&format!("inspect --raw {list}")).len());
    assert_eq!(rows[1][..5], ["localhost/app:2", &second[..12], "list", "1", &size("app:2")]);
    assert!(rows[1][5].ends_with("ago") || rows[1][5] == "just now", "{printed}");
    assert_eq!(rows[1][6], "never");
    assert_eq!(rows[2], ["registry.example.com/app:2", &second[..12]]);
    assert_eq!(rows[3][..4], ["localhost/app:1", &first[..12], "list", "0"]);
    assert_eq!(rows[4][..5], ["localhost/base:latest", &image[..12], "image", "-", &size("base")]);
    assert!(cli.ok("list").starts_with("NAME"));
    assert_eq!(shown(&cli, &[]), ["app:2", "app:1", "base:latest"]);

    let full = cli.ok("ls --no-trunc");
    assert!(
        full.contains(&format!("  {image}  image")) && full.contains("  2026-01-02T03:04:05Z  never"),
        "{full}"
    );
    cli.fails(2, "ls app").says("misuse", &["app"]);
}

// A4-6
#[test]
fn lists_of_one_second_stand_in_the_order_of_real_time() {
    let cli = Cli::new();
    for (name, time) in [
        ("whole", "2026-01-01T00:00:01Z"),
        ("half", "2026-01-01T00:00:01.5Z"),
        ("last", "2026-01-01T00:00:01.75Z"),
    ] {
        let (store, name) = (cli.store_at(time), name.parse().unwrap());
        wait(async move { store.create(&name, Draft::default(), IfTaken::Refuse).await }).unwrap();
    }
    assert_eq!(shown(&cli, &[]), ["last:latest", "half:latest", "whole:latest"]);
}

#[test]
fn quiet_leaves_the_ids() {
    let cli = Cli::new();
    let (one, two) = (cli.ok("create one"), cli.ok("create two"));
    for flag in ["--quiet", "-q"] {
        assert_eq!(cli.ok(&format!("ls {flag}")), format!("{two}{one}"));
    }
    assert_eq!(cli.json("ls --quiet")["lists"].as_array().unwrap().len(), 2, "an object is an object");
}

// A1-12
#[test]
fn filters_choose() {
    let cli = Cli::new();
    let arm = cli.ok(&format!("create arm:1 {}", cli.image("linux/arm64/v8")));
    cli.ok(&format!("create team/x86:1 {}", cli.image("linux/amd64")));
    cli.ok("create docker.io/foo:2");
    cli.ok("tag docker.io/foo:2 ghcr.io/acme/foo:2");
    cli.ok("create held");
    cli.ok("hold held --by release-42");
    cli.ok("hold held --by ended --ttl 0");
    cli.keep("old", &Image::new("linux/s390x"));
    let digest = cli.json("inspect arm:1")["document"]["digest"].as_str().unwrap().to_owned();
    let all = ["held:latest", "docker.io/library/foo:2", "team/x86:1", "arm:1", "old:latest"];
    let (id, start) = (format!("id={}", &arm[..5]), format!("digest={}", &digest[..20]));
    for (filters, expected) in [
        (&[][..], &all[..]),
        (&[""], &all),
        (&["id="], &all),
        (&["name="], &all),
        (&["digest="], &all),
        (&["holder="], &all),
        // By what something begins with.
        (&[&*id], &["arm:1"]),
        (&[&arm[..8]], &["arm:1"]),
        (&[&start], &["arm:1"]),
        (&[&format!("digest={}", &digest[7..20])], &["arm:1"]),
        (&[&digest[..20]], &["arm:1"]),
        (&["ar"], &["arm:1"]),
        (&["localhost/ar"], &["arm:1"]),
        (&["team/"], &["team/x86:1"]),
        (&["foo"], &["docker.io/library/foo:2"]),
        (&["docker.io/foo"], &["docker.io/library/foo:2"]),
        (&["docker.io/foo:2"], &["docker.io/library/foo:2"]),
        (&["docker.io/foo:3"], &[]),
        (&["ghcr.io/acme"], &["docker.io/library/foo:2"]),
        (&["nothing"], &[]),
        // By pattern, in the short and the whole form.
        (&["name=arm:1"], &["arm:1"]),
        (&["name=arm"], &[]),
        (&["name=held"], &["held:latest"]),
        (&["name=*:1"], &["team/x86:1", "arm:1"]),
        (&["name=localhost/*m:?"], &["arm:1"]),
        (&["name=foo:*"], &["docker.io/library/foo:2"]),
        // By what is in it, and who has it.
        (&["platform=linux/arm64"], &["arm:1"]),
        (&["platform=linux/aarch64"], &["arm:1"]),
        (&["platform=linux/arm/v7"], &[]),
        (&["holder=release-42"], &["held:latest"]),
        (&["holder=release"], &[]),
        (&["holder=*"], &["held:latest"]),
        (&["holder=ended"], &[]),
        // By age.
        (&["older-than=0"], &all),
        (&["older-than=24h"], &["old:latest"]),
        (&["older-than=1d"], &["old:latest"]),
        // Several.
        (&["name=arm*", "platform=linux/amd64"], &[]),
        (&["name=arm*", "name=held"], &["held:latest", "arm:1"]),
        (&["platform=linux/amd64", "platform=linux/arm64", "name=*86*"], &["team/x86:1"]),
    ] {
        let words: Vec<&str> = filters.iter().flat_map(|filter| ["--filter", filter]).collect();
        assert_eq!(shown(&cli, &words), expected, "{filters:?}");
    }
    assert_eq!(shown(&cli, &["-f", "ar"]), ["arm:1"]);
}

#[test]
fn an_unknown_filter_is_told_the_known_ones() {
    let cli = Cli::new();
    cli.fails(2, "ls --filter size=3").says("misuse", &["size", "id=", "name=", "older-than="]);
    cli.fails(2, "ls --filter older-than=soon").says("misuse", &["soon", "30s"]);
    cli.fails(2, "ls --filter platform=linux").says("misuse", &["linux"]);
}

/// A4-19.
#[test]
fn programs_see_where_it_came_from_where_it_went_and_who_holds_it() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let id = cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    cli.ok("create all --from store:app");
    cli.ok("hold app --by ci --ttl 1h");
    cli.keep("base", &Image::new("linux/amd64"));
    let list = |at: usize| cli.json("ls")["lists"][at].clone();
    let app = list(1);
    assert_eq!(
        (&app["id"], &app["kind"], &app["origin"]),
        (&json!(id.trim()), &json!("list"), &json!("created"))
    );
    assert_eq!(app.get("pushed"), None);
    assert_eq!(app["holders"][0]["by"], "ci");
    assert_eq!((&list(2)["kind"], &list(2)["origin"]), (&json!("image"), &json!("imported")));

    let target = format!("docker://{}/app:1", registry.address());
    let digest = cli.ok(&format!("push app {target}"));
    let pushed = list(1)["pushed"].clone();
    assert_eq!((&pushed["target"], &pushed["digest"]), (&json!(target), &json!(digest.trim())));
    assert!(cli.ok("ls").contains(&format!(", {target}\n")));
}
