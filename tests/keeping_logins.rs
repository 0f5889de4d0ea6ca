//! Logins that are kept and forgotten, by us and by podman.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a broken promise ends a test by a panic; files of tests need not survive a crash"
)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use manifest_testkit::{DockerRegistry, FakeRegistry, Method, TokenServer, Tool, Workspace};
use serde_json::{Value, json};

const MANIFEST: &str = env!("CARGO_BIN_EXE_manifest");
/// `ann:pw` as it stands in files.
const ENCODED: &str = "YW5uOnB3";
const AUTH: &str = "run/containers/auth.json";

/// What a command printed, with its exit code.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn is(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(!self.stderr.contains("pw-"), "a password was shown: {self:?}");
        self
    }
}

/// A command of ours with this on its standard input.
fn with_input(workspace: &Workspace, words: &str, input: &str, env: &[(&str, PathBuf)]) -> Ran {
    let mut command = workspace.command(MANIFEST);
    command.args(words.split(' ')).envs(env.iter().map(|(name, value)| (name, value)));
    ran(&mut command, input)
}

fn ran(command: &mut Command, input: &str) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that needs no input may have ended.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
}

fn login(workspace: &Workspace, rest: &str) -> Ran {
    with_input(workspace, &format!("login -u ann --password-stdin {rest}"), "pw\n", &[])
}

fn manifest(workspace: &Workspace, words: &str) -> Ran {
    with_input(workspace, words, "", &[])
}

fn read(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn registry() -> FakeRegistry {
    let registry = FakeRegistry::start();
    registry.basic("ann", "pw");
    registry
}

#[test]
fn a_login_is_kept_as_podman_keeps_it_and_serves_afterwards() {
    let (registry, workspace) = (registry(), Workspace::new());
    let host = registry.address();
    let said = login(&workspace, &host).is(0);
    let file = workspace.path().join(AUTH);
    assert_eq!(said.stdout, format!("Login of ann at {host} kept in {}\n", file.display()));
    assert_eq!(said.stderr, "");
    let podman =
        format!("{{\n\t\"auths\": {{\n\t\t\"{host}\": {{\n\t\t\t\"auth\": \"{ENCODED}\"\n\t\t}}\n\t}}\n}}");
    assert_eq!(fs::read_to_string(&file).unwrap(), podman);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);

    registry.clear_requests();
    manifest(&workspace, &format!("inspect docker://{host}/app:v1")).is(3);
    assert!(registry.requests().iter().any(|request| request.authorization().is_some()));
    assert_eq!(manifest(&workspace, &format!("login --get-login {host}")).is(0).stdout, "ann\n");
    assert_eq!(manifest(&workspace, &format!("logout {host}")).is(0).stdout, format!("Removed: {host}\n"));
    assert_eq!(read(&file), json!({ "auths": {} }));
    manifest(&workspace, &format!("login --get-login {host}")).is(3);
    manifest(&workspace, &format!("logout {host}")).is(3);
}

#[test]
fn a_login_that_the_registry_does_not_take_is_not_kept() {
    let (registry, workspace) = (FakeRegistry::start(), Workspace::new());
    registry.basic("ann", "another");
    let said = login(&workspace, &registry.address()).is(6);
    assert!(said.stderr.contains("nothing was kept"), "{said:?}");
    assert!(!workspace.path().join(AUTH).exists());

    let tokens = TokenServer::start();
    tokens.account("ann", "another");
    registry.bearer(&tokens);
    login(&workspace, &registry.address()).is(6);
    assert!(!workspace.path().join(AUTH).exists());
    tokens.account("ann", "pw");
    login(&workspace, &registry.address()).is(0);
}

#[test]
fn a_token_server_that_may_not_have_the_login_makes_no_check() {
    let (registry, tokens, workspace) = (FakeRegistry::start(), TokenServer::start(), Workspace::new());
    registry.bearer(&tokens);
    let host = registry.address().replace("127.0.0.1", "localhost");
    let said = login(&workspace, &host).is(6);
    assert!(said.stderr.contains("wants your login sent to"), "{said:?}");
    assert!(tokens.requests().iter().all(|request| request.authorization().is_none()));
    assert!(!workspace.path().join(AUTH).exists());
}

