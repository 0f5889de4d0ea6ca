//! Who may read what the program writes, and where it writes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use manifest_testkit::{FakeRegistry, Image, Index, Ran, Tar, Workspace};
use serde_json::json;

use super::{MANIFEST, manifest};

/// All files and directories below one, with their modes.
fn modes(dir: &Path) -> BTreeMap<PathBuf, u32> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        found.insert(path.clone(), metadata.permissions().mode() & 0o7777);
        if metadata.is_dir() {
            found.extend(modes(&path));
        }
    }
    found
}

/// SEC-37.
#[test]
fn nobody_else_reads_the_store_or_the_logins_whatever_the_umask_allows() {
    let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
    registry.basic("ann", "pw");
    let (amd64, arm64) = (Image::new("linux/amd64").layers(2, 1000, 1), Image::new("linux/arm64"));
    Index::of(&[&amd64, &arm64]).write_layout(&workspace.path().join("layout"), "v1");
    let host = registry.address();
    let lines = [
        format!("login -u ann --password-stdin {host}"),
        "create app --all oci:layout:v1".to_owned(),
        "import kept --oci-dir layout".to_owned(),
        format!("push app docker://{host}/app:1"),
        format!("create other --all docker://{host}/app:1"),
        "hold app --by me".to_owned(),
        "annotate --index app --annotation a=b".to_owned(),
        "tag app more".to_owned(),
        "undo app".to_owned(),
        format!("push kept docker://{host}/kept:1 docker://127.0.0.1:1/kept:1 --retry 0"),
        "rm other".to_owned(),
        "gc".to_owned(),
        "export kept --oci-dir out".to_owned(),
    ];
    for line in lines {
        let mut command = workspace.command("sh");
        command.args(["-c", "umask 000; exec \"$0\" \"$@\"", MANIFEST]).args(line.split(' '));
        let ran = Ran::with_input(&mut command, b"pw\n");
        assert!(ran.code == Some(0) || line.contains("127.0.0.1:1/"), "{ran:?}");
    }
    let mut seen = 0;
    for dir in [workspace.store(), workspace.path().join("run")] {
        for (path, mode) in modes(&dir) {
            let directory = path.is_dir();
            assert_eq!(mode, if directory { 0o700 } else { 0o600 }, "{}: {mode:o}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
    assert_eq!(fs::metadata(workspace.store()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(workspace.path().join("tmp")).unwrap().count(), 0, "nothing stays behind");
}

/// Everything in the workspace that is not in the store, but for what a test wrote there.
fn outside(workspace: &Workspace) -> Vec<PathBuf> {
    let store = workspace.store();
    modes(workspace.path()).into_keys().filter(|path| !path.starts_with(&store)).collect()
}

/// SEC-32, SEC-33, SEC-35, SEC-40: links and names from outside are never paths of ours.
#[test]
fn names_and_links_from_outside_lead_nowhere() {
    let workspace = Workspace::new();
    let image = Image::new("linux/amd64");
    let layer = &image.layer_archives()[0].bytes;
    let config = image.config();
    for (at, name) in [
        "../../evil:1",
        "/etc/evil:1",
        "a/../../evil:1",
        "..",
        "evil\0:1",
        "C:\\evil",
        "%2e%2e/evil",
        "~/evil",
    ]
    .iter()
    .enumerate()
    {
        let index = json!([{"Config": "config.json", "Layers": ["dir/layer.tar"], "RepoTags": [name]}]);
        let tar = Tar::new()
            .symlink("dir", &workspace.path().join("victim").display().to_string())
            .symlink("link", "../../../victim")
            .file("link/below", "evil")
            .file("dir/layer.tar", layer)
            .file("config.json", &config)
            .file("manifest.json", index.to_string());
        workspace.write(&format!("archives/{at}.tar"), tar.finish());
        let titled = Image::new("linux/amd64")
            .annotation("org.opencontainers.image.title", name)
            .annotation("org.opencontainers.image.ref.name", name);
        titled.write_layout(&workspace.path().join(format!("layouts/{at}")), name);
    }
    fs::create_dir(workspace.path().join("victim")).unwrap();
    let before = outside(&workspace);
    for at in 0..8 {
        for from in [format!("--docker-archive archives/{at}.tar"), format!("--oci-dir layouts/{at}")] {
            for words in [format!("import --all {from}"), format!("import kept{at} {from} --replace")] {
                let ran = manifest(&workspace, &words);
                assert!(matches!(ran.code, Some(0 | 1 | 2 | 7)), "{ran:?}");
            }
        }
    }
    for name in ["../evil", "/evil", "a/../../evil", "..", ".", "evil/../x", "\u{202e}evil", "evil\n"] {
        let ran = Ran::of(workspace.command(MANIFEST).args(["create", name]));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let ran = Ran::of(workspace.command(MANIFEST).args(["inspect", &format!("store:{name}")]));
        assert!(matches!(ran.code, Some(2 | 3)), "{ran:?}");
    }
    assert_eq!(outside(&workspace), before);
    for (path, _) in modes(&workspace.store()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(!name.contains("evil") || !name.contains(".."), "{}", path.display());
    }
    let listed = manifest(&workspace, "ls -q");
    for id in listed.ok().lines() {
        manifest(&workspace, &format!("export {id} --oci-dir out --append"));
    }
    let new: Vec<_> = outside(&workspace)
        .into_iter()
        .filter(|path| !before.contains(path) && !path.starts_with(workspace.path().join("out")))
        .collect();
    assert_eq!(new, Vec::<PathBuf>::new());
}
