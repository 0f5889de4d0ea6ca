//! The emulators of object stores, which Debian does not have.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::failure::Failure;

// The test kit runs what is installed here: one file says what and where for both.
#[path = "../../../../manifest-testkit/src/object_server/emulator.rs"]
mod emulator;

use emulator::{AZURITE, Emulator, MOTO};

/// What moto needs to serve S3, and all that this needs in turn. `moto[server]` brings every service of
/// the cloud: twice the size, ten times the time.
const PYTHON_PACKAGES: &[&str] = &[
    "moto==5.2.5",
    "blinker==1.9.0",
    "boto3==1.44.5",
    "botocore==1.44.5",
    "certifi==2026.10.18",
    "cffi==2.1.1",
    "charset-normalizer==3.5.2",
    "click==8.5.1",
    "cryptography==50.0.2",
    "flask==3.1.3",
    "flask-cors==6.0.5",
    "idna==3.20",
    "itsdangerous==2.2.0",
    "jinja2==3.1.6",
    "jmespath==1.1.0",
    "markupsafe==3.0.4",
    "py-partiql-parser==0.6.3",
    "pycparser==3.12",
    "python-dateutil==2.9.0.post0",
    "pyyaml==6.0.3",
    "requests==2.34.2",
    "responses==0.26.3",
    "s3transfer==0.19.3",
    "six==1.17.0",
    "urllib3==2.8.0",
    "werkzeug==3.1.9",
    "xmltodict==1.0.4",
];

/// Whether moto is still to be installed, which takes a Python that can make environments.
pub(super) fn need_python() -> Result<bool, Failure> {
    Ok(MOTO.installed(&cache()?).is_none())
}

/// Makes sure that both are there.
pub(super) fn ensure() -> Result<(), Failure> {
    let cache = cache()?;
    for emulator in [MOTO, AZURITE] {
        ensure_in(&cache, emulator, commands)?;
    }
    Ok(())
}

fn cache() -> Result<PathBuf, Failure> {
    let advice = "emulators are kept in the user's cache: set HOME or XDG_CACHE_HOME";
    emulator::cache(|name| std::env::var_os(name)).ok_or_else(|| Failure::Refused(vec![advice.to_owned()]))
}

/// Installs `emulator` beside its place and moves it there when it is whole.
fn ensure_in(
    cache: &Path,
    emulator: Emulator,
    commands: impl Fn(Emulator, &Path) -> Vec<Command>,
) -> Result<(), Failure> {
    if emulator.installed(cache).is_some() {
        return Ok(());
    }
    let Emulator { name, version, .. } = emulator;
    fs::create_dir_all(cache).map_err(Failure::file("make", cache))?;
    let _lock = lock(cache)?;
    // Another checkout may have been quicker.
    if emulator.installed(cache).is_some() {
        return Ok(());
    }
    let (whole, partial) = (emulator.directory(cache), cache.join(format!("{name}-{version}.partial")));
    println!("    installing {name} {version} into {}", whole.display());
    remove(&partial)?;
    for command in commands(emulator, &partial) {
        command::run(command).map_err(|failure| {
            let by_hand = by_hand(&commands(emulator, &partial), &partial, &whole);
            Failure::Refused(vec![format!(
                "cannot install {name} {version}: {}; by hand: {by_hand}",
                why(failure)
            )])
        })?;
    }
    remove(&whole)?;
    fs::rename(&partial, &whole).map_err(Failure::file("move into place", &partial))
}

/// Held until it is dropped, or its process ends.
fn lock(cache: &Path) -> Result<File, Failure> {
    let path = cache.join("lock");
    let file = File::create(&path).map_err(Failure::file("open", &path))?;
    file.lock().map_err(Failure::file("lock", &path))?;
    Ok(file)
}

fn remove(directory: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::file("remove", directory)(error))
        }
        _ => Ok(()),
    }
}

