//! Stores that are damaged, read-only, or from the future.

use std::fs;

use crate::in_process::Cli;

#[test]
fn a_damaged_record_is_told_and_the_other_lists_work() {
    let cli = Cli::new();
    cli.ok("create good");
    cli.ok("create bad");
    let path = cli.record("bad");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();

    let digest = format!("sha256:{}", "1".repeat(64));
    let image = cli.image("linux/amd64");
    for line in [
        "inspect bad",
        &format!("add bad {image}"),
        "annotate --index bad --annotation a=b",
        &format!("remove bad {digest}"),
        "exists bad",
        "tag bad new",
        "create bad",
        "create new --from store:bad",
        "push bad oci:/x",
    ] {
        cli.fails(7, line).says("damaged", &[path.to_str().unwrap(), "manifest fsck tells what is lost"]);
    }

    assert_eq!(cli.ok("inspect good").lines().next(), Some("Name:    localhost/good:latest"));
    cli.ok("annotate --index good --annotation a=b");
    cli.ok("create other");
    let ran = cli.run("ls");
    assert_eq!(ran.code, Some(7));
    assert!(
        ran.stdout.contains("localhost/good:latest") && ran.stdout.contains("localhost/other"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("is damaged"), "{ran:?}");
    let ran = cli.run("ls --output json");
    let error: serde_json::Value = serde_json::from_str(ran.stderr.trim()).unwrap();
    assert_eq!((ran.code, &error["error"]["kind"]), (Some(7), &serde_json::json!("damaged")));
    let lists: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(lists["lists"].as_array().unwrap().len(), 2);
}

#[test]
fn a_name_file_that_was_damaged_is_told() {
    let cli = Cli::new();
    cli.ok("create good");
    cli.ok("create bad");
    let file = cli.workspace.store().join("names/localhost%2fbad%3alatest");
    assert!(file.exists());
    fs::write(&file, "nonsense").unwrap();
    cli.fails(7, "inspect bad").says("damaged", &[file.to_str().unwrap()]);
    cli.fails(7, "create bad").says("damaged", &[file.to_str().unwrap()]);
    cli.ok("inspect good");
}

#[test]
fn a_store_of_a_newer_version_is_not_touched() {
    let cli = Cli::new();
    cli.ok("create app");
    fs::write(cli.workspace.store().join("version"), "manifest-store 9\n").unwrap();
    for line in ["ls", "create new", "inspect app", "add app oci:/x", "rm app"] {
        cli.fails(7, line).says("newer_version", &["version 9", "update this program"]);
    }
}

#[test]
fn without_a_home_the_store_must_be_named() {
    let mut cli = Cli::new();
    for name in ["HOME", "XDG_DATA_HOME"] {
        cli.environment.variables.remove(std::ffi::OsStr::new(name));
    }
    cli.fails(2, "ls").says("misuse", &["neither HOME nor XDG_DATA_HOME", "--store DIR", "$MANIFEST_STORE"]);
    cli.fails(2, "create app").says("misuse", &["HOME"]);
    let store = cli.workspace.path().join("elsewhere");
    cli.ok(&format!("--store {} create app", store.display()));
    cli.ok(&format!("inspect app --store {}", store.display()));
    cli.environment.variables.insert("MANIFEST_STORE".into(), store.into());
    cli.ok("inspect app");
    cli.ok("version");
}

/// A4-2.
#[test]
fn a_store_that_is_a_file_is_named() {
    let cli = Cli::new();
    let file = cli.workspace.write("file", "not a directory");
    let failed = cli.fails(12, &format!("create app --store {}", file.display()));
    assert!(failed.text.contains(file.to_str().unwrap()), "{}", failed.text);
}
