//! Logins from every place people keep them, TLS, and what happens when they are wrong.

#![allow(
    clippy::unwrap_used,
    clippy::type_complexity,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a broken promise ends a test by a panic; files of tests need not survive a crash"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use manifest_testkit::{DockerRegistry, FakeRegistry, Http, Image, Index, Ran, TokenServer, Tool, Workspace};

const MANIFEST: &str = env!("CARGO_BIN_EXE_manifest");

const USER: &str = "ann";
const PASSWORD: &str = "horse-battery";
/// `ann:horse-battery` as it stands in headers and files.
const ENCODED: &str = "YW5uOmhvcnNlLWJhdHRlcnk=";

/// Our program with a command line without quoting, told to show all it can.
fn command(workspace: &Workspace, words: &str) -> Command {
    let mut command = workspace.command(MANIFEST);
    command.arg("-v").args(words.split(' ').filter(|word| !word.is_empty()));
    command
}

/// Runs it, and sees to it that no secret is printed.
fn run(command: &mut Command) -> Ran {
    let ran = Ran::of(command);
    for secret in [PASSWORD, ENCODED] {
        let printed = ran.stdout.contains(secret) || ran.stderr.contains(secret);
        assert!(!printed, "{secret} was printed: {ran:?}");
    }
    ran
}

fn manifest(workspace: &Workspace, words: &str) -> Ran {
    run(&mut command(workspace, words))
}

/// The text of a credential file with one login.
fn auth_file(host: &str) -> String {
    format!(r#"{{"auths": {{"{host}": {{"auth": "{ENCODED}"}}}}}}"#)
}

/// A layout `layout:v1` in the workspace, with a list of two images.
fn write_layout(workspace: &Workspace) {
    let (amd64, arm64) = (Image::new("linux/amd64"), Image::new("linux/arm64"));
    Index::of(&[&amd64, &arm64]).write_layout(&workspace.path().join("layout"), "v1");
}

/// All files below a directory, as text.
fn all_text(dir: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        text.push_str(&if path.is_dir() {
            all_text(&path)
        } else {
            String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
        });
    }
    text
}

/// Only one thing is said to be wrong, and nothing was tried again.
#[track_caller]
fn one_message(ran: &Ran, code: i32) -> &str {
    let said = ran.fails(code);
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(!said.contains("retry "), "{said}");
    said
}