#[test]
fn a_registry_that_asks_for_nothing_has_checked_nothing() {
    let (registry, workspace) = (FakeRegistry::start(), Workspace::new());
    let said = login(&workspace, &registry.address()).is(0);
    assert!(said.stderr.contains("was not checked"), "{said:?}");
    registry.on(Method::Get, "/v2/").reply(404);
    login(&workspace, &registry.address()).is(3);
}

#[test]
fn what_else_stands_in_the_file_stays() {
    let (registry, workspace) = (registry(), Workspace::new());
    let host = registry.address();
    let before = json!({
        "auths": { "other.io": { "auth": "eDp5", "email": "x@y" }, "other.io/team": { "identitytoken": "t" } },
        "credHelpers": { "third.io": "none" },
        "HttpHeaders": { "User-Agent": "x" }, "unknown": [1, { "deep": null }],
    });
    let target = workspace.write("dotfiles/auth.json", before.to_string());
    fs::create_dir_all(workspace.path().join("run/containers")).unwrap();
    let link = workspace.path().join(AUTH);
    symlink(&target, &link).unwrap();
    login(&workspace, &format!("{host}/team")).is(0);
    let mut expected = before.clone();
    expected["auths"][format!("{host}/team")] = json!({ "auth": ENCODED });
    assert_eq!(read(&target), expected);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "the link stays a link");
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    manifest(&workspace, &format!("logout {host}")).is(3);
    manifest(&workspace, &format!("logout {host}/team")).is(0);
    assert_eq!(read(&target), before);

    let damaged = "{\"auths\": {\"other.io\": {\"auth\": \"secret\"";
    fs::write(&target, damaged).unwrap();
    let said = login(&workspace, &host).is(6);
    assert!(!said.stderr.contains("secret"), "{said:?}");
    assert_eq!(fs::read_to_string(&target).unwrap(), damaged);
}

#[test]
fn a_login_goes_where_the_environment_or_the_user_says() {
    let registry = registry();
    let host = registry.address();
    let entry = json!({ "auth": ENCODED });
    for (place, option, variable) in [
        ("own/auth.json", "", Some(("REGISTRY_AUTH_FILE", "own/auth.json"))),
        ("dock/config.json", "", Some(("DOCKER_CONFIG", "dock"))),
        ("named.json", "--authfile named.json ", None),
        ("docker.json", "--compat-auth-file docker.json ", None),
    ] {
        let workspace = Workspace::new();
        let env: Vec<_> =
            variable.map(|(name, value)| (name, workspace.path().join(value))).into_iter().collect();
        let words = format!("login -u ann --password-stdin {option}{host}");
        with_input(&workspace, &words, "pw", &env).is(0);
        assert_eq!(read(workspace.path().join(place))["auths"][&host], entry, "{place}");
        with_input(&workspace, &format!("logout {option}{host}"), "", &env).is(0);
        assert_eq!(read(workspace.path().join(place)), json!({ "auths": {} }), "{place}");
    }
}

