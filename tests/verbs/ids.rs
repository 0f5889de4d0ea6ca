//! What a record is found by, and what is shown of it.

use std::collections::BTreeMap;
use std::fs;

use manifest_core::Digest;
use manifest_testkit::Image;
use serde_json::{Value, json};

use crate::in_process::Cli;

/// Puts a copy of a record beside it, with an id that differs in its last digit only; that id.
fn twin(cli: &Cli, list: &str) -> String {
    let file = cli.record(list);
    let id = file.file_name().unwrap().to_str().unwrap().to_owned();
    let last = if id.ends_with('0') { "1" } else { "0" };
    let other = format!("{}{last}", &id[..63]);
    let text = fs::read_to_string(&file).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    let (header, document) = rest.split_once('\n').unwrap();
    let header = format!("{}\n", header.replace(&id, &other));
    let first = format!("manifest-record 1 {}\n", Digest::sha256(header.as_bytes()));
    fs::write(file.with_file_name(&other), format!("{first}{header}{document}")).unwrap();
    other
}

/// A1-1.
#[test]
fn digits_that_several_ids_begin_with_name_them_and_a_whole_id_is_always_one() {
    let cli = Cli::new();
    let id = cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    let id = id.trim();
    assert_eq!(cli.json(&format!("inspect {}", &id[..12]))["list"]["id"], id);
    let other = twin(&cli, "app");
    for digits in [&id[..12], &id[..63]] {
        for line in [format!("inspect {digits}"), format!("tag {digits} new"), format!("rm {digits}")] {
            cli.fails(2, &line).says("ambiguous_id", &[digits, id, &other, "more digits"]);
        }
    }
    assert_eq!(cli.json(&format!("inspect {id}"))["list"]["names"], json!(["localhost/app:latest"]));
    assert_eq!(cli.json(&format!("inspect {other}"))["list"]["names"], json!([]));
    cli.ok(&format!("rm {other}"));
    assert_eq!(cli.json(&format!("inspect {}", &id[..12]))["list"]["id"], id);
}

/// A0-2.
#[test]
fn a_list_that_is_not_there_is_named() {
    let cli = Cli::new();
    cli.ok("create app");
    cli.fails(3, "inspect nosuch").says("list_not_found", &["there is no list nosuch", "manifest ls"]);
    let id = "7".repeat(64);
    for which in [&*id, &id[..12], "registry.example.com/nosuch:1"] {
        cli.fails(3, &format!("inspect {which}")).says("list_not_found", &[which]);
    }
}

/// A1-4b.
#[test]
fn an_image_of_the_store_is_shown_with_these_members_and_no_others() {
    let cli = Cli::new();
    let id = cli.import("base", "linux/amd64");
    let id = id.trim();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let object = cli.json(&format!("inspect {id}"));
    assert_eq!(keys(&object), "config image layers origin record schema");
    assert_eq!(keys(&object["record"]), "created digest entries id kind mediaType names origin size updated");
    for part in [&object["image"], &object["config"], &object["layers"][0]] {
        assert_eq!(keys(part), "annotations digest mediaType size");
    }
    let printed = cli.ok(&format!("inspect {id} --output json"));
    let again: BTreeMap<String, Value> = serde_json::from_str(&printed).unwrap();
    assert_eq!(json!(again), object, "what is read is what was printed");
    assert_eq!(cli.ok(&format!("inspect {id} --output json")).replace(id, "ID"), printed.replace(id, "ID"));
    cli.ok("untag base");
    assert_eq!(cli.json(&format!("inspect {id}"))["record"]["names"], json!([]), "empty, not null");
}

/// A1-13.
#[test]
fn names_stand_in_the_order_in_which_they_came_each_time() {
    let cli = Cli::new();
    cli.ok("create zoo");
    let names = ["zoo:latest", "b:2", "a:1", "registry.example.com/m:1", "c:3"];
    for name in &names[1..] {
        cli.ok(&format!("tag zoo {name}"));
    }
    let whole =
        names.map(|name| if name.contains('/') { name.to_owned() } else { format!("localhost/{name}") });
    for _ in 0..5 {
        assert_eq!(cli.json("inspect c:3")["list"]["names"], json!(whole));
        assert_eq!(cli.json("ls")["lists"][0]["names"], json!(whole));
        assert!(cli.ok("inspect a:1").starts_with(&format!("Name:    {}\n", whole.join(", "))));
    }
    cli.ok("untag b:2");
    cli.ok("tag zoo b:2");
    let names = cli.json("inspect zoo")["list"]["names"].clone();
    assert_eq!(names.as_array().unwrap().last(), Some(&json!("localhost/b:2")));
}

/// A1-15, A0-10.
#[test]
fn who_loses_a_name_to_another_stays_under_its_id() {
    let cli = Cli::new();
    let first = cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    let second = cli.ok(&format!("create --replace app {}", cli.image("linux/arm64")));
    assert_eq!(cli.platforms("app"), ["linux/arm64"]);
    let named = cli.json("ls --filter name=app")["lists"].clone();
    assert_eq!((named.as_array().unwrap().len(), &named[0]["id"]), (1, &json!(second.trim())));
    assert_eq!(cli.platforms(&first), ["linux/amd64"]);
    assert_eq!(cli.json(&format!("inspect {first}"))["list"]["names"], json!([]));
    // The same for an image.
    let old = cli.import("base", "linux/amd64");
    let layout = cli.workspace.path().join("other");
    Image::new("linux/s390x").write_layout(&layout, "it");
    let new = cli.ok(&format!("import base --replace --oci-dir {}", layout.display()));
    assert_ne!(old, new);
    assert_eq!(cli.json("inspect base")["record"]["id"], new.trim());
}
