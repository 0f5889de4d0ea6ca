//! `manifest history` and `undo`.

use serde_json::json;

use crate::in_process::Cli;

#[test]
fn people_see_what_was_done_the_last_first() {
    let cli = Cli::new();
    let image = cli.image("linux/amd64");
    cli.ok("create app");
    cli.ok(&format!("add app {image}"));
    cli.ok("tag app app:2");
    cli.ok("untag app:2");
    cli.ok("remove app --platform linux/amd64");
    let short = |list: &str| {
        let digest = cli.json(&format!("inspect {list}"))["document"]["digest"].as_str().unwrap().to_owned();
        digest["sha256:".len()..][..12].to_owned()
    };
    let (empty, full) = (short("app"), {
        cli.ok(&format!("create other {image}"));
        short("other")
    });
    let printed = cli.ok("history app");
    let rows: Vec<Vec<&str>> = printed
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect())
        .collect();
    assert_eq!(rows[0], ["NUMBER", "WHEN", "DIGEST", "ENTRIES", "NAMES", "COMMAND"]);
    let without_time = |row: &[&str]| [&row[..1], &row[2..]].concat().join("|");
    let rows: Vec<String> = rows[1..].iter().map(|row| without_time(row)).collect();
    assert_eq!(
        rows,
        [
            format!("5|{full} → {empty}|-1|-|manifest remove app --platform linux/amd64"),
            format!("4|{full}|-|-localhost/app:2|manifest untag app:2"),
            format!("3|{full}|-|+localhost/app:2|manifest tag app app:2"),
            format!("2|{empty} → {full}|+1|-|manifest add app {image}"),
            format!("1|→ {empty}|-|+localhost/app:latest|manifest create app"),
        ]
    );
}

#[test]
fn programs_see_all_of_it() {
    let cli = Cli::new();
    let image = cli.image("linux/amd64");
    let before = cli.json("create app")["digest"].clone();
    let added = cli.json(&format!("add app {image}"));
    let history = cli.json("history app");
    assert_eq!((&history["folded"], &history["list"]), (&json!(0), &added["list"]));
    let change = history["changes"][0].clone();
    assert_eq!((&change["number"], &change["when"]), (&json!(2), &added["list"]["updated"]));
    assert_eq!((&change["before"], &change["after"]), (&before, &added["list"]["digest"]));
    assert_eq!((&change["added"], &change["removed"]), (&json!([image.digest]), &json!([])));
    assert_eq!(history["changes"][1].get("before"), None, "the change that made it");
    cli.fails(3, "history gone").says("list_not_found", &["gone"]);
}

#[test]
fn undo_goes_back_one_change_at_a_time_and_forward_by_number() {
    let cli = Cli::new();
    let (amd64, arm64) = (cli.image("linux/amd64"), cli.image("linux/arm64"));
    cli.ok("create app");
    cli.ok(&format!("add app {amd64}"));
    let one = cli.ok("inspect --raw app");
    cli.ok(&format!("add app {arm64}"));
    let two = cli.json("inspect app")["document"]["digest"].clone();
    cli.ok("tag app app:2");

    let ran = cli.run("undo app");
    assert_eq!(ran.stderr, "localhost/app:latest is what it was after change 2\n");
    assert_eq!(cli.ok("inspect --raw app"), one, "names are not undone, so this was the addition");
    assert_eq!(ran.ok().trim(), cli.json("inspect app:2")["document"]["digest"]);
    cli.ok("undo app");
    assert_eq!(cli.platforms("app"), <[&str; 0]>::default());
    cli.fails(3, "undo app").says("nothing_to_undo", &["localhost/app:latest", "manifest history"]);

    let back = cli.json("undo app --to 3");
    assert_eq!((&back["schema"], &back["to"]), (&json!("undo/1"), &json!(3)));
    assert_eq!(back["list"]["digest"], two);
    assert_eq!(cli.json("history app")["changes"][0]["restores"], 3);
    // It can be pushed: the sources are back as well.
    assert_eq!(cli.json("inspect app --sources")["sources"].as_array().unwrap().len(), 2);

    cli.fails(3, "undo app --to 99").says("no_such_change", &["99", "1 to 7", "manifest history"]);
    cli.fails(3, "undo app --to 0").says("no_such_change", &["change 0"]);
    cli.fails(3, "undo gone").says("list_not_found", &["gone"]);
    cli.fails(2, "undo app --to x").says("misuse", &["x"]);
}

#[test]
fn a_pruned_history_counts_on() {
    let cli = Cli::new();
    let id = cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    cli.ok(&format!("add app {}", cli.image("linux/arm64")));
    let ran = cli.run("prune --history app --dry-run");
    assert_eq!(ran.ok(), id);
    assert_eq!(ran.stderr, "would have forgotten 2 changes of 1 record\n");
    assert_eq!(cli.json("history app")["folded"], 0);

    assert_eq!(cli.ok("prune --history app"), id);
    let ran = cli.run("history app");
    assert_eq!(ran.ok().lines().count(), 1);
    assert_eq!(ran.stderr, "2 older changes are kept as a number only\n");
    cli.fails(3, "undo app").says("nothing_to_undo", &["app"]);
    cli.ok(&format!("add app {}", cli.image("linux/s390x")));
    assert_eq!(cli.json("history app")["changes"][0]["number"], 3);
    cli.ok("undo app");
    assert_eq!(cli.platforms("app"), ["linux/amd64", "linux/arm64"]);
}
