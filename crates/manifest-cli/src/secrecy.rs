//! Keeping the memory of the program to itself.

/// Lets no core dump of this process be written, by whatever means the machine has: it would hold the logins and keys that were
/// read. Passwords are read by most commands, so that this comes before anything else.
///
/// The environment is to be gathered before: entries in /proc of a process that may not be dumped belong to root.
#[cfg(target_os = "linux")]
pub(crate) fn no_core_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    // What the machine refuses here it would have refused anybody; the work need not stop for it.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).ok();
    set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
}

/// Other systems are asked for a core dump by their users only.
#[cfg(not(target_os = "linux"))]
pub(crate) const fn no_core_dumps() {}
