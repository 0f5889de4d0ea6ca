//! Which emulators of object stores the tests use, and where they are kept.
//!
//! `cargo xtask test` installs them and includes this file, so that both look in one place for one
//! version. It needs nothing but the standard library.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Amazon's S3.
pub(crate) const MOTO: Emulator = Emulator { name: "moto", version: "5.2.5", file: "bin/python" };

/// Azure's Blob Storage.
pub(crate) const AZURITE: Emulator =
    Emulator { name: "azurite", version: "3.35.0", file: "node_modules/azurite/dist/src/blob/main.js" };

/// An emulator: a directory below [`cache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Emulator {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// What is run, inside its directory.
    pub(crate) file: &'static str,
}

impl Emulator {
    /// Its directory; another version has another one.
    pub(crate) fn directory(self, cache: &Path) -> PathBuf {
        cache.join(format!("{}-{}", self.name, self.version))
    }

    /// What is run, when it is installed. A link whose target is gone, as a Python that was upgraded
    /// leaves behind, does not count.
    pub(crate) fn installed(self, cache: &Path) -> Option<PathBuf> {
        Some(self.directory(cache).join(self.file)).filter(|file| file.is_file())
    }
}

/// The directory of all emulators, one for all checkouts of this user; none without a home.
///
/// Spec: XDG Base Directory Specification 0.8; a relative path counts as none.
pub(crate) fn cache(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("manifest-test-programs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_user_keeps_such_things() {
        let cases = [
            (Some("/var/cache/ann"), Some("/home/ann"), Some("/var/cache/ann/manifest-test-programs")),
            (Some("relative"), Some("/home/ann"), Some("/home/ann/.cache/manifest-test-programs")),
            (Some(""), Some("/home/ann"), Some("/home/ann/.cache/manifest-test-programs")),
            (None, Some("/home/ann"), Some("/home/ann/.cache/manifest-test-programs")),
            (None, Some(""), None),
            (None, None, None),
        ];
        for (xdg, home, expected) in cases {
            let variable = |name: &str| if name == "HOME" { home } else { xdg }.map(OsString::from);
            assert_eq!(cache(variable), expected.map(PathBuf::from), "{xdg:?} {home:?}");
        }
    }

    #[test]
    fn each_version_has_a_directory_of_its_own() {
        assert_eq!(MOTO.directory(Path::new("/c")), Path::new("/c/moto-5.2.5"));
        assert_ne!(
            MOTO.directory(Path::new("/c")),
            Emulator { version: "6.0.0", ..MOTO }.directory(Path::new("/c"))
        );
    }
}
