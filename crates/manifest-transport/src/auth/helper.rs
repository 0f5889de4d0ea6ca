//! Credential helpers: programs that hold logins.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::login::Login;
use crate::secret::Secret;

/// How long a helper may take: people type a passphrase meanwhile.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes a helper may write to either output.
const MAX_OUTPUT: u64 = 64 * 1024;
/// Characters of a helper's own words that are passed on.
const MAX_MESSAGE: usize = 200;
/// What a helper says, exactly, when it has no login.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// Why a credential helper gave no answer. The first field is the program's name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelperError {
    /// The name in the file cannot be that of a helper.
    #[error("credential helper name {0:?} is not made of letters, digits, - and _")]
    BadName(String),
    /// No absolute directory of the search path holds the program.
    #[error("credential helper {0} is not in the search path")]
    Missing(String),
    /// The program could not be started, fed or read.
    #[error("cannot run credential helper {0}")]
    Io(String, #[source] io::Error),
    /// The program was ended after the allowed time.
    #[error("credential helper {0} did not answer within {s} s", s = .1.as_secs())]
    TimedOut(String, Duration),
    /// The program was ended because it wrote too much.
    #[error("credential helper {0} wrote more than {1} bytes")]
    TooMuchOutput(String, u64),
    /// The program failed; the second field is its own message, shortened.
    #[error("credential helper {0} failed: {1}")]
    Failed(String, String),
    /// The program succeeded with something else than a login.
    #[error("credential helper {0} did not answer with a login")]
    Answer(String),
}

/// Runs credential helpers.
#[derive(Clone, Debug)]
pub(super) struct Helpers {
    directories: Vec<PathBuf>,
    timeout: Duration,
}

/// The answer to `get`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: Secret,
}

/// What `store` is given.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Kept<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
    secret: &'a str,
}

impl Helpers {
    /// Helpers found through `path`, in the form of the variable `PATH`. Its relative and empty elements are
    /// passed over: they mean the working directory, where anybody may have put a program.
    pub(super) fn new(path: Option<&OsString>) -> Self {
        let directories = path.into_iter().flat_map(std::env::split_paths);
        Self { directories: directories.filter(|at| at.is_absolute()).collect(), timeout: TIMEOUT }
    }

    /// Asks the helper `name` for the login of `server`; nothing when it says that it has none.
    pub(super) async fn get(&self, name: &str, server: &str) -> Result<Option<Login>, HelperError> {
        let Some(answer) = self.run(name, "get", server.as_bytes()).await? else { return Ok(None) };
        read_answer(&answer).ok_or_else(|| HelperError::Answer(program(name)))
    }

    /// Has the helper `name` keep the login of `server`.
    pub(super) async fn store(
        &self,
        name: &str,
        server: &str,
        username: &str,
        password: &Secret,
    ) -> Result<(), HelperError> {
        let kept = Kept { server_url: server, username, secret: password.expose() };
        let text = serde_json::to_vec(&kept).map_err(|error| HelperError::Io(program(name), error.into()))?;
        self.run(name, "store", &Zeroizing::new(text)).await.map(drop)
    }

    /// Has the helper `name` forget the login of `server`; whether it had one.
    pub(super) async fn erase(&self, name: &str, server: &str) -> Result<bool, HelperError> {
        // Most helpers do not complain when there is nothing to forget.
        if self.run(name, "get", server.as_bytes()).await?.is_none() {
            return Ok(false);
        }
        Ok(self.run(name, "erase", server.as_bytes()).await?.is_some())
    }

