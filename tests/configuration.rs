//! What configuration files decide: our own, and those of containers' tools.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a broken promise ends a test by a panic; files of tests need not survive a crash"
)]
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of what they share")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use manifest_testkit::{DockerRegistry, FakeRegistry, Image, Index, SelfSigned, TokenServer};

mod in_process;

use in_process::Cli;

const OURS: &str = "home/.config/manifest/config.toml";
const CONTAINERS: &str = "home/.config/containers/registries.conf";

fn image() -> Image {
    Image::new("linux/amd64")
}

/// A registry with the image at `app:v1`.
fn registry() -> FakeRegistry {
    let registry = FakeRegistry::start();
    image().push_to(&registry, "app", "v1");
    registry
}

fn read(cli: &Cli, host: &str) -> String {
    cli.ok(&format!("inspect --raw docker://{host}/app:v1"))
}

#[test]
fn mirrors_blocks_and_locations_are_found_where_containers_tools_look() {
    let (home, mirror) = (registry(), registry());
    let (at, by) = (home.address(), mirror.address());
    let mirrored = format!("[[registry]]\nlocation = \"{at}\"\n[[registry.mirror]]\nlocation = \"{by}\"\n");
    for file in [CONTAINERS, "home/.config/containers/registries.conf.d/50-mirror.conf", "named.conf"] {
        let mut cli = Cli::new();
        let path = cli.workspace.write(file, &mirrored);
        if file == "named.conf" {
            cli.environment.variables.insert("CONTAINERS_REGISTRIES_CONF".into(), path.into());
        }
        home.clear_requests();
        read(&cli, &at);
        assert!(home.requests().is_empty(), "{file}");
    }

    let cli = Cli::new();
    cli.workspace.write(CONTAINERS, &mirrored);
    let drop_in = "home/.config/containers/registries.conf.d/99-block.conf";
    cli.workspace.write(drop_in, format!("[[registry]]\nlocation = \"{at}\"\nblocked = true\n"));
    let failed = cli.fails(6, &format!("inspect docker://{at}/app:v1"));
    failed.says("blocked", &[&at, "99-block.conf"]);
    cli.ok("create app");
    cli.fails(6, &format!("push app docker://{at}/app:list")).says("blocked", &["99-block.conf"]);
    fs::remove_file(cli.workspace.path().join(drop_in)).unwrap();
    cli.ok(&format!("push app docker://{at}/app:list"));
    assert!(
        home.tags("app").contains(&"list".to_owned()) && !mirror.tags("app").contains(&"list".to_owned())
    );
}

#[test]
fn what_a_push_would_replace_is_read_from_the_registry_and_not_from_a_mirror() {
    let (home, mirror, cli) = (FakeRegistry::start(), FakeRegistry::start(), Cli::new());
    let (amd64, arm64) = (Image::new("linux/amd64"), Image::new("linux/arm64"));
    Index::of(&[&amd64, &arm64]).push_to(&home, "app", "v1");
    Index::of(&[&amd64]).push_to(&mirror, "app", "v1");
    let (at, by) = (home.address(), mirror.address());
    cli.workspace.write(OURS, format!("[host.\"{at}\"]\nmirrors = [\"{by}\"]\n"));
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    cli.fails(8, &format!("push app docker://{at}/app:v1"));
    assert!(mirror.requests().is_empty());
}

#[test]
fn a_mirror_that_fails_is_told_of_once_and_the_registry_serves() {
    let (home, empty, cli) = (registry(), FakeRegistry::start(), Cli::new());
    let (at, by) = (home.address(), empty.address());
    cli.workspace.write(OURS, format!("[host.\"{at}\"]\nmirrors = [\"{by}\"]\n"));
    let ran = cli.run(&format!("create app docker://{at}/app:v1"));
    ran.ok();
    assert_eq!(ran.stderr.matches("is passed over").count(), 1, "{ran:?}");
    assert!(ran.stderr.contains(&by), "{ran:?}");
    let source = cli.ok("inspect --sources app");
    assert!(source.contains(&at) && !source.contains(&by), "{source}");
}

