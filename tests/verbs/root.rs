//! `--store`: everything that a command keeps lies in the store that it names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use manifest_testkit::{FakeRegistry, Image};

use crate::in_process::Cli;

/// All files and directories below one, but for what lies below `but`.
fn tree(root: &Path, but: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path == but => {}
                true => {
                    found.insert(path.clone(), Vec::new());
                    open.push(path);
                }
                false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
            }
        }
    }
    found
}

/// A4-16.
#[test]
fn nothing_is_kept_outside_the_store_that_is_named() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    Image::new("linux/arm64").push_to(&registry, "app", "1");
    let (amd64, layout) = (cli.image("linux/amd64"), cli.layout().display().to_string());
    let remote = format!("docker://{}/app:1", registry.address());
    let store = cli.workspace.path().join("elsewhere");
    let before = tree(cli.workspace.path(), &store);
    for line in [
        &*format!("create app {amd64}"),
        &format!("add app {remote}"),
        &format!("add app {remote} --refresh"),
        "annotate --index app --annotation a=b",
        "undo app",
        "history app",
        "tag app more",
        "rename more other",
        "cp app copy",
        "remove copy --platform linux/arm64",
        "hold app --by ci",
        "release app --by ci",
        &format!("import base --image linux-amd64 --oci-dir {layout}"),
        "inspect base",
        "refresh app",
        "cache ls",
        &format!("cache rm {remote}"),
        &format!("push app {remote}0"),
        "push app --dry-run oci:nowhere:1",
        "ls",
        "df",
        "fsck --repair",
        "untag copy",
        "prune --older-than 0",
        "rm base",
        "gc --grace 0",
    ] {
        cli.ok(&format!("{line} --store {}", store.display()));
        assert_eq!(tree(cli.workspace.path(), &store), before, "{line}");
    }
    assert!(!cli.workspace.store().exists());
    cli.fails(3, "inspect app").says("list_not_found", &["app"]);
    assert_eq!(cli.run(&format!("exists app --store {}", store.display())).code, Some(0));
}