    /// Runs one command of the helper `name`; what it prints, or nothing when it says that it has no such login.
    async fn run(
        &self,
        name: &str,
        verb: &'static str,
        input: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, HelperError> {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || !name.bytes().all(fine) {
            return Err(HelperError::BadName(name.to_owned()));
        }
        let program = program(name);
        let Some(path) = self.find(&program) else {
            return Err(HelperError::Missing(program));
        };
        let output = match tokio::time::timeout(self.timeout, run(path, verb, input)).await {
            Ok(Ok(output)) => output,
            Ok(Err(RunError::Io(error))) => return Err(HelperError::Io(program, error)),
            Ok(Err(RunError::TooMuch)) => return Err(HelperError::TooMuchOutput(program, MAX_OUTPUT)),
            Err(_elapsed) => return Err(HelperError::TimedOut(program, self.timeout)),
        };
        let (stdout, stderr) = (Zeroizing::new(output.stdout), Zeroizing::new(output.stderr));
        if output.status.success() {
            return Ok(Some(stdout));
        }
        if stdout.trim_ascii() == NOT_FOUND.as_bytes() {
            return Ok(None);
        }
        let said = message(&stdout).or_else(|| message(&stderr));
        Err(HelperError::Failed(program, said.unwrap_or_else(|| output.status.to_string())))
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
        self.directories.iter().map(|directory| directory.join(&file)).find(|path| is_executable(path))
    }
}

fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

#[cfg(unix)]
fn is_executable(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &std::path::Path) -> bool {
    path.is_file()
}

enum RunError {
    Io(io::Error),
    TooMuch,
}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Runs `path verb` with this input. The program dies when the future is dropped.
async fn run(path: PathBuf, verb: &str, input: &[u8]) -> Result<Output, RunError> {
    let mut child = Command::new(path)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin
            && let Err(error) = stdin.write_all(input).await
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            return Err(RunError::Io(error));
        }
        // Here the input is closed; a helper that answered without reading it is no fault.
        Ok(())
    };
    let ((), stdout, stderr) = tokio::try_join!(feed, read(stdout), read(stderr))?;
    let status = child.wait().await?;
    Ok(Output { status, stdout, stderr })
}

async fn read(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, RunError> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(MAX_OUTPUT + 1).read_to_end(&mut bytes).await?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_OUTPUT) {
        return Err(RunError::TooMuch);
    }
    Ok(bytes)
}

/// The login in an answer: `Some(None)` when the helper has none and says so with empty members.
fn read_answer(stdout: &[u8]) -> Option<Option<Login>> {
    let answer: Answer = serde_json::from_slice(stdout).ok()?;
    if answer.username.is_empty() && answer.secret.is_empty() {
        return Some(None);
    }
    Some(Some(Login::new(answer.username, answer.secret)))
}

/// The first line a helper wrote, safe for a terminal. What looks like an answer may hold a secret and is kept
/// back.
fn message(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    if text.contains('{') {
        return None;
    }
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|letter| !letter.is_control()).take(MAX_MESSAGE).collect())
}