/// A helper that keeps logins as files of a directory.
fn helper(workspace: &Workspace) -> String {
    let kept = workspace.path().join("kept");
    fs::create_dir_all(&kept).unwrap();
    let script = format!(
        "#!/bin/sh\ncd {}\nread -r text\ncase $1 in\n\
         store) f=${{text#*ServerURL\\\":\\\"}}; f=${{f%%\\\"*}}; printf %s \"$text\" > \"$(printf %s \"$f\" | tr / _)\";;\n\
         get) cat \"$(printf %s \"$text\" | tr / _)\" 2>/dev/null || {{ echo credentials not found in native keychain; exit 1; }};;\n\
         erase) rm \"$(printf %s \"$text\" | tr / _)\";;\nesac\n",
        kept.display()
    );
    let path = workspace.write("bin/docker-credential-files", script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", path.parent().unwrap().display(), std::env::var("PATH").unwrap())
}

#[test]
fn a_helper_keeps_the_login_where_the_file_names_one() {
    let registry = registry();
    let host = registry.address();
    for setting in [json!({ "credHelpers": { &host: "files" } }), json!({ "credsStore": "files" })] {
        let workspace = Workspace::new();
        let path = helper(&workspace);
        let run = |words: &str| with_input(&workspace, words, "pw\n", &[("PATH", path.clone().into())]);
        let mut before = setting.clone();
        before["auths"] = json!({ &host: { "auth": "b2xkOm9sZA==" } });
        let file = workspace.write(AUTH, before.to_string());
        let said = run(&format!("login -u ann --password-stdin {host}")).is(0);
        assert!(said.stdout.contains("kept in docker-credential-files"), "{said:?}");
        let kept = read(workspace.path().join("kept").join(&host));
        assert_eq!(kept, json!({ "ServerURL": host, "Username": "ann", "Secret": "pw" }));
        assert_eq!(read(&file)["auths"], json!({ &host: {} }), "the old login is gone");
        assert_eq!(run(&format!("login --get-login {host}")).is(0).stdout, "ann\n");
        let said = run(&format!("login -u ann --password-stdin {host}/team"));
        assert_eq!(said.code, if setting["credHelpers"].is_object() { 2 } else { 0 }, "{said:?}");

        run("logout --all").is(0);
        assert_eq!(read(&file)["auths"], json!({}));
        assert!(!workspace.path().join("kept").join(&host).exists());
        run(&format!("login -u ann --password-stdin {host}")).is(0);
        run(&format!("logout {host}")).is(0);
        assert!(!workspace.path().join("kept").join(&host).exists());
        run(&format!("logout {host}")).is(3);
    }
}

/// SEC-2.
#[test]
fn a_helper_that_is_not_there_is_an_error_and_nothing_is_kept() {
    let (registry, workspace) = (registry(), Workspace::new());
    let before = json!({ "credsStore": "nowhere" });
    let file = workspace.write(AUTH, before.to_string());
    login(&workspace, &registry.address()).is(6);
    assert_eq!(read(file), before);
}

/// DUR-22.
#[test]
fn logins_side_by_side_are_all_kept() {
    let registries: Vec<FakeRegistry> = (0..16).map(|_| registry()).collect();
    let workspace = Workspace::new();
    std::thread::scope(|scope| {
        for registry in &registries {
            scope.spawn(|| login(&workspace, &registry.address()).is(0));
        }
    });
    let auths = &read(workspace.path().join(AUTH))["auths"];
    assert_eq!(auths.as_object().unwrap().len(), 16, "{auths}");
    let said = manifest(&workspace, "logout --all --output json").is(0);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["registries"].as_array().unwrap().len(), 16);
}

#[test]
fn what_is_missing_is_told_before_anybody_is_asked() {
    let (registry, workspace) = (registry(), Workspace::new());
    let host = registry.address();
    for (words, part) in [
        (format!("login {host}"), "no user name"),
        (format!("login -u ann {host}"), "--password-stdin"),
        (format!("login -u ann --password-stdin {host}"), "no password was given"),
        (format!("login --password-stdin {host}"), "--username"),
        ("login -u ann quay".to_owned(), "is not a registry"),
        ("logout".to_owned(), "HOST[/PATH]"),
        (format!("login -u ann --password pw {host}"), "--password"),
    ] {
        let said = manifest(&workspace, &words).is(2);
        assert!(said.stderr.contains(part), "{words}: {said:?}");
    }
    assert!(registry.requests().is_empty());
}

#[test]
fn a_login_that_is_found_before_the_new_one_is_named() {
    let (registry, workspace) = (registry(), Workspace::new());
    let host = registry.address();
    let older = json!({ "auths": { &host: { "auth": "b2xkOm9sZA==" } } }).to_string();
    workspace.write(AUTH, older);
    let docker = [("DOCKER_CONFIG", workspace.path().join("dock"))];
    let words = format!("login -u ann --password-stdin {host}");
    let said = with_input(&workspace, &words, "pw", &docker).is(0);
    assert!(said.stderr.contains("found before this one"), "{said:?}");
    let said = with_input(&workspace, &format!("logout {host}"), "", &docker).is(0);
    assert!(said.stderr.contains("there is another login"), "{said:?}");
}

#[test]
fn podman_finds_our_login_and_we_find_podmans() {
    let (registry, workspace) = (DockerRegistry::with_htpasswd("ann", "pw"), Workspace::new());
    let host = registry.address();
    let file = workspace.path().join("auth.json");
    login(&workspace, &format!("--authfile {} {host}", file.display())).is(0);
    let podman = Tool::new("podman");
    let at = file.to_str().unwrap();
    assert_eq!(podman.run(["login", "--authfile", at, "--get-login", &host]).ok().trim(), "ann");
    podman.run(["logout", "--authfile", at, &host]).ok();
    manifest(&workspace, &format!("login --authfile {at} --get-login {host}")).is(3);
}