#[test]
fn a_login_is_found_wherever_people_keep_it() {
    let registry = DockerRegistry::with_htpasswd(USER, PASSWORD);
    let host = registry.address();
    let client = Http::to(&host).basic(USER, PASSWORD);
    Image::new("linux/amd64").push_with(&client, "app", "amd64");
    let arm64 = Image::new("linux/arm64").push_with(&client, "app", "arm64");

    let helper = format!(
        "#!/bin/sh\nread server\n[ \"$1 $server\" = \"get {host}\" ] || exit 3\n\
         echo '{{\"ServerURL\": \"{host}\", \"Username\": \"{USER}\", \"Secret\": \"{PASSWORD}\"}}'\n"
    );
    let helpers = format!(r#"{{"credHelpers": {{"{host}": "testkit"}}}}"#);
    let (creds, file) = (format!("--creds {USER}:{PASSWORD}"), auth_file(&host));
    let places: [(&str, &str, &[(&str, &str)]); 8] = [
        ("--creds", &creds, &[]),
        ("--authfile", "--authfile my.json", &[("my.json", &file)]),
        ("XDG_RUNTIME_DIR", "", &[("run/containers/auth.json", &file)]),
        ("XDG_CONFIG_HOME", "", &[("home/.config/containers/auth.json", &file)]),
        ("docker", "", &[("home/.docker/config.json", &file)]),
        ("REGISTRY_AUTH_FILE", "", &[("own.json", &file)]),
        ("helper", "", &[("home/.docker/config.json", &helpers), ("bin/docker-credential-testkit", &helper)]),
        (
            "helper of containers",
            "",
            &[("run/containers/auth.json", &helpers), ("bin/docker-credential-testkit", &helper)],
        ),
    ];
    for (place, options, files) in places {
        let workspace = Workspace::new();
        for (file, text) in files {
            let path = workspace.write(file, text);
            if file.starts_with("bin/") {
                Ran::of(Command::new("chmod").arg("+x").arg(&path)).ok();
            }
        }
        let bin = workspace.path().join("bin");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let our = |words: &str| {
            let mut command = command(&workspace, words);
            command.env("PATH", &path);
            if place == "REGISTRY_AUTH_FILE" {
                command.env("REGISTRY_AUTH_FILE", workspace.path().join("own.json"));
            }
            run(&mut command)
        };
        let to = |tag: &str| format!("docker://{host}/app:{tag}");
        assert_eq!(our(&format!("create {options} app {}", to("amd64"))).code, Some(0), "{place}");
        let added = our(&format!("add app {options} {}", to("arm64")));
        assert_eq!(added.ok().trim_end(), arm64.to_string(), "{place}");
        our(&format!("push {options} app docker://{host}/app:list")).ok();
        our(&format!("push app {options} docker://{host}/other:list")).ok();
        our(&format!("inspect {options} docker://{host}/other:list")).ok();

        let kept = all_text(&workspace.store());
        assert!(!kept.contains(PASSWORD) && !kept.contains(ENCODED), "{place}: {kept}");
        assert!(kept.contains("manifest "), "the history names commands: {kept}");
    }
}

#[test]
fn a_wrong_password_is_told_once_and_tried_once() {
    let registry = FakeRegistry::start();
    Image::new("linux/amd64").push_to(&registry, "app", "amd64");
    let (host, workspace) = (registry.address(), Workspace::new());
    manifest(&workspace, &format!("create app docker://{host}/app:amd64")).ok();
    registry.basic(USER, "another");
    workspace.write("wrong.json", auth_file(&host));
    for login in [format!("--creds {USER}:{PASSWORD}"), "--authfile wrong.json".to_owned()] {
        for words in ["push WITH app docker://HOST/app:list", "add WITH app docker://HOST/app:amd64"] {
            registry.clear_requests();
            let ran = manifest(&workspace, &words.replace("WITH", &login).replace("HOST", &host));
            let said = one_message(&ran, 6);
            assert!(
                said.contains(&host) && said.contains("the login in") && said.contains("hint: "),
                "{said}"
            );
            let requests = registry.requests();
            assert_eq!(requests.len(), 2, "one without a login, one with it: {requests:#?}");
        }
    }
    assert_eq!(registry.tags("app"), ["amd64"]);
}

#[test]
fn no_login_at_all_is_told_as_such() {
    let (registry, workspace) = (DockerRegistry::with_htpasswd(USER, PASSWORD), Workspace::new());
    let ran = manifest(&workspace, &format!("create app docker://{}/app:1", registry.address()));
    let said = one_message(&ran, 6);
    assert!(said.contains("a request without a login") && said.contains("hint: --creds"), "{said}");
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn a_broken_credential_file_is_named_without_its_content() {
    let (registry, workspace) = (DockerRegistry::with_htpasswd(USER, PASSWORD), Workspace::new());
    let broken = auth_file(&registry.address()).replace("}}}", "");
    workspace.write("run/containers/auth.json", broken);
    let ran = manifest(&workspace, &format!("create app docker://{}/app:1", registry.address()));
    assert!(one_message(&ran, 6).contains("run/containers/auth.json"), "{ran:?}");
    let ran =
        manifest(&workspace, &format!("create --authfile none.json app docker://{}/a:1", registry.address()));
    assert!(one_message(&ran, 6).contains("none.json"), "{ran:?}");
}

#[test]
fn a_login_on_the_command_line_goes_to_the_named_host_only() {
    let (here, there, workspace) = (FakeRegistry::start(), FakeRegistry::start(), Workspace::new());
    Image::new("linux/amd64").push_to(&here, "app", "amd64");
    manifest(&workspace, &format!("create app docker://{}/app:amd64", here.address())).ok();
    there.basic(USER, PASSWORD);
    let push = format!("push --creds {USER}:{PASSWORD} app docker://{}/app:list", there.address());
    manifest(&workspace, &push).ok();
    assert!(there.tag("app", "list").is_some());

    // The source begins to ask; the login is not for it.
    here.basic(USER, PASSWORD);
    let ran = manifest(&workspace, &push.replace("app:list", "fresh:list"));
    assert!(one_message(&ran, 6).contains(&here.address()), "{ran:?}");
    let offered: Vec<_> =
        here.requests().into_iter().filter_map(|r| r.authorization().map(str::to_owned)).collect();
    assert!(offered.is_empty(), "{offered:?}");

    // With several hosts it cannot be told for which it is.
    let both = format!("docker://{}/app:amd64 docker://{}/app:list", here.address(), there.address());
    let asked = (here.requests().len(), there.requests().len());
    let ran = manifest(&workspace, &format!("create --all --creds {USER}:{PASSWORD} both {both}"));
    assert!(one_message(&ran, 2).contains("hint: --authfile"), "{ran:?}");
    assert_eq!((here.requests().len(), there.requests().len()), asked);
}

#[test]
fn a_file_holds_logins_for_several_registries_and_paths() {
    let (here, there, workspace) = (FakeRegistry::start(), FakeRegistry::start(), Workspace::new());
    Image::new("linux/amd64").push_to(&here, "team/app", "amd64");
    here.basic(USER, PASSWORD);
    there.basic("bob", "other-secret");
    let file = format!(
        r#"{{"auths": {{"{}": {{"auth": "d3Jvbmc6d3Jvbmc="}}, "{}/team": {{"auth": "{ENCODED}"}},
            "{}": {{"auth": "Ym9iOm90aGVyLXNlY3JldA=="}}}}}}"#,
        here.address(),
        here.address(),
        there.address()
    );
    workspace.write("run/containers/auth.json", file);
    manifest(&workspace, &format!("create app docker://{}/team/app:amd64", here.address())).ok();
    let pushed = manifest(&workspace, &format!("push app docker://{}/app:list", there.address()));
    pushed.ok();
    assert!(!pushed.stderr.contains("other-secret"), "{pushed:?}");
    let basic = |request: manifest_testkit::Request| request.authorization().map(str::to_owned);
    let sent: Vec<_> = here.requests().into_iter().filter_map(basic).collect();
    assert!(sent.iter().all(|value| value == &format!("Basic {ENCODED}")), "{sent:?}");
}

