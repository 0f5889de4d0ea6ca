//! Proxies between us and a registry.

use manifest_testkit::{FakeRegistry, Image, Method, Ran, Workspace};

use super::command;

/// A registry, a proxy before it that has the same image, and the name of the registry that is not that of this machine.
struct Scene {
    workspace: Workspace,
    registry: FakeRegistry,
    proxy: FakeRegistry,
    image: Image,
}

impl Scene {
    fn new() -> Self {
        let (registry, proxy) = (FakeRegistry::start(), FakeRegistry::start());
        let image = Image::new("linux/amd64").layers(1, 1000, 1);
        for server in [&registry, &proxy] {
            image.push_to(server, "app", "v1");
            server.clear_requests();
        }
        Self { workspace: Workspace::new(), registry, proxy, image }
    }

    /// The registry at the address that stands for none.
    fn named(&self) -> String {
        self.registry.address().replace("127.0.0.1", "0.0.0.0")
    }

    fn by_proxy(&self) -> String {
        format!("http://us:pr0xy-pw@{}", self.proxy.address().replace("127.0.0.1", "localhost"))
    }

    fn run(&self, words: &str, env: &[(&str, &str)]) -> Ran {
        let mut command = command(&self.workspace, words);
        let ran = Ran::of(command.arg("-v").envs(env.iter().copied()));
        assert!(!ran.stdout.contains("pr0xy-pw") && !ran.stderr.contains("pr0xy-pw"), "{ran:?}");
        ran
    }

    fn inspect(&self, env: &[(&str, &str)]) -> Ran {
        let words = format!("inspect --tls-verify=false --retry-delay 1ms docker://{}/app:v1", self.named());
        self.run(&words, env)
    }
}

/// NET-32.
#[test]
fn a_registry_is_reached_by_the_proxy_and_each_gets_its_own_login() {
    for variable in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        let scene = Scene::new();
        scene.proxy.basic("ann", "hunter2");
        let words =
            format!("inspect --tls-verify=false --creds ann:hunter2 docker://{}/app:v1", scene.named());
        scene.run(&words, &[(variable, &scene.by_proxy())]).ok();
        assert!(scene.registry.requests().is_empty(), "{variable}");
        let asked = scene.proxy.requests().pop().unwrap();
        assert_eq!(asked.header("proxy-authorization"), Some("Basic dXM6cHIweHktcHc="), "{variable}");
        assert_eq!(asked.authorization(), Some("Basic YW5uOmh1bnRlcjI="), "{variable}");
    }
}

/// NET-32, SEC-11.
#[test]
fn what_needs_no_proxy_is_asked_itself_and_learns_nothing_of_the_proxy() {
    for (name, value) in [("NO_PROXY", "0.0.0.0"), ("no_proxy", "10.0.0.0/8, 0.0.0.0/8")] {
        let scene = Scene::new();
        scene
            .inspect(&[("HTTP_PROXY", &scene.by_proxy()), ("HTTPS_PROXY", &scene.by_proxy()), (name, value)])
            .ok();
        assert!(scene.proxy.requests().is_empty(), "{value}");
        let asked = scene.registry.requests();
        assert!(!asked.is_empty() && asked.iter().all(|asked| asked.header("proxy-authorization").is_none()));
    }
    // This machine is asked without a proxy, which would look for it on its own.
    let scene = Scene::new();
    let here = format!("inspect docker://{}/app:v1", scene.registry.address());
    scene.run(&here, &[("HTTP_PROXY", &scene.by_proxy())]).ok();
    assert!(scene.proxy.requests().is_empty());
}

/// NET-32: the proxy of the user stands on this machine, which is nothing that a server chose.
#[test]
fn a_redirect_is_followed_by_the_proxy() {
    let scene = Scene::new();
    let to = "http://storage.example/v2/app/manifests/v1";
    let moved = scene.proxy.on(Method::Get, "/v2/app/manifests/v1").redirect(307, to);
    scene.inspect(&[("HTTP_PROXY", &scene.by_proxy())]).ok();
    assert_eq!(moved.hits(), 1);
    let hosts: Vec<_> = scene
        .proxy
        .requests()
        .iter()
        .map(|asked| asked.header("host").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(hosts.last().map(String::as_str), Some("storage.example"), "{hosts:?}");
}

/// NET-32.
#[test]
fn a_proxy_that_wants_another_login_is_named_and_not_asked_again() {
    let scene = Scene::new();
    scene.proxy.on_any("*").reply(407).header("proxy-authenticate", "Basic realm=\"x\"").always();
    for (variable, tls) in [("HTTP_PROXY", "false"), ("HTTPS_PROXY", "true")] {
        scene.proxy.clear_requests();
        let words = format!("inspect --tls-verify={tls} --retry-delay 1ms docker://{}/app:v1", scene.named());
        let failed = scene.run(&words, &[(variable, &scene.by_proxy())]);
        let said = failed.fails(5);
        assert!(said.contains("proxy") && !said.contains("retry 1"), "{variable}: {said}");
        // Where certificates are not checked, it is first found out whether there is TLS.
        assert!(scene.proxy.requests().len() <= 2, "{variable}: {:?}", scene.proxy.requests().len());
    }
    assert!(scene.registry.requests().is_empty());
}

/// NET-32.
#[test]
fn a_proxy_that_breaks_the_way_to_a_registry_is_named() {
    let scene = Scene::new();
    let words = format!("inspect --retry 1 --retry-delay 1ms docker://{}/app:v1", scene.named());
    type Fault = fn(manifest_testkit::Rule) -> manifest_testkit::Rule;
    let faults: [Fault; 3] = [|rule| rule.reset(), |rule| rule.reply(502), |rule| rule.reply(403)];
    for fault in faults {
        let rule = fault(scene.proxy.on_any("*").always());
        let failed = scene.run(&words, &[("HTTPS_PROXY", &scene.by_proxy())]);
        assert!(failed.fails(5).contains("proxy"), "{failed:?}");
        assert!((1..=2).contains(&rule.hits()));
        scene.proxy.clear_rules();
    }
    let gone = format!("http://{}", FakeRegistry::start().address());
    let failed = scene.run(&words, &[("HTTPS_PROXY", &gone)]);
    assert!(failed.fails(5).contains("proxy"), "{failed:?}");
    assert!(scene.registry.requests().is_empty() && scene.image.manifest().len() > 1);
}
