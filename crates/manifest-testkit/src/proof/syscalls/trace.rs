//! What `strace -f -y` writes.

use std::collections::BTreeMap;

/// A system call of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// The paths in it that lie below the directory of interest, from there; `.` is the directory itself.
    pub(super) paths: Vec<String>,
    /// The how-manieth call of this name of its thread it is, from one.
    pub(super) nth: usize,
    /// Whether strace let it fail.
    pub(super) injected: bool,
}

/// The calls of a log in their order.
pub(super) fn calls(log: &str, root: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut counts: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut unfinished: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log.lines() {
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        if text.starts_with("<... ") {
            // The rest of a call that another thread interrupted in the log.
            if let Some(call) = unfinished.remove(thread).and_then(|at| calls.get_mut(at)) {
                call.injected |= text.ends_with("(INJECTED)");
            }
            continue;
        }
        let Some((name, rest)) = text.split_once('(') else { continue };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let nth = counts.entry((thread, name.to_owned())).or_default();
        *nth += 1;
        if rest.ends_with("<unfinished ...>") {
            unfinished.insert(thread, calls.len());
        }
        let injected = rest.ends_with("(INJECTED)");
        calls.push(Call { name: name.to_owned(), paths: paths(rest, root), nth: *nth, injected });
    }
    calls
}

/// The paths below `root` that a call names or holds open.
fn paths(text: &str, root: &str) -> Vec<String> {
    let starts = text.match_indices(root).map(|(at, _)| &text[at + root.len()..]);
    let below = starts.filter_map(|rest| {
        let path = rest.split(['"', '>']).next()?;
        match path.strip_prefix('/') {
            Some(path) => Some(path.to_owned()),
            None => path.is_empty().then(|| ".".to_owned()),
        }
    });
    let mut found: Vec<String> = below.collect();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"
10 openat(AT_FDCWD</tmp>, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3</etc/ld.so.cache>
11 openat(AT_FDCWD</tmp>, "/r/s/version", O_RDONLY|O_CLOEXEC <unfinished ...>
10 write(4<anon_inode:[eventfd]>, "\1\0", 8) = 8
11 <... openat resumed>) = -1 EIO (Input/output error) (INJECTED)
11 renameat(AT_FDCWD</tmp>, "/r/s/.tmp-1", AT_FDCWD</tmp>, "/r/s/1") = 0
11 openat(AT_FDCWD</tmp>, "/r", O_RDONLY) = 9</r>
11 fsync(9</r>) = -1 EIO (Input/output error) (INJECTED)
11 +++ exited with 0 +++
"#;

    #[test]
    fn calls_are_told_with_their_paths_and_counted_for_each_thread() {
        let short = |call: Call| (call.name, call.paths.join(" "), call.nth, call.injected);
        let found: Vec<_> = calls(LOG, "/r").into_iter().map(short).collect();
        let call =
            |name: &str, paths: &str, nth, injected| (name.to_owned(), paths.to_owned(), nth, injected);
        assert_eq!(
            found,
            [
                call("openat", "", 1, false),
                call("openat", "s/version", 1, true),
                call("write", "", 1, false),
                call("renameat", "s/.tmp-1 s/1", 1, false),
                call("openat", ".", 2, false),
                call("fsync", ".", 1, true),
            ]
        );
    }
}
