//! The real registry and other people's programs, as the kit runs them.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests report by panicking")]

use std::process::Command;

use manifest_testkit::{
    DockerRegistry, FakeRegistry, Http, Image, Index, Method, Ran, TokenServer, Tool, Workspace, program,
};

fn curl(arguments: &[&str]) -> Ran {
    Ran::of(Command::new(program("curl")).args(["-sS", "--noproxy", "*", "--max-time", "20"]).args(arguments))
}

fn status(arguments: &[&str]) -> String {
    let mut all = vec!["-o", "/dev/null", "-w", "%{http_code}"];
    all.extend(arguments);
    curl(&all).ok().to_owned()
}

fn index() -> Index {
    Index::of(&[&Image::new("linux/amd64").layers(2, 1000, 1), &Image::new("linux/arm64/v8")])
}

#[test]
fn the_real_registry_starts_serves_and_restarts() {
    let mut registry = DockerRegistry::plain();
    let digest = index().push_http(&registry.address(), "team/app", "v1");
    let http = Http::to(&registry.address());
    let answer = http.get("/v2/team/app/manifests/v1", &[("accept", index().media_type().as_str())]);
    assert_eq!((answer.status, answer.body), (200, index().manifest()));
    let put = registry.requests().into_iter().find(|line| line.target.ends_with("/manifests/v1")).unwrap();
    assert_eq!((put.method, put.status), (Method::Put, 201));
    registry.restart();
    let target = format!("/v2/team/app/manifests/{digest}");
    assert_eq!(http.get(&target, &[("accept", index().media_type().as_str())]).status, 200);
}

#[test]
fn every_login_mode_of_the_real_registry_works_with_curl() {
    let basic = DockerRegistry::with_htpasswd("ann", "secret");
    let url = format!("http://{}/v2/", basic.address());
    assert_eq!((status(&[&url]), status(&["-u", "ann:secret", &url])), ("401".into(), "200".into()));
    Image::new("linux/amd64").push_with(&Http::to(&basic.address()).basic("ann", "secret"), "app", "v1");

    let tls = DockerRegistry::with_tls();
    let ca = tls.certs().join("ca.crt");
    for host in [tls.address(), tls.address().replace("127.0.0.1", "localhost")] {
        assert_eq!(status(&["--cacert", ca.to_str().unwrap(), &format!("https://{host}/v2/")]), "200");
    }
    let version =
        curl(&["-o", "/dev/null", "-w", "%{http_version}", "-k", &format!("https://{}/v2/", tls.address())]);
    assert_eq!(version.ok(), "2");

    let tokens = TokenServer::start();
    tokens.account("ann", "secret");
    let with_tokens = DockerRegistry::with_tokens(&tokens);
    let token = |target: &str, login: bool| {
        let http = Http::to(&tokens.address());
        let http = if login { http.basic("ann", "secret") } else { http };
        let answer = http.get(target, &[]);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        body["token"].as_str().unwrap().to_owned()
    };
    let http = Http::to(&with_tokens.address());
    let asked = http.get("/v2/", &[]);
    let challenge = asked.header("www-authenticate").unwrap();
    assert!(challenge.starts_with(&format!("Bearer realm=\"{}\"", tokens.realm())), "{challenge}");
    let scope = "/token?service=testkit-registry&scope=repository:app:pull,push";
    let narrow = http.clone().bearer(&token(scope, false)).send("POST", "/v2/app/blobs/uploads/", &[], b"");
    assert_eq!(narrow.status, 401, "{narrow:?}");
    assert!(narrow.header("www-authenticate").unwrap().contains("insufficient_scope"), "{narrow:?}");
    index().push_with(&http.bearer(&token(scope, true)), "app", "v1");
}

