//! What the machine refuses: a full disk, a read-only directory. The program runs as a process here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use manifest_testkit::{Image, Ran, Workspace};

const MANIFEST: &str = env!("CARGO_BIN_EXE_manifest");

/// The files below a directory, but for locks.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.ends_with("locks") => {}
                true => dirs.push(path),
                false => drop(found.insert(path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    found
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Runs the program with a limit on the size of any file it writes, in units of 512 bytes.
fn with_small_files(workspace: &Workspace, blocks: u32, line: &str) -> Ran {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {MANIFEST} {line}");
    Ran::of(workspace.command("sh").arg("-c").arg(script))
}

/// A list so long that its record does not fit where there is little room.
fn long_list(workspace: &Workspace) -> String {
    let long = "x".repeat(100_000);
    workspace.run(MANIFEST, ["create", "app", "--annotation", &format!("long={long}")]).ok();
    long
}

#[test]
fn a_record_that_does_not_fit_leaves_the_old_one() {
    let workspace = Workspace::new();
    long_list(&workspace);
    let before = files(&workspace.store());
    let ran = with_small_files(&workspace, 64, "annotate --index app --annotation a=b");
    let message = ran.fails(12);
    assert!(message.starts_with("error: cannot write "), "{ran:?}");
    assert!(message.contains("records/") && message.contains("because: "), "{ran:?}");
    assert_eq!(ran.stdout, "");
    assert_eq!(files(&workspace.store()), before, "the store changed");
    let ran = with_small_files(&workspace, 64, "annotate --index app --annotation a=b --output json");
    let error: serde_json::Value = serde_json::from_str(ran.fails(12)).unwrap();
    assert_eq!(error["error"]["exit"], 12);
    workspace.run(MANIFEST, ["annotate", "--index", "app", "--annotation", "a=b"]).ok();
}

/// A file system of its own, unmounted when the test ends.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: PathBuf, options: &str) -> Self {
        fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at);
        Ran::of(&mut mount).ok();
        Self(at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Ran::of(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

#[test]
fn a_full_disk_changes_nothing_and_says_so() {
    let workspace = Workspace::new();
    if !is_root() {
        // Nobody else can mount; the limit on files stands for the disk.
        long_list(&workspace);
        with_small_files(&workspace, 64, "annotate --index app --annotation a=b").fails(12);
        return;
    }
    let disk = Mounted::tmpfs(workspace.path().join("disk"), "size=1m");
    let store = disk.0.join("store");
    let run = |words: &[&str]| {
        let store = store.to_str().unwrap();
        workspace.run(MANIFEST, ["--store", store].iter().chain(words))
    };
    run(&["create", "app"]).ok();
    // All but the last few pages.
    let filler = vec![0; (1 << 20) - (64 << 10)];
    fs::write(disk.0.join("filler"), &filler).unwrap_or_default();
    let before = files(&store);
    let long = format!("long={}", "x".repeat(100_000));
    for words in [
        &["annotate", "--index", "app", "--annotation", &long][..],
        &["create", "other", "--annotation", &long],
    ] {
        let ran = run(words);
        let message = ran.fails(12);
        assert!(message.contains("No space left") && message.contains("nothing was changed"), "{message}");
        assert_eq!(ran.stdout, "");
        assert_eq!(files(&store), before, "the store changed");
    }
    let layout = disk.0.join("layout");
    let image = Image::new("linux/amd64").layers(1, 300_000, 1);
    image.write_layout(&workspace.path().join("images"), "a");
    run(&["create", "small", &format!("oci:{}:a", workspace.path().join("images").display())]).ok();
    let before = files(&store);
    let ran = run(&["push", "small", &format!("oci:{}:a", layout.display())]);
    assert!(ran.fails(12).contains("No space left"), "{ran:?}");
    assert!(!layout.join("index.json").exists(), "what is not whole has no name");
    // That it failed is written down, where there is room for that.
    let mut after = files(&store);
    after.retain(|path, _| !path.starts_with(store.join("publications")));
    assert_eq!(after, before);

    fs::remove_file(disk.0.join("filler")).unwrap();
    run(&["annotate", "--index", "app", "--annotation", &long]).ok();
    run(&["push", "small", &format!("oci:{}:a", layout.display())]).ok();
}

/// A4-2.
#[test]
fn a_store_that_may_not_be_written_can_still_be_read() {
    let workspace = Workspace::new();
    let at = workspace.path().join("readonly");
    let store = at.join("store");
    let run = |line: &str| {
        let words = line.split_whitespace();
        workspace.run(MANIFEST, ["--store", store.to_str().unwrap()].into_iter().chain(words))
    };
    // Root may write everywhere but on a read-only file system.
    let _disk = is_root().then(|| Mounted::tmpfs(at.clone(), "size=1m"));
    run("create app").ok();
    let writable = |yes: bool| {
        if is_root() {
            let options = if yes { "remount,rw" } else { "remount,ro" };
            Ran::of(Command::new("mount").args(["-o", options]).arg(&at)).ok();
        } else {
            for dir in ["records", "names", "locks", "."] {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = if yes { 0o700 } else { 0o500 };
                fs::set_permissions(store.join(dir), fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    };
    writable(false);
    let before = files(&store);
    for line in ["annotate --index app --annotation a=b", "create other", "tag app new", "rm app"] {
        let ran = run(line);
        let message = ran.fails(12);
        assert!(message.contains(store.to_str().unwrap()), "{message}");
        assert!(message.contains("--store or $MANIFEST_STORE"), "{message}");
        assert_eq!(ran.stdout, "");
        let object: serde_json::Value =
            serde_json::from_str(run(&format!("{line} --output json")).fails(12)).unwrap();
        assert_eq!(object["error"]["kind"], "permission");
    }
    assert_eq!(files(&store), before);
    for line in ["ls", "inspect app", "exists app"] {
        run(line).ok();
    }
    writable(true);
    run("annotate --index app --annotation a=b").ok();
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let workspace = Workspace::new();
    workspace.run(MANIFEST, ["create", "app"]).ok();
    for line in ["ls", "inspect app", "version", "completions bash", "inspect --raw app"] {
        let script = format!("{MANIFEST} {line} > /dev/full");
        let ran = Ran::of(workspace.command("sh").arg("-c").arg(script));
        assert!(ran.fails(12).starts_with("error: cannot write the output\n"), "{ran:?}");
    }
}
