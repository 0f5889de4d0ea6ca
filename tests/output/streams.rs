//! Results on standard output, everything else on standard error, and nothing that harms a terminal.

use std::io::{self, Write};
use std::process::Command;

use manifest_core::Digest;
use manifest_testkit::{FakeRegistry, Image, Index, Method, Ran, Workspace};
use serde_json::json;

use crate::in_process::{Buffer, Cli};

const MANIFEST: &str = env!("CARGO_BIN_EXE_manifest");

#[test]
fn a_result_is_all_that_stands_on_standard_output() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let image = cli.image("linux/amd64");
    let to = format!("{}/app:1", registry.address());
    for line in [
        "create app".to_owned(),
        format!("add app {image}"),
        "annotate --index app --annotation a=b".to_owned(),
        format!("push app {to}"),
        "tag app other".to_owned(),
        "remove app --platform linux/amd64".to_owned(),
        "rm other".to_owned(),
        "rm app".to_owned(),
    ] {
        let ran = cli.run(&line);
        let lines: Vec<&str> = ran.ok().lines().collect();
        let is_result = |line: &&str| {
            line.strip_prefix("sha256:").unwrap_or(line).bytes().all(|b| b.is_ascii_hexdigit())
                || line.starts_with("Untagged: ")
                || line.starts_with("Deleted: ")
        };
        assert!(!lines.is_empty() && lines.iter().all(is_result), "{ran:?}");
    }
}

#[test]
fn notes_are_left_out_when_quiet_is_asked_for() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let image = cli.image("linux/amd64");
    let push = format!("push app {}/app:1", registry.address());
    cli.ok("create app");
    for quiet in ["--quiet", "-q"] {
        for line in [format!("create --replace app {image}"), format!("add app {image}"), push.clone()] {
            let (loud, quiet) = (cli.run(&line), cli.run(&format!("{line} {quiet}")));
            assert_ne!(loud.stderr, "", "{loud:?}");
            assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""), "{quiet:?}");
        }
    }
    let failed = cli.run("inspect gone --quiet");
    assert!(failed.fails(3).starts_with("error: "), "an error is never too much");
}

#[test]
fn verbose_shows_requests_and_no_secrets() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    registry.basic("ann", "hunter2");
    Image::new("linux/amd64").push_to(&registry, "app", "amd64");
    cli.ok("create app");
    let host = registry.address();
    for line in [
        format!("add app {host}/app:amd64 -v --creds ann:hunter2"),
        format!("push app {host}/copy:1 --verbose --creds ann:hunter2"),
        format!("inspect docker://{host}/app:amd64 --creds=ann:hunter2 -v"),
    ] {
        let ran = cli.run(&line);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains(&format!(" http://{host}/v2/")) && ran.stderr.contains(" 20"), "{ran:?}");
        // The password, user and password as a header has them, and the state of an upload.
        for secret in ["hunter2", "YW5uOmh1bnRlcjI", "Basic", "_state="] {
            assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "{secret}: {ran:?}");
        }
    }
    for (path, bytes) in cli.store() {
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "{}", path.display());
    }
    let refused = cli.run(&format!("add app {host}/app:amd64 -v --creds ann:swordfish"));
    assert!(refused.fails(6).contains("error: "), "{refused:?}");
    assert!(!refused.stderr.contains("swordfish"), "{refused:?}");
}

#[test]
fn a_retry_is_told_unless_quiet() {
    let cli = Cli::new();
    for (flags, told) in [("", true), ("--quiet", false)] {
        let registry = FakeRegistry::start();
        Image::new("linux/amd64").push_to(&registry, "app", "1");
        registry.on(Method::Get, "/v2/app/manifests/1").reply(503);
        cli.ok("create --replace app");
        let ran = cli.run(&format!("add app {}/app:1 --retry-delay 1ms {flags}", registry.address()));
        ran.ok();
        assert_eq!(ran.stderr.contains("retry 1 of GET"), told, "{ran:?}");
    }
}

