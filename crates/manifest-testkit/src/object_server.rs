//! Emulators of object stores, as child processes.

mod azurite;
mod emulator;
mod moto;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use azurite::Azurite;
pub use moto::Moto;

use emulator::Emulator;

/// How long an emulator may take to come up; both need a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A child process that has said where it listens; it ends when this is dropped.
#[derive(Debug)]
struct Server {
    child: Child,
    endpoint: String,
    dir: TempDir,
}

impl Server {
    /// Starts what `command` makes of an empty directory, which is gone with the server.
    ///
    /// The server chooses its port itself, so that nobody can take it meanwhile, and is up when it says
    /// so: `ready` is followed by its URL on a line of its outputs.
    fn start(emulator: Emulator, ready: &str, command: impl FnOnce(&Path) -> Command) -> Self {
        let name = emulator.name;
        let dir = TempDir::new().expect("a temporary directory");
        let log = File::create(dir.path().join("log")).expect("a log file");
        let mut command = command(dir.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        command.env_clear().env("HOME", dir.path()).env("TMPDIR", dir.path());
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        // From here on the child is ended whatever happens.
        let mut server = Self { child, endpoint: String::new(), dir };
        let started = Instant::now();
        while server.endpoint.is_empty() {
            let ended = server.child.try_wait().expect("the state of a child").is_some();
            let said = server.log();
            match url_after(ready, &said) {
                Some(url) => server.endpoint = url.to_owned(),
                None if ended || started.elapsed() > PATIENCE => panic!("{name} did not come up:\n{said}"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        server
    }

    /// Host and port.
    fn address(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        if self.child.kill().is_ok() {
            let _status = self.child.wait();
        }
    }
}

/// The rest of the first whole line with `marker`.
fn url_after<'a>(marker: &str, log: &'a str) -> Option<&'a str> {
    let whole = &log[..=log.rfind('\n')?];
    whole.lines().find_map(|line| line.split_once(marker)).map(|(_, url)| url.trim())
}

/// The file to run.
fn installed(emulator: Emulator) -> PathBuf {
    let cache = emulator::cache(|name| std::env::var_os(name)).expect("HOME or XDG_CACHE_HOME");
    installed_in(&cache, emulator)
}

fn installed_in(cache: &Path, emulator: Emulator) -> PathBuf {
    let Emulator { name, version, .. } = emulator;
    emulator.installed(cache).unwrap_or_else(|| {
        panic!("this test needs {name} {version} in {}: `cargo xtask test` installs it", cache.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "needs moto 5.2.5 in /no/such: `cargo xtask test` installs it")]
    fn a_missing_emulator_is_a_failure_that_says_how_to_install_it() {
        installed_in(Path::new("/no/such"), emulator::MOTO);
    }

    #[test]
    fn a_line_is_read_once_it_is_whole() {
        let marker = "Running on ";
        assert_eq!(url_after(marker, " * Running on http://127.0.0.1:80"), None);
        assert_eq!(
            url_after(marker, "x\n * Running on http://127.0.0.1:8080\ny"),
            Some("http://127.0.0.1:8080")
        );
        assert_eq!(url_after(marker, ""), None);
    }

    #[test]
    fn a_server_ends_when_the_test_panics() {
        let (send, receive) = std::sync::mpsc::channel();
        let test = std::thread::spawn(move || {
            let script = "echo up http://here; exec sleep 600";
            let server = Server::start(emulator::MOTO, "up ", |_| {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", script]);
                command
            });
            send.send((server.child.id(), server.dir.path().to_owned())).unwrap();
            panic!("as a test does");
        });
        assert!(test.join().is_err());
        let (id, dir) = receive.recv().unwrap();
        assert!(!Path::new(&format!("/proc/{id}")).exists(), "the process goes on");
        assert!(!dir.exists(), "its directory stayed");
    }
}
