//! The real registry, as a child process.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::program;
use crate::ran::Ran;
use crate::request::Method;
use crate::token_server::{ISSUER, SERVICE, TokenServer};

/// How long the registry may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Debian's `docker-registry` (distribution 2.8) as a child process on a free loopback port.
///
/// Its storage is a temporary directory in which deleting is allowed. It ends when this is dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    port: u16,
    dir: TempDir,
    settings: Value,
}

/// A certificate that signs itself, as people make them.
#[derive(Clone, Debug)]
pub struct SelfSigned {
    /// The hosts that it is for.
    pub names: Vec<String>,
    /// Whether it calls itself an authority.
    pub authority: bool,
    /// Whether its time has passed.
    pub expired: bool,
}

impl Default for SelfSigned {
    /// An authority for `localhost` and `127.0.0.1`.
    fn default() -> Self {
        Self { names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()], authority: true, expired: false }
    }
}

impl SelfSigned {
    /// Writes the certificate and its key, and the certificate into `certs`; their paths.
    fn make(&self, dir: &Path) -> (PathBuf, PathBuf) {
        let certs = dir.join("certs");
        fs::create_dir(&certs).expect("a directory");
        let mut params = CertificateParams::new(self.names.clone()).expect("host names");
        params.distinguished_name.push(DnType::CommonName, "testkit");
        if self.authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        if self.expired {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        }
        let pair = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&pair).expect("a certificate").pem();
        let (path, key) = (dir.join("server.crt"), dir.join("server.key"));
        for (path, text) in
            [(&certs.join("ca.crt"), &certificate), (&path, &certificate), (&key, &pair.serialize_pem())]
        {
            fs::write(path, text).expect("a file");
        }
        (path, key)
    }
}

/// A request from the access log of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLine {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The status answered.
    pub status: u16,
    /// The `User-Agent` of the client.
    pub agent: String,
}

/// Why an attempt to start came to nothing.
enum Failed {
    PortTaken,
}

impl DockerRegistry {
    /// A registry without login, over plain HTTP.
    ///
    /// # Panics
    /// If it is not installed or does not come up; the same holds for the other ways to start it.
    pub fn plain() -> Self {
        Self::start(|_| json!({}))
    }

    /// A registry that asks for a Basic login.
    pub fn with_htpasswd(user: &str, password: &str) -> Self {
        Self::start(|dir| {
            let entry = Ran::of(Command::new(program("htpasswd")).args(["-Bbn", user, password]));
            let path = dir.join("htpasswd");
            fs::write(&path, entry.ok()).expect("a file of passwords");
            json!({ "auth": { "htpasswd": { "realm": "testkit", "path": path } } })
        })
    }

    /// A registry over TLS, which then speaks HTTP/2 too. Its certificate, for `localhost` and
    /// `127.0.0.1`, is signed by the authority in [`certs`](Self::certs).
    pub fn with_tls() -> Self {
        Self::start(|dir| {
            let (certificate, key) = make_certificates(dir);
            json!({ "http": { "tls": { "certificate": certificate, "key": key } } })
        })
    }

    /// A registry over TLS whose certificate signs itself; it lies in [`certs`](Self::certs), too.
    pub fn self_signed(certificate: &SelfSigned) -> Self {
        Self::start(|dir| {
            let (certificate, key) = certificate.make(dir);
            json!({ "http": { "tls": { "certificate": certificate, "key": key } } })
        })
    }

    /// As [`with_tls`](Self::with_tls), but only clients with a certificate of the same authority are let in. One lies
    /// in [`certs`](Self::certs).
    pub fn with_client_certificates() -> Self {
        Self::start(|dir| {
            let (certificate, key) = make_certificates(dir);
            let authority = dir.join("certs/ca.crt");
            json!({ "http": { "tls": { "certificate": certificate, "key": key, "clientcas": [authority] } } })
        })
    }

    /// A registry that accepts tokens of this server.
    pub fn with_tokens(tokens: &TokenServer) -> Self {
        Self::start(|dir| {
            let path = dir.join("token-certificate.pem");
            fs::write(&path, tokens.sign_tokens()).expect("a certificate");
            let token = json!({
                "realm": tokens.realm(), "service": SERVICE, "issuer": ISSUER, "rootcertbundle": path,
            });
            json!({ "auth": { "token": token } })
        })
    }

