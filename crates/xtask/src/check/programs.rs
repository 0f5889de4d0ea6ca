//! The programs that the tests start.

mod emulators;

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Stdio};

use crate::command;
use crate::failure::Failure;

/// A program and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
struct Program {
    name: &'static str,
    package: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program { name: "docker-registry", package: "docker-registry" },
    Program { name: "skopeo", package: "skopeo" },
    Program { name: "buildah", package: "buildah" },
    Program { name: "podman", package: "podman" },
    Program { name: "gpg", package: "gnupg" },
    Program { name: "htpasswd", package: "apache2-utils" },
    Program { name: "openssl", package: "openssl" },
    Program { name: "curl", package: "curl" },
    Program { name: "strace", package: "strace" },
    Program { name: "faketime", package: "faketime" },
    Program { name: "mkfs.ext4", package: "e2fsprogs" },
    Program { name: "mkfs.xfs", package: "xfsprogs" },
    Program { name: "mkfs.btrfs", package: "btrfs-progs" },
    Program { name: "node", package: "nodejs" },
    Program { name: "npm", package: "npm" },
];

/// Debian's Python comes without the part that makes environments.
const VENV: Program = Program { name: "python3 -m venv", package: "python3-venv" };

/// Makes sure that every program is there: installs packages when we are root, and emulators for the user.
pub(super) fn ensure() -> Result<(), Failure> {
    ensure_packages()?;
    emulators::ensure()
}

fn ensure_packages() -> Result<(), Failure> {
    let path = with_sbin(&env::var_os("PATH").unwrap_or_default());
    let missing = missing(&path)?;
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|program| program.package).collect();
    if !is_root() || !is_in_path("apt-get", &path) {
        return Err(Failure::Refused(vec![advice(&missing)]));
    }
    println!("    installing {}", packages.join(", "));
    command::run(apt_get(&["update", "--quiet"]))?;
    let mut install = apt_get(&["install", "--quiet", "--yes", "--no-install-recommends"]);
    install.args(&packages);
    command::run(install)?;
    let missing = self::missing(&path)?;
    if missing.is_empty() { Ok(()) } else { Err(Failure::Refused(vec![advice(&missing)])) }
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn advice(missing: &[Program]) -> String {
    let names: Vec<_> = missing.iter().map(|program| program.name).collect();
    let packages: Vec<_> = missing.iter().map(|program| program.package).collect();
    format!(
        "the tests need {}; on Debian: sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
        names.join(", "),
        packages.join(" ")
    )
}

fn missing(path: &OsStr) -> Result<Vec<Program>, Failure> {
    let mut missing = missing_files(path);
    if emulators::need_python()? && !makes_environments() {
        missing.push(VENV);
    }
    Ok(missing)
}

fn missing_files(path: &OsStr) -> Vec<Program> {
    PROGRAMS.iter().filter(|program| !is_in_path(program.name, path)).copied().collect()
}

fn makes_environments() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]);
    python.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// The programs of the administrator are in directories that not every `PATH` names.
fn with_sbin(path: &OsStr) -> OsString {
    let mut all = path.to_owned();
    all.push(":/usr/sbin:/sbin");
    all
}

fn is_in_path(name: &str, path: &OsStr) -> bool {
    env::split_paths(path).any(|dir| {
        let file = dir.join(name).metadata();
        file.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

/// The owner of `/proc/self` is the effective user; where there is no /proc there is no apt-get.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::path::Path;

    use super::*;

    #[test]
    fn only_what_is_missing_is_asked_for_by_the_name_of_its_package() {
        let dir = tempfile::tempdir().unwrap();
        for program in PROGRAMS.iter().filter(|program| !["htpasswd", "gpg"].contains(&program.name)) {
            let file = dir.path().join(program.name);
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        }
        let missing = missing_files(dir.path().as_os_str());
        let advice = advice(&missing);
        assert!(advice.starts_with("the tests need gpg, htpasswd;"), "{advice}");
        assert!(advice.ends_with("--no-install-recommends gnupg apache2-utils"), "{advice}");
    }

    #[test]
    fn a_file_that_cannot_be_executed_is_no_program() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("skopeo");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert!(!is_in_path("skopeo", dir.path().as_os_str()));
    }

    #[test]
    fn the_programs_of_the_administrator_are_found_whatever_the_path() {
        let path = with_sbin(OsStr::new("/usr/bin"));
        let dirs: Vec<_> = env::split_paths(&path).collect();
        assert_eq!(dirs, ["/usr/bin", "/usr/sbin", "/sbin"].map(Path::new));
    }
}
