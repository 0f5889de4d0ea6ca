//! A disk that fails in one call of a hundred.

use std::ffi::OsStr;

use crate::proof::Subject;
use crate::proof::chance::Chance;
use crate::{Ran, program};

/// One of so many calls fails.
const STRIDE: usize = 100;

/// The calls that fail.
///
/// `read` and `write` are not among them: strace counts calls and does not know what they are about, so that it would
/// cut the pipe by which one thread wakes another.
const CALLS: &str = "openat,fsync,fdatasync,?rename,renameat,renameat2,?link,linkat,?unlink,unlinkat,?mkdir,mkdirat,flock,\
                     ftruncate,statx,newfstatat,getdents64,pwrite64,copy_file_range";

/// What the calls fail with.
const ERRORS: [&str; 3] = ["EIO", "ENOSPC", "EACCES"];

/// A disk that fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    error: &'static str,
    /// Which call of each kind is the first to fail, from one.
    first: usize,
}

impl Fault {
    pub(super) fn by(chance: &mut Chance) -> Self {
        let error = chance.one(&ERRORS).copied().unwrap_or("EIO");
        Self { error, first: 1 + chance.below(STRIDE) }
    }

    /// Runs the program on this disk.
    pub(super) fn run(self, subject: &Subject, words: &[String]) -> Ran {
        let Self { error, first } = self;
        let (trace, inject) =
            (format!("trace={CALLS}"), format!("inject={CALLS}:error={error}:when={first}+{STRIDE}"));
        let options = ["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject].map(OsStr::new);
        let strace = program("strace");
        let before = [strace.as_os_str()].into_iter().chain(options).chain([subject.program().as_os_str()]);
        Ran::of(&mut subject.command_of(before, words))
    }
}