#[test]
fn a_location_is_where_the_login_goes_and_the_list_is_pushed() {
    let (real, cli) = (registry(), Cli::new());
    real.basic("ann", "pw");
    let location = real.address();
    cli.workspace.write(
        CONTAINERS,
        format!("[[registry]]\nprefix = \"registry.example.com\"\nlocation = \"{location}\"\n"),
    );
    cli.ok("create app");
    cli.ok("push --creds ann:pw app docker://registry.example.com/app:list");
    assert!(real.tags("app").contains(&"list".to_owned()));
}

#[test]
fn certificates_are_found_in_the_directory_of_the_host() {
    let (registry, cli) = (DockerRegistry::self_signed(&SelfSigned::default()), Cli::new());
    let host = registry.address();
    let image = cli.image("linux/amd64");
    cli.ok(&format!("create app {image}"));
    let push = format!("push app docker://{host}/app:v1");
    cli.fails(5, &push);
    let ca = fs::read(registry.certs().join("ca.crt")).unwrap();
    cli.workspace.write(&format!("home/.config/containers/certs.d/{host}/ca.crt"), &ca);
    cli.ok(&push);
    cli.fails(5, &push.replace("127.0.0.1", "localhost"));

    let cli = Cli::new();
    cli.workspace.write("home/.config/manifest/registry.crt", &ca);
    cli.workspace.write(OURS, format!("[host.\"{host}\"]\nca = \"registry.crt\"\n"));
    cli.ok(&format!("inspect docker://{host}/app:v1"));
    cli.workspace.write(OURS, format!("[host.\"{host}\"]\ninsecure = true\n"));
    cli.ok(&format!("inspect docker://{host}/app:v1"));
    let failed = cli.fails(5, &format!("inspect --tls-verify=true docker://{host}/app:v1"));
    failed.says("certificate", &["--cert-dir"]);
}