#[test]
fn with_json_each_line_on_standard_error_is_an_object() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    Image::new("linux/amd64").push_to(&registry, "app", "1");
    registry.on(Method::Get, "/v2/app/manifests/1").reply(503);
    cli.ok("create app");
    let ran = cli.run(&format!("add app {}/app:1 --retry-delay 1ms -v --output json", registry.address()));
    ran.ok();
    let notes: Vec<serde_json::Value> =
        ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(notes.len() > 3, "{ran:?}");
    assert!(notes.iter().all(|note| note["note"].is_string()), "{ran:?}");
}

/// A stream whose reader is gone.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_ends_every_verb_quietly() {
    let cli = Cli::new();
    let image = cli.image("linux/amd64");
    for line in [
        "create app",
        "ls",
        "inspect app",
        "inspect --raw app",
        "exists app --output json",
        "tag app more",
        &format!("add app {image}"),
        "annotate --index app --annotation a=b",
        "untag more",
        "version",
        "completions zsh",
        "--help",
        "create --help",
        "rm app",
    ] {
        let words = std::iter::once("manifest").chain(line.split_whitespace()).map(Into::into);
        let err = Buffer::default();
        let code = manifest_cli::run(words, cli.environment.clone(), Box::new(Closed), Box::new(err.clone()));
        let told = err.text();
        assert_eq!(code, 0, "{line}: {told}");
        assert!(!told.contains("error") && !told.contains("panic"), "{line}: {told}");
    }
    assert_eq!(cli.run("exists app").code, Some(1), "the work was done all the same");
}

#[test]
fn a_reader_that_is_gone_ends_the_process_quietly() {
    let workspace = Workspace::new();
    workspace.run(MANIFEST, ["create", "app"]).ok();
    for line in ["ls", "inspect app", "inspect --raw app", "completions bash", "version", "--help"] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = workspace.command(MANIFEST);
        let child = command.args(line.split_whitespace()).stdout(writer).stderr(std::process::Stdio::piped());
        let output = child.spawn().unwrap().wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{line}");
    }
}

#[test]
fn there_are_no_escape_sequences_off_a_terminal() {
    let workspace = Workspace::new();
    workspace.run(MANIFEST, ["create", "app"]).ok();
    for force in [("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1"), ("TERM", "xterm-256color")] {
        for line in [
            "ls",
            "inspect app",
            "--help",
            "create --help",
            "crate",
            "inspect gone",
            "inspect gone --output json",
        ] {
            let mut command = workspace.command(MANIFEST);
            let ran = Ran::of(command.args(line.split_whitespace()).env(force.0, force.1));
            assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{force:?} {ran:?}");
        }
    }
}

/// Runs the program on a terminal of its own, which `script` makes; what it prints there comes back.
fn on_a_terminal(workspace: &Workspace, line: &str, no_color: bool) -> String {
    let mut command: Command = workspace.command(manifest_testkit::program("script"));
    command.args(["--quiet", "--return", "--command", &format!("{MANIFEST} {line}"), "/dev/null"]);
    command.env("TERM", "xterm-256color");
    if no_color {
        command.env("NO_COLOR", "1");
    }
    Ran::of(&mut command).stdout
}

#[test]
fn colours_are_not_used_when_nobody_wants_them() {
    let workspace = Workspace::new();
    for line in ["--help", "inspect gone", "crate"] {
        let printed = on_a_terminal(&workspace, line, true);
        assert!(printed.contains("anifest") || printed.contains("error"), "{printed}");
        assert!(!printed.contains("\u{1b}["), "{printed:?}");
    }
}