#[test]
fn a_registry_over_tls_is_believed_by_its_authority_or_unchecked() {
    let (registry, workspace) = (DockerRegistry::with_tls(), Workspace::new());
    write_layout(&workspace);
    manifest(&workspace, "create --all app oci:layout:v1").ok();
    let to = |tag: &str| format!("docker://{}/app:{tag}", registry.address());
    let certs = registry.certs();
    let trust = format!("--cert-dir={}", certs.display());

    let ran = manifest(&workspace, &format!("push --tls-verify=true app {}", to("1")));
    let said = one_message(&ran, 5);
    assert!(said.contains("certificate") && said.contains("hint: --cert-dir"), "{said}");
    let ran = manifest(&workspace, &format!("push app {}", to("1")));
    assert!(one_message(&ran, 5).contains("hint: --cert-dir"), "{ran:?}");

    let both = format!("{trust} --tls-verify=true");
    let options = [trust.as_str(), &both, "--tls-verify=false", "--insecure"];
    for (at, option) in options.iter().enumerate() {
        let tag = format!("v{at}");
        manifest(&workspace, &format!("push {option} app {}", to(&tag))).ok();
        manifest(&workspace, &format!("create --all {option} {tag} {}", to(&tag))).ok();
        let raw = |list: &str| manifest(&workspace, &format!("inspect --raw {list}")).ok().to_owned();
        assert_eq!(raw(&tag), raw("app"), "{option}");
        let skopeo = Tool::new("skopeo");
        let read = skopeo.run(["inspect", "--raw", "--cert-dir", certs.to_str().unwrap(), &to(&tag)]);
        assert_eq!(read.ok(), raw("app"));
    }
}

#[test]
fn tokens_are_fetched_with_the_login_that_was_found() {
    let (tokens, workspace) = (TokenServer::start(), Workspace::new());
    tokens.account(USER, PASSWORD);
    let registry = DockerRegistry::with_tokens(&tokens);
    write_layout(&workspace);
    manifest(&workspace, "create --all app oci:layout:v1").ok();
    let push = |options: &str, tag: &str| {
        manifest(&workspace, &format!("push {options} app docker://{}/app:{tag}", registry.address()))
    };
    push(&format!("--creds {USER}:{PASSWORD}"), "1").ok();
    let fetched = tokens.requests().len();
    assert_eq!(fetched, 1, "two images and a list need one token");
    let issued = tokens.tokens();
    workspace.write("run/containers/auth.json", auth_file(&registry.address()));
    let pushed = push("", "2");
    pushed.ok();
    assert!(issued.iter().chain(&tokens.tokens()).all(|token| !pushed.stderr.contains(token)));
    manifest(&workspace, &format!("add --allow-duplicate --all app docker://{}/app:2", registry.address()))
        .ok();

    let ran = push("--creds ann:wrong-password", "3");
    assert!(one_message(&ran, 6).contains("hint: "), "{ran:?}");
    assert!(!ran.stderr.contains("wrong-password"), "{ran:?}");
}

#[test]
fn an_identity_token_is_exchanged_and_not_shown() {
    let (tokens, registry, workspace) = (TokenServer::start(), FakeRegistry::start(), Workspace::new());
    tokens.refresh_token("refresh-secret");
    registry.bearer(&tokens);
    write_layout(&workspace);
    manifest(&workspace, "create --all app oci:layout:v1").ok();
    let push = format!("push app docker://{}/app:1", registry.address());
    let ran = manifest(&workspace, &push);
    one_message(&ran, 6);
    assert!(registry.tags("app").is_empty());

    let file = format!(r#"{{"auths": {{"{}": {{"identitytoken": "refresh-secret"}}}}}}"#, registry.address());
    workspace.write("home/.docker/config.json", file);
    let ran = manifest(&workspace, &push);
    ran.ok();
    assert!(!ran.stderr.contains("refresh-secret"), "{ran:?}");
    assert_eq!(registry.tags("app"), ["1"]);
}