#[test]
fn the_login_of_a_registry_lies_where_our_file_says() {
    let (registry, other, cli) = (registry(), registry(), Cli::new());
    let host = registry.address();
    registry.basic("ann", "pw");
    other.basic("ann", "pw");
    // For all others there is a login; this one has a place of its own.
    let anns = |host: &str| format!(r#"{{"auths": {{"{host}": {{"auth": "YW5uOnB3"}}}}}}"#);
    cli.workspace.write("run/containers/auth.json", r#"{"auths": {}}"#);
    cli.workspace.write("home/.config/manifest/own.json", anns(&host));
    cli.workspace.write(OURS, format!("[host.\"{host}\"]\nauthfile = \"own.json\"\n"));
    read(&cli, &host);
    assert_eq!(cli.ok(&format!("login --get-login {host}")), "ann\n");
    cli.fails(6, &format!("inspect docker://{}/app:v1", other.address()));
    cli.workspace.write("named.json", "{}");
    let named = cli.workspace.path().join("named.json");
    cli.fails(6, &format!("inspect --authfile {} docker://{host}/app:v1", named.display()));
    cli.ok(&format!("logout {host}"));
    cli.fails(6, &format!("inspect docker://{host}/app:v1"));

    let mut cli = Cli::new();
    let script = format!(
        "#!/bin/sh\nread server\n[ \"$server\" = {host} ] || exit 3\n\
         echo '{{\"Username\": \"ann\", \"Secret\": \"pw\"}}'\n"
    );
    let helper = cli.workspace.write("bin/docker-credential-own", script);
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", helper.parent().unwrap().display());
    cli.environment.variables.insert("PATH".into(), path.into());
    cli.workspace.write(OURS, format!("[host.\"{host}\"]\ncredentials-helper = \"own\"\n"));
    read(&cli, &host);
    cli.fails(2, &format!("logout {host}")).says("misuse", &["docker-credential-own"]);
}

#[test]
fn a_token_server_elsewhere_is_allowed_by_our_file() {
    let (registry, tokens, cli) = (registry(), TokenServer::start(), Cli::new());
    tokens.account("ann", "pw");
    registry.bearer(&tokens);
    let host = registry.address().replace("127.0.0.1", "localhost");
    cli.ok("create app");
    let push = format!("push --creds ann:pw app docker://{host}/app:list");
    cli.fails(6, &push).says("realm", &["auth-hosts"]);
    cli.workspace.write(OURS, format!("[host.\"{host}\"]\nauth-hosts = [\"{}\"]\n", tokens.address()));
    cli.ok(&push);
}

#[test]
fn a_registry_gets_blobs_in_the_pieces_that_our_file_names() {
    let (registry, cli) = (FakeRegistry::start(), Cli::new());
    let host = registry.address();
    cli.ok(&format!("create app {}", cli.image("linux/amd64")));
    cli.workspace.write(OURS, format!("[host.\"{host}\"]\nchunk-size = 16\n"));
    cli.ok(&format!("push app docker://{host}/app:list"));
    assert!(registry.requests().iter().any(|request| format!("{:?}", request.method) == "Patch"));
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place() {
    let (registry, mut cli) = (registry(), Cli::new());
    let read = format!("inspect docker://{}/app:v1", registry.address());
    cli.workspace.write(OURS, "\n[host.\"r.io\"]\ninsecrue = true\n");
    cli.fails(2, &read).says("configuration", &["config.toml, line 3", "insecrue"]);
    cli.workspace.write(OURS, "");
    cli.workspace.write(CONTAINERS, "[[registry]]\nlocation = \"http://r.io\"\n");
    cli.fails(2, &read).says("configuration", &["registries.conf", "http://r.io"]);
    cli.environment.variables.insert("CONTAINERS_REGISTRIES_CONF".into(), "/none/registries.conf".into());
    cli.fails(3, &read).says("file_not_found", &["/none/registries.conf"]);
    // Who speaks to no registry needs no configuration.
    cli.ok("ls");
}

#[test]
fn a_name_without_a_registry_is_completed_by_alias_or_search() {
    let (registry, cli) = (registry(), Cli::new());
    let host = registry.address();
    cli.workspace.write(CONTAINERS, format!("unqualified-search-registries = [\"{host}\"]\n"));
    let aliases = "home/.config/containers/registries.conf.d/000-shortnames.conf";
    cli.workspace.write(aliases, format!("[aliases]\nshort = \"{host}/app\"\n"));
    cli.ok("create app app:v1");
    cli.ok("create other short:v1");
    cli.ok("inspect --layers app");
    for list in ["app", "other"] {
        assert!(
            cli.ok(&format!("inspect --sources {list}")).contains(&format!("docker://{host}/app")),
            "{list}"
        );
    }
    cli.ok("remove other app:v1");
    cli.fails(2, "push app short:v2").says("misuse", &["names no registry"]);
    cli.workspace.write(CONTAINERS, "unqualified-search-registries = [\"a.io\", \"b.io\"]\n");
    cli.fails(2, "add app app:v1").says("misuse", &["a.io/app:v1 or b.io/app:v1"]);
}

/// The names of the members of a host that the document describes.
#[test]
fn the_document_shows_every_member_and_its_example_is_understood() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = fs::read_to_string(path).unwrap();
    let example = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    for member in [
        "insecure",
        "cert-dir",
        "ca",
        "authfile",
        "credentials-helper",
        "auth-hosts",
        "mirrors",
        "chunk-size",
    ] {
        assert!(example.contains(&format!("\n{member} = ")), "{member}");
        assert!(text.contains(&format!("\n| `{member}` | ")), "{member}");
    }
    let (registry, cli) = (registry(), Cli::new());
    cli.workspace.write(OURS, example);
    read(&cli, &registry.address());
}