/// What installs `emulator` into `directory`.
fn commands(emulator: Emulator, directory: &Path) -> Vec<Command> {
    if emulator == MOTO {
        let mut environment = Command::new("python3");
        environment.args(["-m", "venv"]).arg(directory);
        let mut install = Command::new(directory.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
        install.arg("--only-binary=:all:").args(PYTHON_PACKAGES);
        vec![environment, install]
    } else {
        let mut install = Command::new("npm");
        install.args(["install", "--no-audit", "--no-fund", "--omit=optional", "--ignore-scripts"]);
        install.args(["--loglevel=error", "--prefix"]).arg(directory);
        install.arg(format!("{}@{}", emulator.name, emulator.version));
        vec![install]
    }
}

/// Without the command, which follows.
fn why(failure: Failure) -> String {
    match failure {
        Failure::Program { status, .. } => format!("the installer ended with {status}"),
        other => other.to_string(),
    }
}

fn by_hand(commands: &[Command], partial: &Path, whole: &Path) -> String {
    let lines: Vec<_> = commands.iter().map(line).collect();
    format!("{} && mv {} {}", lines.join(" && "), partial.display(), whole.display())
}

/// A command as one would type it, with the whole path of its program.
fn line(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let shown = command::line(command);
    let arguments = shown.split_once(' ').map_or("", |(_, arguments)| arguments);
    format!("{program} {arguments}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, directory: &Path) -> Vec<Command> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(directory);
        vec![command]
    }

    const WHOLE: &str = r#"mkdir -p "$0/bin" && : > "$0/bin/python""#;

    #[test]
    fn what_is_installed_is_not_installed_again() {
        let cache = tempfile::tempdir().unwrap();
        ensure_in(cache.path(), MOTO, |_, directory| shell(WHOLE, directory)).unwrap();
        ensure_in(cache.path(), MOTO, |_, _| panic!("asked for commands")).unwrap();
        assert!(MOTO.installed(cache.path()).is_some());
    }

    #[test]
    fn an_interrupted_installation_is_not_taken_for_a_whole_one() {
        let cache = tempfile::tempdir().unwrap();
        let interrupted = format!("{WHOLE}; exit 1");
        let failed = ensure_in(cache.path(), MOTO, |_, directory| shell(&interrupted, directory));
        assert!(failed.is_err());
        assert_eq!(MOTO.installed(cache.path()), None);
        // What it left is out of the way of the next attempt.
        let fresh = format!(r#"test ! -e "$0" && {WHOLE}"#);
        ensure_in(cache.path(), MOTO, |_, directory| shell(&fresh, directory)).unwrap();
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 2, "more than the emulator and the lock");
    }

    #[test]
    fn an_environment_whose_python_is_gone_is_made_again() {
        let cache = tempfile::tempdir().unwrap();
        let bin = MOTO.directory(cache.path()).join("bin");
        fs::create_dir_all(&bin).unwrap();
        std::os::unix::fs::symlink("/no/such/python", bin.join("python")).unwrap();
        assert_eq!(MOTO.installed(cache.path()), None);
        ensure_in(cache.path(), MOTO, |_, directory| shell(WHOLE, directory)).unwrap();
        assert!(MOTO.installed(cache.path()).is_some());
    }

    #[test]
    fn a_failure_says_how_to_install_by_hand() {
        let cache = tempfile::tempdir().unwrap();
        let failed = ensure_in(cache.path(), MOTO, |_, directory| shell("exit 7", directory)).unwrap_err();
        let begin = "cannot install moto 5.2.5: the installer ended with exit status: 7; by hand: sh -c ";
        let end = format!("moto-5.2.5.partial {}", MOTO.directory(cache.path()).display());
        let said = failed.to_string();
        assert!(said.starts_with(begin) && said.ends_with(&end), "{said}");

        for (emulator, expected) in [
            (MOTO, "python3 -m venv /p && /p/bin/python -m pip install "),
            (AZURITE, "npm install "),
            (AZURITE, " --prefix /p azurite@3.35.0 && mv /p /w"),
        ] {
            let by_hand = by_hand(&commands(emulator, Path::new("/p")), Path::new("/p"), Path::new("/w"));
            assert!(by_hand.contains(expected), "{by_hand}");
        }
    }

    #[test]
    fn the_version_of_the_directory_is_the_one_installed() {
        assert_eq!(PYTHON_PACKAGES[0], format!("{}=={}", MOTO.name, MOTO.version));
        assert!(PYTHON_PACKAGES.iter().all(|package| package.contains("==")));
    }
}
