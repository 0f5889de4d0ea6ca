//! Secrets stay secret: on no stream and in no file, whatever is asked for.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use manifest_testkit::{FakeRegistry, Gate, Image, Index, Method, Ran, TokenServer, Workspace};

use super::{MANIFEST, manifest};

const PASSWORD: &str = "correct-horse-battery";
/// `ann:correct-horse-battery` as it stands in headers and files.
const ENCODED: &str = "YW5uOmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==";
const REFRESH: &str = "refresh-me-refresh-me";
const SIGNATURE: &str = "X-Signature-of-storage";
/// A private key without a passphrase.
const KEY: &str = include_str!("../../crates/manifest-sign/tests/fixtures/sigstore/ed25519.pem");

/// Everything in all files below a directory.
fn files(dir: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else {
            all.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

/// A registry whose blobs lie in a storage with signed addresses, a token server, and two ways to log in.
struct Scene {
    workspace: Workspace,
    registry: FakeRegistry,
    storage: FakeRegistry,
    tokens: TokenServer,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            workspace: Workspace::new(),
            registry: FakeRegistry::start(),
            storage: FakeRegistry::start(),
            tokens: TokenServer::start(),
        };
        let (amd64, arm64) =
            (Image::new("linux/amd64").layers(1, 1000, 1), Image::new("linux/arm64").layers(1, 1000, 2));
        let list = Index::of(&[&amd64, &arm64]);
        for server in [&scene.registry, &scene.storage] {
            list.push_to(server, "app", "v1");
        }
        list.write_layout(&scene.workspace.path().join("layout"), "v1");
        scene.tokens.account("ann", PASSWORD);
        scene.tokens.refresh_token(REFRESH);
        scene.tokens.refuse_anonymous();
        scene.registry.bearer(&scene.tokens);
        let signed = format!("http://{}{{target}}?sig={SIGNATURE}", scene.storage.address());
        scene.registry.on(Method::Get, "/v2/*/blobs/*").redirect(307, &signed).always();
        scene
    }

    /// What no stream and no file may hold: what we know, and every token that was issued.
    fn secrets(&self) -> BTreeSet<String> {
        let mut secrets: BTreeSet<String> =
            [PASSWORD, ENCODED, REFRESH, SIGNATURE, key()].into_iter().map(str::to_owned).collect();
        let tokens = self.registry.requests();
        let tokens = tokens.iter().filter_map(|asked| asked.authorization()?.strip_prefix("Bearer "));
        secrets.extend(tokens.map(str::to_owned));
        secrets
    }

    fn assert_untold(&self, ran: &Ran) {
        for secret in self.secrets() {
            assert!(!ran.stdout.contains(&secret) && !ran.stderr.contains(&secret), "{secret}: {ran:?}");
        }
    }
}

/// What is secret of the key.
fn key() -> &'static str {
    KEY.lines().nth(1).unwrap()
}

/// The verbs that the help names.
fn verbs(workspace: &Workspace) -> BTreeSet<String> {
    let help = manifest(workspace, "--help");
    let commands = help.ok().split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
    let verb = |line: &str| {
        let rest = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))?;
        rest.split(' ').next().map(str::to_owned)
    };
    commands.lines().filter_map(verb).filter(|verb| verb != "help").collect()
}

