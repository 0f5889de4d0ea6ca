//! `manifest push --ci-output`: what the jobs of GitHub and GitLab are told.

use std::fs;
use std::path::PathBuf;

use manifest_testkit::FakeRegistry;
use serde_json::Value;

use crate::in_process::Cli;

/// A list, and a registry to push it to.
fn app() -> (Cli, FakeRegistry) {
    let cli = Cli::new();
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    (cli, FakeRegistry::start())
}

fn set(cli: &mut Cli, name: &str, value: impl Into<std::ffi::OsString>) {
    cli.environment.variables.insert(name.into(), value.into());
}

/// Sets the variables of a GitHub job; the files of its outputs and of its summary.
fn github(cli: &mut Cli) -> (PathBuf, PathBuf) {
    let (outputs, summary) = (cli.workspace.path().join("outputs"), cli.workspace.path().join("summary"));
    set(cli, "GITHUB_ACTIONS", "true");
    set(cli, "GITHUB_OUTPUT", &outputs);
    set(cli, "GITHUB_STEP_SUMMARY", &summary);
    (outputs, summary)
}

/// The outputs as GitHub reads them.
fn outputs(text: &str) -> Vec<(String, String)> {
    let (mut lines, mut outputs) = (text.lines(), Vec::new());
    while let Some(line) = lines.next() {
        let (name, end) = line.split_once("<<").unwrap_or_else(|| panic!("{line:?} in {text}"));
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
        outputs.push((name.to_owned(), value.join("\n")));
    }
    outputs
}

#[test]
fn github_is_told_digest_image_tags_and_all_of_it() {
    let (mut cli, registry) = app();
    let (file, summary) = github(&mut cli);
    fs::write(&file, "before<<x\n1\nx\n").unwrap();
    let host = registry.address();
    for wanted in ["auto", "github"] {
        let printed = cli.ok(&format!("push app docker://{host}/app:1.0,1 --ci-output {wanted}"));
        let digest = printed.trim();
        let told = outputs(&fs::read_to_string(&file).unwrap());
        assert_eq!(told[0], ("before".to_owned(), "1".to_owned()));
        let find = |name: &str| &told.iter().rev().find(|(it, _)| it == name).unwrap().1;
        assert_eq!(find("digest"), digest);
        assert_eq!(*find("image"), format!("{host}/app@{digest}"));
        assert_eq!(*find("tags"), format!("{host}/app:1.0\n{host}/app:1"));
        let metadata: Value = serde_json::from_str(find("metadata")).unwrap();
        assert_eq!((&metadata["schema"], &metadata["digest"]), (&"push/2".into(), &digest.into()));
        let table = fs::read_to_string(&summary).unwrap();
        assert!(table.contains(&format!("| docker://{host}/app:1.0,1 | `{digest}` |\n")), "{table}");
    }
    assert_eq!(outputs(&fs::read_to_string(&file).unwrap()).len(), 9);
}

#[test]
fn a_hostile_target_adds_no_output_and_no_markup() {
    let (mut cli, _registry) = app();
    let (file, summary) = github(&mut cli);
    let target = format!("oci:{}:x\nimage<<E\nevil\nE\n|<b>", cli.workspace.path().join("out").display());
    let ran = cli.run_words(["push", "app", &target, "--ci-output", "auto"]);
    ran.ok();
    let told = outputs(&fs::read_to_string(&file).unwrap());
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["digest", "tags", "metadata"], "a layout is no image that could be pulled");
    let table = fs::read_to_string(&summary).unwrap();
    assert_eq!((table.lines().count(), table.contains("<b>")), (4, false), "{table}");
}

#[test]
fn gitlab_gets_a_dotenv_file() {
    let (mut cli, registry) = app();
    set(&mut cli, "GITLAB_CI", "true");
    let host = registry.address();
    let file = cli.workspace.path().join("out.env");
    let push = format!("push app docker://{host}/app:1.0,1 --ci-output gitlab={}", file.display());
    let digest = cli.ok(&push);
    let digest = digest.trim();
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(
        text,
        format!(
            "MANIFEST_DIGEST={digest}\nMANIFEST_IMAGE={host}/app@{digest}\nMANIFEST_TAGS={host}/app:1.0 {host}/app:1\n"
        )
    );
    cli.ok(&push);
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "it is written anew");
}

#[test]
fn elsewhere_auto_writes_nothing() {
    let (cli, registry) = app();
    cli.ok(&format!("push app docker://{}/app:1 --ci-output auto", registry.address()));
    cli.fails(2, &format!("push app docker://{}/app:1 --ci-output github", registry.address()))
        .says("misuse", &["$GITHUB_OUTPUT", "--ci-output auto"]);
    cli.fails(2, &format!("push app docker://{}/app:1 --ci-output jenkins", registry.address()))
        .says("misuse", &["github, gitlab, gitlab=FILE or auto"]);
}

#[test]
fn files_that_cannot_be_written_are_told_of_before_anything_is_sent() {
    let (mut cli, registry) = app();
    let nowhere = cli.workspace.path().join("none/x");
    let push = format!("push app docker://{}/app:1", registry.address());
    cli.fails(3, &format!("{push} --ci-output gitlab={}", nowhere.display()))
        .says("file_not_found", &["cannot write"]);
    set(&mut cli, "GITHUB_OUTPUT", &nowhere);
    cli.fails(3, &format!("{push} --ci-output github")).says("file_not_found", &["cannot write"]);
    assert_eq!(registry.requests().len(), 0);
}

#[test]
fn a_push_that_fails_tells_no_job_of_it() {
    let (mut cli, registry) = app();
    let (file, _) = github(&mut cli);
    cli.fails(
        8,
        &format!("push app docker://{}/app:1 --require linux/s390x --ci-output auto", registry.address()),
    );
    assert_eq!(fs::read_to_string(&file).unwrap_or_default(), "");
    cli.ok(&format!("push --dry-run app docker://{}/app:1 --ci-output auto", registry.address()));
    assert_eq!(fs::read_to_string(&file).unwrap_or_default(), "");
}