    fn start(settings: impl FnOnce(&Path) -> Value) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let settings = settings(dir.path());
        // Between the choice of a port and its use another process may take it.
        for _ in 0..20 {
            let port = free_port();
            if let Ok(child) = spawn(dir.path(), port, &settings) {
                return Self { child, port, dir, settings };
            }
        }
        panic!("docker-registry found no free port in 20 attempts")
    }

    /// Host and port, `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The directory with `ca.crt` for a registry over TLS, in the form of `--cert-dir` and `certs.d`.
    pub fn certs(&self) -> PathBuf {
        self.dir.path().join("certs")
    }

    /// Where the registry keeps its content.
    pub fn storage(&self) -> PathBuf {
        self.dir.path().join("storage")
    }

    /// Kills the registry; its port and its content stay for [`restart`](Self::restart).
    ///
    /// # Panics
    /// If the system refuses.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child that can be killed");
        self.child.wait().expect("a child that ends");
    }

    /// Kills the registry and starts it again on the same port with the same content.
    ///
    /// # Panics
    /// If another process took the port meanwhile.
    pub fn restart(&mut self) {
        self.kill();
        match spawn(self.dir.path(), self.port, &self.settings) {
            Ok(child) => self.child = child,
            Err(Failed::PortTaken) => panic!("port {} was taken during the restart", self.port),
        }
    }

    /// All requests so far, from the access log, in order of their end.
    pub fn requests(&self) -> Vec<AccessLine> {
        let log = fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        log.lines().filter_map(access_line).collect()
    }

    /// What the registry said on standard error, for messages.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("registry.log")).unwrap_or_default()
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        if self.child.kill().is_ok() {
            let _status = self.child.wait();
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
    listener.local_addr().expect("the address of a socket that was bound").port()
}

fn spawn(dir: &Path, port: u16, settings: &Value) -> Result<Child, Failed> {
    let mut config = json!({
        "version": "0.1",
        "log": { "level": "info" },
        "storage": { "filesystem": { "rootdirectory": dir.join("storage") }, "delete": { "enabled": true } },
        "http": { "addr": format!("127.0.0.1:{port}"), "secret": "testkit" },
    });
    for (section, values) in settings.as_object().into_iter().flatten() {
        for (key, value) in values.as_object().into_iter().flatten() {
            config[section][key] = value.clone();
        }
    }
    // JSON is YAML as well.
    let file = dir.join("config.yml");
    fs::write(&file, config.to_string()).expect("a configuration");
    let log = dir.join("registry.log");
    let append =
        |name: &str| File::options().create(true).append(true).open(dir.join(name)).expect("a log file");
    File::create(&log).expect("a log file");
    let mut child = Command::new(program("docker-registry"))
        .arg("serve")
        .arg(&file)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(append("access.log"))
        .stderr(append("registry.log"))
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start docker-registry: {error}"));
    let started = Instant::now();
    // It is ready when it says so itself: something else may answer at the port.
    loop {
        let said = fs::read_to_string(&log).unwrap_or_default();
        if said.contains("listening on") {
            return Ok(child);
        }
        let ended = child.try_wait().expect("the state of a child");
        if ended.is_some() && said.contains("address already in use") {
            return Err(Failed::PortTaken);
        }
        if ended.is_some() || started.elapsed() > PATIENCE {
            let _killed = child.kill();
            panic!("docker-registry did not come up:\n{said}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An authority and a certificate for this machine; the paths of certificate and key.
fn make_certificates(dir: &Path) -> (PathBuf, PathBuf) {
    let certs = dir.join("certs");
    fs::create_dir(&certs).expect("a directory");
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "testkit authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let root = authority.self_signed(&authority_key).expect("a certificate");
    let issuer = Issuer::new(authority, authority_key);
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut server = CertificateParams::new(names).expect("two host names");
    server.distinguished_name.push(DnType::CommonName, "testkit registry");
    let server_key = KeyPair::generate().expect("a key");
    let signed = server.signed_by(&server_key, &issuer).expect("a certificate");
    let mut client = CertificateParams::new(Vec::new()).expect("no host names");
    client.distinguished_name.push(DnType::CommonName, "testkit client");
    client.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let client_key = KeyPair::generate().expect("a key");
    let client = client.signed_by(&client_key, &issuer).expect("a certificate");
    let (certificate, key) = (dir.join("server.crt"), dir.join("server.key"));
    for (path, text) in [
        (&certs.join("client.cert"), client.pem()),
        (&certs.join("client.key"), client_key.serialize_pem()),
        (&certs.join("ca.crt"), root.pem()),
        (&certificate, signed.pem()),
        (&key, server_key.serialize_pem()),
    ] {
        fs::write(path, text).expect("a file");
    }
    (certificate, key)
}

/// Reads a line of the Apache combined log format; other lines are none.
fn access_line(line: &str) -> Option<AccessLine> {
    let mut quoted = line.split('"');
    let request = quoted.nth(1)?;
    let status = quoted.next()?.trim().split(' ').next()?.parse().ok()?;
    let agent = quoted.nth(2).unwrap_or_default().to_owned();
    let mut words = request.split(' ');
    let method = http::Method::from_bytes(words.next()?.as_bytes()).ok()?;
    Some(AccessLine { method: (&method).into(), target: words.next()?.to_owned(), status, agent })
}
