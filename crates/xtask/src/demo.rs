//! `cargo xtask demo`: from two images to a published list, without a server and without root.

mod image;
mod layout;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::failure::Failure;
use crate::workspace::Workspace;
use image::Image;

pub(crate) const ARGUMENTS: &str = "[DIR]";

/// Where the pushed list lies, inside the demo's directory.
const TARGET: &str = "oci:published:1.0";
const DIGEST_FILE: &str = "digest.txt";

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let chosen = match arguments {
        [] => None,
        [dir] if !dir.starts_with('-') => Some(Path::new(dir)),
        _ => return Err(Failure::Usage(format!("usage: cargo xtask demo {ARGUMENTS}"))),
    };
    let program = build(workspace)?;
    let dir = prepare(chosen)?;
    let (amd64, arm64) = (Image::linux("amd64"), Image::linux("arm64"));
    layout::write(&dir.join("images"), &[("amd64", &amd64), ("arm64", &arm64)])?;
    println!("# two images lie in {}", dir.join("images").display());
    for arguments in script(&arm64.manifest.digest) {
        let mut command = manifest(&program, &dir);
        command.args(arguments);
        println!("\n$ {}", command::line(&command));
        command::run(command)?;
    }
    conclude(&dir)
}

/// The commands, as one would type them in the demo's directory.
fn script(arm64: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["create", "demo:1.0", "oci:images:amd64"],
        vec!["add", "demo:1.0", "oci:images:arm64"],
        vec!["annotate", "demo:1.0", arm64, "--annotation", "org.example.board=rpi5"],
        vec!["annotate", "--index", "demo:1.0", "--annotation", "org.opencontainers.image.version=1.0"],
        vec!["inspect", "demo:1.0"],
        vec!["push", "demo:1.0", TARGET, "--digestfile", DIGEST_FILE],
        vec!["inspect", TARGET],
    ]
}

/// The program with a store and settings of its own, so that the demo neither sees nor touches the user's.
fn manifest(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir);
    command.env("MANIFEST_STORE", dir.join("store")).env("XDG_CONFIG_HOME", dir.join("config"));
    command
}

fn conclude(dir: &Path) -> Result<(), Failure> {
    let file = dir.join(DIGEST_FILE);
    let digest = fs::read_to_string(&file).map_err(Failure::file("read", &file))?;
    println!("\n# the list was published as {}", digest.trim());
    println!("# look at it with another tool:");
    println!("#   cd {} && skopeo inspect --raw {TARGET}", dir.display());
    Ok(())
}

/// Builds the program and returns where it lies.
fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let arguments = ["build", "--package", "manifest-cli", "--bin", "manifest"];
    let mut cargo = workspace.cargo(&arguments);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    let messages = command::output(cargo)?;
    executable(&String::from_utf8_lossy(&messages))
        .ok_or_else(|| Failure::Answer { program: "cargo build", problem: "it built no manifest".to_owned() })
}

/// The program that the messages of `cargo build` name.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut ours = messages.filter(|message| {
        message.pointer("/target/name").is_some_and(|name| name == "manifest")
            && message.pointer("/target/kind/0").is_some_and(|kind| kind == "bin")
    });
    ours.find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
}

/// The directory of the demo: new, or the user's when it is empty. Nothing is ever deleted in it.
fn prepare(chosen: Option<&Path>) -> Result<PathBuf, Failure> {
    let Some(dir) = chosen else {
        let temporary = tempfile::Builder::new().prefix("manifest-demo-").tempdir();
        // Kept: the last words of the demo invite to look around in it.
        return temporary
            .map(tempfile::TempDir::keep)
            .map_err(Failure::file("make a directory in", &std::env::temp_dir()));
    };
    fs::create_dir_all(dir).map_err(Failure::file("make", dir))?;
    let mut content = fs::read_dir(dir).map_err(Failure::file("list", dir))?;
    if content.next().is_some() {
        return Err(Failure::Refused(vec![format!("{} is not empty: name a new directory", dir.display())]));
    }
    dir.canonicalize().map_err(Failure::file("find", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_where_cargo_says() {
        let messages = concat!(
            "not json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"manifest_cli","kind":["lib"]},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"manifest","kind":["bin"]},"executable":"/t/debug/manifest"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(executable(messages), Some(PathBuf::from("/t/debug/manifest")));
        assert_eq!(executable(""), None);
    }

    #[test]
    fn a_directory_with_something_in_it_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "").unwrap();
        let failure = prepare(Some(dir.path())).unwrap_err().to_string();
        assert!(failure.ends_with("is not empty: name a new directory"), "{failure}");
        assert!(prepare(Some(&dir.path().join("new"))).unwrap().ends_with("new"));
    }
}
