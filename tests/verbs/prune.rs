//! `manifest prune`.

use manifest_store::{Draft, IfTaken};
use serde_json::json;

use crate::in_process::{Cli, wait};

/// A list that was made long ago and lost its name in the same moment; its id.
fn nameless(cli: &Cli, name: &str) -> String {
    let (store, name) = (cli.store_at("2026-01-02T03:04:05Z"), name.parse().unwrap());
    wait(async move {
        let made = store.create(&name, Draft::default(), IfTaken::Refuse).await.unwrap();
        store.untag(&name).await.unwrap();
        made.id().to_string()
    })
}

#[test]
fn what_nobody_names_or_holds_goes_after_a_while() {
    let cli = Cli::new();
    let old = nameless(&cli, "old");
    let held = nameless(&cli, "held");
    cli.ok(&format!("hold {held} --by ci"));
    let used = nameless(&cli, "used");
    cli.ok("create named");
    let young = cli.ok("create replaced");
    cli.ok("create replaced --replace");
    cli.ok(&format!("tag {used} used"));
    cli.ok("untag used");
    // Losing a name is a change: it is young again.
    let used = used.as_str();

    let ran = cli.run("prune --older-than 1d --dry-run");
    assert_eq!(ran.ok(), format!("{old}\n"));
    assert_eq!(ran.stderr, "would have removed 1 record\n");
    cli.ok(&format!("exists {old}"));

    let pruned = cli.json("prune --older-than 1d");
    assert_eq!((&pruned["schema"], &pruned["dryRun"]), (&json!("prune/1"), &json!(false)));
    assert_eq!((&pruned["removed"][0]["id"], &pruned["forgotten"]), (&json!(old), &json!([])));
    let ran = cli.run("prune --older-than 1d");
    assert_eq!((ran.ok(), ran.stderr.as_str()), ("", "removed 0 records\n"));

    let printed = cli.ok("prune --older-than 0");
    let mut ids: Vec<&str> = printed.lines().collect();
    let mut expected = [used, young.trim()];
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    cli.ok("exists named");
    cli.ok(&format!("exists {held}"));
}

#[test]
fn what_a_list_has_entries_of_stays() {
    let cli = Cli::new();
    let base = cli.import("base", "linux/amd64");
    cli.ok("create all store:base");
    cli.ok("untag base");
    assert_eq!(cli.ok("prune --older-than 0"), "");
    cli.ok("rm all");
    assert_eq!(cli.ok("prune --older-than 0"), base);
}

#[test]
fn damage_is_told_and_the_rest_is_pruned() {
    let cli = Cli::new();
    let old = nameless(&cli, "old");
    cli.ok("create bad");
    let bad = cli.record("bad");
    std::fs::write(&bad, "damage").unwrap();
    for line in ["prune --older-than 0 --dry-run", "prune --older-than 0"] {
        let ran = cli.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), &*format!("{old}\n")), "{ran:?}");
        assert!(ran.stderr.contains(bad.to_str().unwrap()), "{ran:?}");
    }
    cli.ok("create good");
    let ran = cli.run("prune --history --all");
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(7), 1), "{ran:?}");
}

#[test]
fn the_history_of_all_is_forgotten_at_once() {
    let cli = Cli::new();
    cli.ok("create one");
    cli.ok("create two");
    let pruned = cli.json("prune --history --all");
    let changes: Vec<_> =
        pruned["forgotten"].as_array().unwrap().iter().map(|one| one["changes"].clone()).collect();
    assert_eq!(changes, [1, 1]);
    assert_eq!(cli.json("prune --history --all")["forgotten"], json!([]), "nothing is left to forget");
}

#[test]
fn pruning_says_what() {
    let cli = Cli::new();
    cli.ok("create app");
    cli.fails(2, "prune").says("misuse", &["--older-than"]);
    cli.fails(2, "prune app").says("misuse", &["--history"]);
    cli.fails(2, "prune --all").says("misuse", &["--history"]);
    cli.fails(2, "prune --history").says("misuse", &["name lists, or --all"]);
    cli.fails(2, "prune --history --all app").says("misuse", &["--all"]);
    cli.fails(2, "prune --history app --older-than 1d").says("misuse", &["--older-than"]);
    cli.fails(2, "prune --older-than soon").says("misuse", &["soon"]);
    cli.fails(3, "prune --history gone").says("list_not_found", &["gone"]);
}
