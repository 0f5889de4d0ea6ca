//! `manifest create`: names, what it does when a name is taken, and what it puts into a list.

use manifest_testkit::Image;

use crate::in_process::Cli;

#[test]
fn create_prints_the_id_and_the_list_is_empty() {
    let cli = Cli::new();
    let id = cli.ok("create app");
    assert!(id.len() == 65 && id.trim().bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    assert_eq!(
        cli.ok("inspect --raw app"),
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#
    );
    assert_eq!(cli.ok("inspect --raw localhost/app:latest"), cli.ok(&format!("inspect --raw {id}")));
}

#[test]
fn images_become_entries_in_their_order() {
    let cli = Cli::new();
    let (arm64, amd64) = (cli.image("linux/arm64/v8"), cli.image("linux/amd64"));
    let ran = cli.run(&format!("create app:1 {arm64} {amd64}"));
    ran.ok();
    assert_eq!(ran.stderr, format!("from {arm64}\nfrom {amd64}\n"));
    assert_eq!(
        cli.entries("app:1"),
        [("linux/arm64/v8".to_owned(), arm64.digest), ("linux/amd64".to_owned(), amd64.digest)]
    );
}

#[test]
fn a_taken_name_is_refused_and_says_what_helps() {
    let cli = Cli::new();
    let id = cli.ok("create app");
    let failed = cli.fails(4, "create app");
    failed
        .says("name_taken", &["localhost/app:latest", &id[..12], "--if-exists amend", "--if-exists replace"]);
    cli.fails(4, "create app --if-exists fail").says("name_taken", &[]);
}

#[test]
fn a_taken_name_is_told_before_an_image_is_read() {
    let cli = Cli::new();
    cli.ok("create app");
    cli.fails(4, "create app oci:/nowhere").says("name_taken", &[]);
}

#[test]
fn amend_adds_to_the_list_that_is_there() {
    for amend in ["--amend", "-a", "--if-exists amend", "--if-exists=amend"] {
        let cli = Cli::new();
        let (amd64, arm64) = (cli.image("linux/amd64"), cli.image("linux/arm64"));
        let id = cli.ok(&format!("create app {amd64} --annotation kept=1"));
        assert_eq!(cli.ok(&format!("create {amend} app {arm64} --annotation new=2")), id);
        assert_eq!(cli.platforms("app"), ["linux/amd64", "linux/arm64"]);
        assert_eq!(cli.document("app")["annotations"], serde_json::json!({"kept": "1", "new": "2"}));
    }
}

#[test]
fn amend_puts_an_image_in_the_place_of_the_one_for_its_platform() {
    let cli = Cli::new();
    let (amd64, arm64) = (cli.image("linux/amd64"), cli.image("linux/arm64"));
    let newer = cli.put(&Image::new("linux/amd64").layer("newer"), "newer");
    cli.ok(&format!("create app {amd64} {arm64}"));
    cli.ok(&format!("create --amend app {newer}"));
    assert_eq!(cli.platforms("app"), ["linux/amd64", "linux/arm64"]);
    assert_eq!(cli.entries("app")[0].1, newer.digest);
}

#[test]
fn amend_of_a_list_that_is_not_there_makes_it() {
    let cli = Cli::new();
    cli.ok(&format!("create --amend app {}", cli.image("linux/amd64")));
    assert_eq!(cli.platforms("app"), ["linux/amd64"]);
}

#[test]
fn amend_with_nothing_to_add_changes_nothing() {
    let cli = Cli::new();
    let id = cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    let before = cli.store();
    assert_eq!(cli.ok("create --amend app"), id);
    assert_eq!(cli.store(), before);
}

#[test]
fn replace_takes_the_name_and_the_old_list_stays() {
    for replace in ["--replace", "--if-exists replace"] {
        let cli = Cli::new();
        let old = cli.ok(&format!("create app {}", cli.image("linux/amd64")));
        let new = cli.ok(&format!("create {replace} app"));
        assert_ne!(old, new);
        assert_eq!(cli.platforms("app"), [""; 0]);
        assert_eq!(cli.platforms(old.trim()), ["linux/amd64"]);
        assert!(cli.ok("ls").contains("<none>"));
    }
}

#[test]
fn amend_and_replace_exclude_each_other() {
    let cli = Cli::new();
    for both in ["--amend --replace", "--amend --if-exists replace", "--replace --if-exists fail"] {
        cli.fails(2, &format!("create app {both}")).says("misuse", &["cannot be used with"]);
    }
    assert_eq!(cli.run("exists app").code, Some(1));
}

#[test]
fn annotations_artifact_type_and_subject_stand_in_the_list() {
    let cli = Cli::new();
    let subject = cli.image("linux/amd64");
    cli.ok(&format!(
        "create app --annotation a=1 --annotation b=x=y,z --annotation empty= --artifact-type application/x --subject {subject}"
    ));
    let document = cli.document("app");
    assert_eq!(document["annotations"], serde_json::json!({"a": "1", "b": "x=y,z", "empty": ""}));
    assert_eq!(document["artifactType"], "application/x");
    assert_eq!(document["subject"]["digest"], *subject.digest);
    assert_eq!(document["subject"]["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert!(document["subject"]["size"].as_u64().unwrap() > 100);
}

#[test]
fn annotations_need_a_key_and_a_sign() {
    let cli = Cli::new();
    cli.fails(2, "create app --annotation hoge").says("misuse", &["hoge", "KEY=VALUE"]);
    cli.fails(2, "create app --annotation =x").says("misuse", &["the key is empty"]);
}

#[test]
fn the_format_follows_the_images_unless_it_is_given() {
    const OCI: &str = "application/vnd.oci.image.index.v1+json";
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    let cli = Cli::new();
    let docker = cli.put(&Image::new("linux/amd64").docker(), "docker");
    let oci = cli.image("linux/arm64");
    for (number, (arguments, expected)) in [
        (String::new(), OCI),
        (format!("{docker}"), DOCKER),
        (format!("{docker} {oci}"), OCI),
        (format!("{docker} --annotation a=b"), OCI),
        (format!("{docker} --format oci"), OCI),
        (format!("{docker} -f v2s2"), DOCKER),
        ("--format v2s2".to_owned(), DOCKER),
        ("--format docker".to_owned(), DOCKER),
    ]
    .into_iter()
    .enumerate()
    {
        cli.ok(&format!("create app:{number} {arguments}"));
        assert_eq!(cli.document(&format!("app:{number}"))["mediaType"], expected, "{arguments}");
    }
    cli.fails(2, "create app:x --format tar").says("misuse", &["tar", "--format"]);
}

#[test]
fn what_a_docker_list_has_no_place_for_is_refused() {
    let cli = Cli::new();
    let oci = cli.image("linux/arm64");
    cli.fails(8, "create app --format v2s2 --annotation a=b")
        .says("not_representable", &["a Docker manifest list", "annotations", "--format oci"]);
    cli.fails(8, &format!("create app --format v2s2 {oci}"))
        .says("oci_child", &[&oci.digest, "--format oci"]);
    assert_eq!(cli.run("exists app").code, Some(1));
}

#[test]
fn amend_changes_the_format_of_a_list() {
    let cli = Cli::new();
    cli.ok("create app --format v2s2");
    cli.ok("create --amend --format oci app --annotation a=b");
    assert_eq!(cli.document("app")["mediaType"], "application/vnd.oci.image.index.v1+json");
}

#[test]
fn two_images_for_one_platform_are_refused_unless_that_is_wanted() {
    let cli = Cli::new();
    let one = cli.image("linux/arm64");
    let other = cli.put(&Image::new("linux/arm64/v8").layer("other"), "other");
    let failed = cli.fails(4, &format!("create app {one} {other}"));
    failed.says("platform_taken", &["linux/arm64", &one.digest, "--allow-duplicate"]);
    assert!(!failed.hint.contains("--replace"), "here --replace would take the name: {}", failed.hint);
    assert_eq!(cli.run("exists app").code, Some(1), "nothing is left of a list that failed");
    cli.ok(&format!("create app {one} {other} --allow-duplicate"));
    assert_eq!(cli.entries("app").len(), 2);
}

#[test]
fn the_same_image_twice_is_one_entry() {
    let cli = Cli::new();
    let one = cli.image("linux/arm64");
    cli.ok(&format!("create app {one} {one}"));
    assert_eq!(cli.platforms("app"), ["linux/arm64"]);
}

#[test]
fn one_bad_image_leaves_no_list_behind() {
    let cli = Cli::new();
    let good = cli.image("linux/arm64");
    cli.fails(3, &format!("create app {good} oci:{}:gone", cli.layout().display()))
        .says("image_not_found", &[":gone", "linux-arm64"]);
    assert_eq!(cli.store(), std::collections::BTreeMap::new());
}