#[test]
fn skopeo_copies_an_index_between_all_servers() {
    let skopeo = Tool::new("skopeo");
    let (plain, tls, fake, tokens) =
        (DockerRegistry::plain(), DockerRegistry::with_tls(), FakeRegistry::start(), TokenServer::start());
    tokens.account("ann", "secret");
    let signed = DockerRegistry::with_tokens(&tokens);
    let workspace = Workspace::new();
    let layout = workspace.path().join("layout");
    let digest = index().write_layout(&layout, "v1");
    Image::new("linux/s390x").docker().write_layout(&layout, "other");
    let certs = tls.certs();
    let certs = certs.to_str().unwrap();
    let copy = |options: &[&str], from: &str, to: &str| {
        let mut arguments = vec!["copy", "--all", "--preserve-digests"];
        arguments.extend(options);
        arguments.extend([from, to]);
        skopeo.run(arguments).ok();
    };
    let at = |address: &str| format!("docker://{address}/team/app:v1");
    copy(&["--dest-tls-verify=false"], &format!("oci:{}:v1", layout.display()), &at(&plain.address()));
    let both = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    copy(&both, &at(&plain.address()), &at(&fake.address()));
    copy(&["--src-tls-verify=false", "--dest-cert-dir", certs], &at(&fake.address()), &at(&tls.address()));
    let login = ["--src-cert-dir", certs, "--dest-tls-verify=false", "--dest-creds", "ann:secret"];
    copy(&login, &at(&tls.address()), &at(&signed.address()));
    let back = format!("oci:{}:back", layout.display());
    copy(&["--src-tls-verify=false", "--src-creds", "ann:secret"], &at(&signed.address()), &back);
    assert_eq!(fake.tag("team/app", "v1"), Some(digest));
    let cache = skopeo.home().join(".local/share/containers/cache");
    assert!(cache.read_dir().unwrap().count() > 0, "the cache of the whole machine was used");
    let text = std::fs::read_to_string(layout.join("index.json")).unwrap();
    assert_eq!(text.matches(&digest.to_string()).count(), 2, "{text}");
    fake.bearer(&tokens);
    copy(
        &[both[0], both[1], "--dest-creds", "ann:secret"],
        &at(&plain.address()),
        &at(&fake.address()).replace("v1", "v2"),
    );
    assert_eq!(fake.tags("team/app"), ["v1", "v2"]);
}

#[test]
fn buildah_and_podman_share_a_storage_of_their_own() {
    let registry = FakeRegistry::start();
    let digest = Image::new("linux/amd64").layer("hello").docker().push_to(&registry, "app", "v1");
    let reference = format!("{}/app@{digest}", registry.address());
    let buildah = Tool::new("buildah");
    let podman = buildah.sibling("podman");
    podman.run(["pull", "--tls-verify=false", &reference]).ok();
    let listed = buildah.run(["images", "--format", "{{.Digest}}"]);
    assert_eq!(listed.ok().trim(), digest.to_string());
    buildah.run(["manifest", "create", "localhost/list:v1"]).ok();
    buildah
        .run(["manifest", "add", "--tls-verify=false", "localhost/list:v1", &format!("docker://{reference}")])
        .ok();
    let inspected = podman.run(["manifest", "inspect", "localhost/list:v1"]);
    assert!(inspected.ok().contains(&digest.to_string()), "{inspected:?}");
    let skopeo = podman.sibling("skopeo");
    let stored =
        skopeo.run(["inspect", "--raw", &format!("containers-storage:{}/app@{digest}", registry.address())]);
    assert!(stored.ok().contains("config"), "{stored:?}");
    for driver in ["vfs", "overlay"] {
        let own = Tool::new("skopeo").driver(driver);
        own.run([
            "copy",
            "--src-tls-verify=false",
            &format!("docker://{reference}"),
            "containers-storage:localhost/a:v1",
        ])
        .ok();
        let seen = own.sibling("podman").run(["images", "--noheading", "--format", "{{.Digest}}"]);
        assert_eq!(seen.ok().trim(), digest.to_string(), "{driver}");
    }
    assert!(Tool::new("podman").run(["images", "-q"]).ok().is_empty());
}

#[test]
fn a_workspace_shows_a_program_nothing_of_the_machine() {
    let workspace = Workspace::new();
    let ran = workspace.run("env", [] as [&str; 0]);
    let mut names: Vec<_> = ran.ok().lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    let expected = [
        "HOME",
        "PATH",
        "TMPDIR",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
        "XDG_STATE_HOME",
    ];
    assert_eq!(names, expected);
    assert_eq!(workspace.run("pwd", [] as [&str; 0]).ok().trim(), workspace.path().to_str().unwrap());
    assert!(workspace.store().starts_with(workspace.home()));
    assert!(!workspace.store().exists());
    assert_eq!(workspace.run("sh", ["-c", "echo bad >&2; exit 3"]).fails(3), "bad\n");
    let echoed = Ran::with_input(&mut workspace.command("cat"), b"typed");
    assert_eq!(echoed.ok(), "typed");
}
