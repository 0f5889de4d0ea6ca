//! What can go wrong with a system call.

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// It fails with this error and does nothing.
    Error(&'static str),
    /// The process is killed when it begins; it does nothing.
    Kill,
}

impl Fault {
    /// How strace is told.
    pub(super) fn expression(self) -> String {
        match self {
            Self::Error(error) => format!("error={error}"),
            Self::Kill => "signal=KILL".to_owned(),
        }
    }
}

/// What every call is made to fail with.
pub(super) const ALWAYS: [&str; 3] = ["EIO", "ENOSPC", "EACCES"];

/// The calls that concern files, and what else each may fail with; with `?` those that not every machine has.
///
/// Spec: POSIX.1-2017, and `flock(2)`, `getdents(2)`, `statx(2)` of Linux.
pub(super) const CALLS: &[(&str, &[&str])] = &[
    ("openat", &["EMFILE", "EROFS", "EDQUOT", "EINTR", "ESTALE"]),
    ("?open", &["EMFILE", "EROFS", "EINTR"]),
    ("read", &["EINTR", "ESTALE"]),
    ("pread64", &["EINTR"]),
    ("write", &["EDQUOT", "EINTR", "ESTALE"]),
    ("writev", &["EDQUOT", "EINTR"]),
    ("pwrite64", &["EDQUOT", "EINTR"]),
    ("fsync", &["EDQUOT", "EROFS", "EINTR"]),
    ("fdatasync", &["EDQUOT", "EROFS", "EINTR"]),
    ("?rename", &["EDQUOT", "EROFS", "ESTALE"]),
    ("renameat", &["EDQUOT", "EROFS", "ESTALE"]),
    ("renameat2", &["EDQUOT", "EROFS", "ESTALE"]),
    ("?link", &["EDQUOT", "EROFS", "ESTALE"]),
    ("linkat", &["EDQUOT", "EROFS", "ESTALE"]),
    ("?unlink", &["EROFS", "ESTALE"]),
    ("unlinkat", &["EROFS", "ESTALE"]),
    ("?mkdir", &["EDQUOT", "EROFS", "ESTALE"]),
    ("mkdirat", &["EDQUOT", "EROFS", "ESTALE"]),
    ("flock", &["ENOLCK", "EINTR"]),
    ("fcntl", &["ENOLCK"]),
    ("ftruncate", &["EINTR", "EDQUOT"]),
    ("fallocate", &["EINTR", "EDQUOT"]),
    ("copy_file_range", &["EDQUOT"]),
    ("utimensat", &["EROFS"]),
    ("fchmod", &["EROFS"]),
    ("?chmod", &["EROFS"]),
    ("fchmodat", &["EROFS"]),
    ("getdents64", &["ESTALE"]),
    ("statx", &["ESTALE"]),
    ("newfstatat", &["ESTALE"]),
    ("?stat", &["ESTALE"]),
    ("?lstat", &["ESTALE"]),
    ("fstat", &["ESTALE"]),
    ("?access", &[]),
    ("faccessat", &[]),
    ("faccessat2", &[]),
    ("?readlink", &[]),
    ("readlinkat", &[]),
    ("lseek", &[]),
    ("close", &["EINTR"]),
];

/// The calls that are begun again when a signal interrupts them, so that `EINTR` is no failure. Opening is not among
/// them: only slow devices interrupt it, and nothing is done yet.
pub(super) const RESTARTED: [&str; 6] = ["read", "write", "fsync", "fdatasync", "ftruncate", "pread64"];

/// The calls that change nothing, whatever they answer; chance may spare some of them.
pub(super) const NO_MATTER: [&str; 3] = ["close", "fcntl", "lseek"];

/// The calls that only look.
pub(super) const LOOKS: [&str; 6] = ["read", "pread64", "statx", "newfstatat", "fstat", "getdents64"];

/// The calls whose failure means that what was written may be lost.
pub(super) const SYNCS: [&str; 2] = ["fsync", "fdatasync"];

/// All calls, as strace is told which to show.
pub(super) fn traced() -> String {
    CALLS.iter().map(|(call, _)| *call).collect::<Vec<_>>().join(",")
}

/// What else this call may fail with.
pub(super) fn besides(call: &str) -> &'static [&'static str] {
    let found = CALLS.iter().find(|(name, _)| name.trim_start_matches('?') == call);
    found.map_or(&[], |(_, errors)| errors)
}