#[cfg(test)]
#[cfg(unix)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    /// Puts the helper `name` with this shell script as its body into a directory.
    ///
    /// The file is written by another program: a descriptor open for writing here would be inherited by a helper
    /// that another test starts at that moment, and the script could not be run ("text file busy").
    pub(in crate::auth) fn install(directory: &Path, name: &str, body: &str) {
        let path = directory.join(format!("docker-credential-{name}"));
        let status = std::process::Command::new("/bin/sh")
            .args(["-c", r#"printf '#!/bin/sh\n%s\n' "$1" > "$2""#, "sh", body])
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn helpers(directory: &Path) -> Helpers {
        Helpers::new(Some(&directory.into()))
    }

    async fn answer(body: &str) -> Result<Option<Login>, String> {
        let directory = tempfile::tempdir().unwrap();
        install(directory.path(), "test", body);
        let mut helpers = helpers(directory.path());
        if body.contains("sleep") {
            helpers.timeout = Duration::from_millis(100);
        }
        helpers.get("test", "reg.io").await.map_err(|error| error.to_string())
    }

    /// SEC-53: the last ones.
    #[tokio::test]
    async fn answers_are_read_as_the_protocol_says() {
        let basic = |username: &str, password: &str| {
            Ok(Some(Login::Basic { username: username.to_owned(), password: password.into() }))
        };
        let failed = |why: &str| Err(format!("credential helper docker-credential-test {why}"));
        let table = [
            (r#"echo '{"ServerURL":"reg.io","Username":"ann","Secret":"pw"}'"#, basic("ann", "pw")),
            (
                r#"[ "$*" = get ] && s=$(cat) && printf '{"Username":"%s","Secret":"x"}' "$s""#,
                basic("reg.io", "x"),
            ),
            (
                r#"echo '{"Username":"<token>","Secret":"refresh"}'"#,
                Ok(Some(Login::Identity { token: "refresh".into() })),
            ),
            (r#"echo '{"Username":"","Secret":""}'"#, Ok(None)),
            ("echo credentials not found in native keychain; exit 1", Ok(None)),
            ("echo no credentials server URL; exit 1", failed("failed: no credentials server URL")),
            ("echo; echo locked >&2; exit 2", failed("failed: locked")),
            (r"printf '\033[31mred\n'; exit 1", failed("failed: [31mred")),
            (r#"echo '{"Username":"ann","Secret":"hunter2"}'; exit 3"#, failed("failed: exit status: 3")),
            ("echo hunter2", failed("did not answer with a login")),
            (r#"echo '{"Username":"ann"}'"#, failed("did not answer with a login")),
            ("exec yes", failed("wrote more than 65536 bytes")),
            ("exec yes >&2", failed("wrote more than 65536 bytes")),
            ("exec sleep 60", failed("did not answer within 0 s")),
            ("exec >&- 2>&-; exec sleep 60", failed("did not answer within 0 s")),
        ];
        for (body, expected) in table {
            assert_eq!(answer(body).await, expected, "{body}");
        }
    }

    /// SEC-53.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_helper_nobody_waits_for_any_more_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        install(directory.path(), "slow", &format!("echo $$ > {}; exec sleep 60", pid_file.display()));
        let helpers = helpers(directory.path());
        let started = async {
            loop {
                match std::fs::read_to_string(&pid_file) {
                    Ok(pid) if pid.ends_with('\n') => return pid.trim().to_owned(),
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        let pid = tokio::select! {
            answer = helpers.get("slow", "reg.io") => panic!("{answer:?}"),
            pid = started => pid,
        };
        let stat = format!("/proc/{pid}/stat");
        // Gone, or dead and not yet fetched by its parent.
        while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::task::yield_now().await;
        }
    }

    /// SEC-13.
    #[tokio::test]
    async fn a_name_that_could_be_a_path_is_refused() {
        let helpers = helpers(Path::new("/bin"));
        for name in ["", "../sh", "a/b", "a b", "a.b", "ä", "a\0", "$(x)"] {
            let failed = helpers.get(name, "reg.io").await.unwrap_err();
            assert!(matches!(failed, HelperError::BadName(_)), "{name:?}: {failed}");
        }
    }

    #[tokio::test]
    async fn a_helper_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let failed = helpers(directory.path()).get("gone", "reg.io").await.unwrap_err();
        assert_eq!(failed.to_string(), "credential helper docker-credential-gone is not in the search path");
        let failed = Helpers::new(None).get("gone", "reg.io").await.unwrap_err();
        assert!(matches!(failed, HelperError::Missing(_)), "{failed}");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_run_is_passed_over() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        install(first.path(), "test", "exit 9");
        let plain = first.path().join("docker-credential-test");
        std::fs::set_permissions(plain, std::fs::Permissions::from_mode(0o644)).unwrap();
        install(second.path(), "test", r#"echo '{"Username":"ann","Secret":"pw"}'"#);
        let path = std::env::join_paths([first.path(), second.path()]).unwrap();
        let found = Helpers::new(Some(&path)).get("test", "reg.io").await.unwrap();
        assert_eq!(found, Some(Login::new("ann", "pw")));
    }

    /// SEC-13.
    #[tokio::test]
    async fn a_helper_on_a_relative_path_is_not_run() {
        let directory = tempfile::tempdir().unwrap();
        install(directory.path(), "here", r#"echo '{"Username":"evil","Secret":"pw"}'"#);
        // From the working directory up to the root and down again: the same directory, said relatively.
        let up = "../".repeat(std::env::current_dir().unwrap().components().count() - 1);
        let relative = format!("{up}{}", directory.path().strip_prefix("/").unwrap().display());
        assert!(Path::new(&relative).join("docker-credential-here").is_file());
        for path in [relative.clone(), String::new(), ".".to_owned(), format!(":{relative}:")] {
            let failed = Helpers::new(Some(&path.clone().into())).get("here", "reg.io").await.unwrap_err();
            assert!(matches!(failed, HelperError::Missing(_)), "{path}: {failed}");
        }
    }
}