/// SEC-12.
#[test]
fn no_command_shows_or_keeps_a_secret_however_much_it_tells() {
    for keep in ["basic", "identity", "helper"] {
        let scene = Scene::new();
        let host = scene.registry.address();
        let auth = match keep {
            "basic" => format!(r#"{{"auths": {{"{host}": {{"auth": "{ENCODED}"}}}}}}"#),
            "identity" => format!(r#"{{"auths": {{"{host}": {{"identitytoken": "{REFRESH}"}}}}}}"#),
            _ => format!(r#"{{"credHelpers": {{"{host}": "kit"}}}}"#),
        };
        scene.workspace.write("mine/auth.json", auth);
        let helper = format!(
            "#!/bin/sh\necho 'the secret is {PASSWORD}' >&2\n\
             echo '{{\"ServerURL\":\"{host}\",\"Username\":\"ann\",\"Secret\":\"{PASSWORD}\"}}'\n"
        );
        let helper = scene.workspace.write("mine/docker-credential-kit", helper);
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        scene.workspace.write("mine/plain.pem", KEY);
        scene.workspace.write("mine/wrong", format!("not-{PASSWORD}"));
        let lookaside = scene.workspace.path().join("lookaside").display().to_string();
        let stores = format!("default-docker: {{lookaside: 'file://{lookaside}'}}");
        scene.workspace.write("home/.config/containers/registries.d/all.yaml", stores);
        let there = format!("docker://{host}/app");
        scene.workspace.write("predicate.json", "{}");
        let lines = [
            format!("create app --all {there}:v1"),
            format!("create one {there}:v1 --creds ann:{PASSWORD} --platform linux/amd64"),
            format!("create wrong {there}:v1 --creds ann:not-{PASSWORD}"),
            format!("add one {there}:v1 --platform linux/arm64"),
            "annotate app --index --annotation a=b".to_owned(),
            "inspect app".to_owned(),
            format!("inspect {there}:v1"),
            format!("check --deep {there}:v1"),
            format!("diff app {there}:v1"),
            format!("push app {there}:2 {there}:3"),
            format!("push app {there}:4 docker://127.0.0.1:1/app:4 --retry 0"),
            format!("registry probe {host}/app"),
            "publications".to_owned(),
            "import kept --oci-dir layout".to_owned(),
            "export app --oci-dir out".to_owned(),
            "ls".to_owned(),
            "exists app".to_owned(),
            "refresh app".to_owned(),
            "cache ls".to_owned(),
            "cp app copy".to_owned(),
            "tag app more".to_owned(),
            "untag more".to_owned(),
            "rename copy moved".to_owned(),
            "hold moved --by me".to_owned(),
            "release moved --by me".to_owned(),
            "history app".to_owned(),
            "history one".to_owned(),
            "undo app".to_owned(),
            "remove one --platform linux/amd64".to_owned(),
            "prune --older-than 1h".to_owned(),
            "gc".to_owned(),
            "fsck".to_owned(),
            "df".to_owned(),
            format!("blob cat {}", Image::new("linux/amd64").digest()),
            format!("login --get-login {host}"),
            format!("login -u ann --password-stdin {host} --authfile kept.json"),
            format!("login --password-stdin -u eve {host} --authfile kept.json"),
            format!("logout {host} --authfile kept.json"),
            "key generate --output-prefix signing".to_owned(),
            "key generate --type openpgp --user-id ann --output-prefix ann".to_owned(),
            "key public signing.key".to_owned(),
            format!("verify {there}:v1 --policy policy.json --creds ann:{PASSWORD}"),
            format!("signatures {there}:v1"),
            format!("push app {there}:5 --sign-key signing.key --signature-format cosign,bundle"),
            format!("push app {there}:6 --sign-key ann.key --progress json"),
            format!("sign {there}:5 --sign-key signing.key --sign-key ann.key"),
            format!("sign {there}:5 --sign-key signing.key --sign-passphrase-file mine/wrong"),
            format!("sign {there}:5 --sign-key mine/plain.pem"),
            format!("attest --predicate predicate.json --type spdx --each --sign-key signing.key {there}:2"),
            format!("inspect --attestations {there}:2"),
            "rm moved".to_owned(),
            "version".to_owned(),
            "completions bash".to_owned(),
        ];
        let run: BTreeSet<_> = lines.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(run, verbs(&scene.workspace), "each verb is tried");
        for line in &lines {
            for more in [&["-v"][..], &["-v", "--output", "json"]] {
                let mut command = scene.workspace.command(MANIFEST);
                command
                    .args(line.split(' '))
                    .args(more)
                    .env("REGISTRY_AUTH_FILE", scene.workspace.path().join("mine/auth.json"));
                let path =
                    format!("{}:{}", helper.parent().unwrap().display(), std::env::var("PATH").unwrap());
                command.env("MANIFEST_SIGN_PASSPHRASE", PASSWORD);
                command.env("PATH", path).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
                let ran = Ran::with_input(&mut command, PASSWORD.as_bytes());
                assert!(ran.code.is_some_and(|code| ![2, 70, 101].contains(&code)), "{ran:?}");
                scene.assert_untold(&ran);
            }
        }
        assert!(scene.registry.tags("app").contains(&"3".to_owned()), "{keep}: the pushes went through");
        assert!(scene.secrets().len() > 4, "{keep}: tokens were seen");
        let mut kept = Vec::new();
        files(scene.workspace.path(), &mut kept);
        let mine = scene.workspace.path().join("mine").display().to_string();
        for (path, bytes) in kept.iter().filter(|(path, _)| !path.starts_with(&mine)) {
            for secret in scene.secrets() {
                assert!(!holds(bytes, &secret), "{keep}: {secret} in {path}");
            }
        }
    }
}

#[test]
fn a_program_that_is_killed_leaves_no_core_dump() {
    let (workspace, registry) = (Workspace::new(), FakeRegistry::start());
    let gate = Gate::new();
    registry.on(Method::Get, "/v2/app/manifests/*").hold(&gate);
    let mut command = workspace.command("/bin/sh");
    let line = format!("ulimit -c unlimited; exec {MANIFEST} inspect docker://{}/app:1", registry.address());
    let mut child = command.arg("-c").arg(line).spawn().unwrap();
    gate.wait_for_blocking(1);
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let killed = Command::new("kill").arg("-ABRT").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    let status = child.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    gate.open();
}