#[test]
fn on_a_terminal_a_bar_shows_what_is_waited_for_and_is_gone_at_the_end() {
    let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
    let layout = workspace.path().join("images");
    Image::new("linux/amd64").layers(1, 300_000, 1).write_layout(&layout, "it");
    workspace.run(MANIFEST, ["create", "app", &format!("oci:{}:it", layout.display())]).ok();
    let push = |tag: &str, flags: &str| {
        registry.on(Method::Put, &format!("/v2/app/manifests/{tag}")).reply(429);
        let to = format!("docker://{}/app:{tag}", registry.address());
        on_a_terminal(&workspace, &format!("push app {to} --retry-delay 1ms {flags}"), true)
    };
    let printed = push("1", "");
    assert!(printed.contains("retry 1 of PUT"), "{printed:?}");
    assert!(printed.contains("retry in 0.0 s: status 429"), "{printed:?}");
    assert!(printed.contains(&format!("from {}", registry.address())), "{printed:?}");
    let result = printed.trim_end().rsplit(['\r', '\n']).next().unwrap();
    assert!(result.trim_start_matches("\u{1b}[2K").starts_with("sha256:"), "{printed:?}");
    for form in ["none", "plain", "json"] {
        let printed = push(form, &format!("--progress {form}"));
        assert!(!printed.contains('\u{1b}'), "{printed:?}");
    }
}

#[test]
fn control_characters_of_a_document_are_not_printed_raw() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let nasty = "\u{1b}]0;owned\u{7}\r\u{8}\u{7f}\u{9b}31m";
    let digest = Digest::sha256(b"x");
    let document = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "annotations": {"key": nasty, nasty: "value"}, "artifactType": nasty,
        "manifests": [
            {"mediaType": nasty, "digest": digest, "size": 1, "artifactType": nasty, "annotations": {nasty: nasty},
             "platform": {"os": nasty, "architecture": nasty, "variant": nasty, "os.version": nasty}},
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": Digest::sha256(b"y"), "size": 1,
             "platform": {"os": nasty, "architecture": "b"}},
        ],
    });
    let bytes = document.to_string();
    registry.put_manifest("app", "1", "application/vnd.oci.image.index.v1+json", bytes);
    let image = format!("docker://{}/app:1", registry.address());
    for line in [
        format!("create app --from {image}"),
        "inspect app".to_owned(),
        "inspect app --output json".to_owned(),
        "ls".to_owned(),
        format!("inspect {image}"),
        format!("inspect {image} --output json"),
        format!("create other {image}"),
        format!("create other {image} --output json"),
        format!("create other {image} --platform linux/amd64"),
        format!("create third {image} --all"),
        "remove app --platform linux/amd64".to_owned(),
        format!("inspect {image}{nasty}"),
    ] {
        // Not by words: the nasty ones hold white space.
        let ran = cli.run_words(line.split(' '));
        let printed = format!("{}{}", ran.stdout, ran.stderr);
        let raw = printed.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(raw, None, "{ran:?}");
        assert!(!printed.contains("panic"), "{ran:?}");
    }
}

#[test]
fn what_a_registry_says_is_not_printed_raw() {
    let (cli, registry) = (Cli::new(), FakeRegistry::start());
    let says = r#"{"errors":[{"code":"DENIED","message":"no\u001b[31m\u009b\nerror: forged"}]}"#;
    registry.on(Method::Get, "/v2/app/manifests/*").reply(403).body(says).always();
    cli.ok("create app");
    let ran = cli.run(&format!("add app {}/app:1", registry.address()));
    let told = ran.fails(6);
    assert!(
        !told.contains('\u{1b}') && !told.contains('\u{9b}') && !told.contains("\nerror: forged"),
        "{told:?}"
    );
}

#[test]
fn a_list_of_the_store_is_shown_alike_each_time() {
    let cli = Cli::new();
    let list = cli.put_index(&Index::of(&[&Image::new("linux/amd64"), &Image::new("linux/arm64")]), "list");
    cli.ok(&format!("create app --all {list}"));
    for line in ["inspect app", "inspect app --output json", "inspect --raw app", "ls", "ls --output json"] {
        assert_eq!(cli.ok(line), cli.ok(line), "{line}");
    }
}
