//! File systems in files, for proofs that need to cut the power.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{Ran, program};

/// How long a file system may stay busy after the last process that used it has ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// The size of a disk in bytes; a sparse file. xfs and btrfs want at least about 320 MB.
const SIZE: u64 = 400 << 20;

/// The size of the shelf in bytes; a sparse file in memory.
const SHELF: u64 = 6 << 30;

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4 with its defaults: a journal of metadata, `data=ordered`.
    Ext4,
    /// xfs with its defaults.
    Xfs,
    /// btrfs with its defaults.
    Btrfs,
}

impl FileSystem {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    /// The name that `mount` knows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    fn make(self, file: &Path) {
        let (maker, package, quiet) = match self {
            Self::Ext4 => ("mkfs.ext4", "e2fsprogs", "-q"),
            Self::Xfs => ("mkfs.xfs", "xfsprogs", "-q"),
            Self::Btrfs => ("mkfs.btrfs", "btrfs-progs", "-q"),
        };
        succeed(Command::new(system_program(maker, package)).arg(quiet).arg(file));
    }

    /// Options for the mount of a copy beside the disk that it was made of.
    const fn copy_options(self) -> &'static str {
        match self {
            Self::Xfs => "loop,nouuid",
            Self::Ext4 | Self::Btrfs => "loop",
        }
    }
}

/// A place for disks, of which copies of one moment can be made.
///
/// It is xfs in a file in memory. There, a file is copied by sharing its blocks, which keeps writers out until it is
/// done: the copy of a disk in use holds every write that the disk had got until a certain moment, and no later one.
/// A copy that reads its way through the file would take some blocks older than others. In memory, since two
/// file systems and two loop devices lie one upon the other, and each would wait for the drive.
#[derive(Debug)]
pub(super) struct Shelf {
    // Dropped in this order.
    shelf: Mounted,
    _memory: Mounted,
}

impl Shelf {
    /// Makes a shelf below `dir`.
    ///
    /// # Panics
    /// If this process may not mount file systems, or a program is missing.
    pub(super) fn new(dir: &Path) -> Self {
        let memory = Mounted::new(&["-t", "tmpfs", "-o", "size=6g"], "tmpfs", &dir.join("memory"));
        let file = sparse(&memory.at.join("shelf"), SHELF);
        let maker = system_program("mkfs.xfs", "xfsprogs");
        succeed(Command::new(maker).args(["-q", "-m", "reflink=1"]).arg(&file));
        let shelf = Mounted::new(&["-o", "loop"], &file, &dir.join("shelf"));
        Self { shelf, _memory: memory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.shelf.at.join(name)
    }

    /// An empty disk, in use.
    pub(super) fn disk(&self, system: FileSystem, name: &str) -> Disk {
        let file = sparse(&self.file(name), SIZE);
        system.make(&file);
        let mounted = Mounted::new(&["-o", "loop"], &file, &self.file(&format!("{name}.mounted")));
        Disk { mounted, file, system }
    }
}

/// A disk in use.
#[derive(Debug)]
pub(super) struct Disk {
    mounted: Mounted,
    file: PathBuf,
    system: FileSystem,
}

impl Disk {
    /// Where its files are.
    pub(super) fn path(&self) -> &Path {
        &self.mounted.at
    }

    /// Copies what the drive has got by now; who uses the disk may go on.
    pub(super) fn image(&self, number: usize) -> Image {
        let file = self.file.with_extension(format!("image{number}"));
        let mut copy = Command::new(program("cp"));
        succeed(copy.arg("--reflink=always").arg(&self.file).arg(&file));
        Image { file, system: self.system }
    }

    /// Takes the disk out of use; only then may images of it be looked at, since btrfs tells disks apart by an id
    /// that the images share.
    pub(super) fn remove(self) {
        let Self { mounted, file, system } = self;
        drop(mounted);
        fs::remove_file(file).expect("the file of a disk");
        if system == FileSystem::Btrfs {
            forget_btrfs();
        }
    }
}

/// What was on a disk at a moment; the file goes away with it.
#[derive(Debug)]
pub(super) struct Image {
    file: PathBuf,
    system: FileSystem,
}

impl Image {
    /// Uses the image as after a power failure; the file system plays back its journal.
    pub(super) fn mount(&self) -> Mounted {
        if self.system == FileSystem::Btrfs {
            forget_btrfs();
        }
        let at = self.file.with_extension("mounted");
        Mounted::new(&["-t", self.system.name(), "-o", self.system.copy_options()], &self.file, &at)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.file));
    }
}

/// A mounted file system; it is unmounted when this is dropped, on the way of a panic too.
#[derive(Debug)]
pub(super) struct Mounted {
    pub(super) at: PathBuf,
}

impl Mounted {
    fn new(options: &[&str], what: impl AsRef<OsStr>, at: &Path) -> Self {
        fs::create_dir_all(at).expect("a directory to mount at");
        succeed(Command::new(system_program("mount", "mount")).args(options).arg(what.as_ref()).arg(at));
        Self { at: at.to_owned() }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmount = |options: &[&str]| Ran::of(Command::new("umount").args(options).arg(&self.at));
        let started = Instant::now();
        let mut ran = unmount(&[]);
        while ran.code != Some(0) && started.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
            ran = unmount(&[]);
        }
        if ran.code != Some(0) {
            // It goes away with its last user.
            ran = unmount(&["--lazy"]);
        }
        if ran.code != Some(0) && !std::thread::panicking() {
            panic!("{} stays mounted: {ran:?}", self.at.display());
        }
    }
}

/// btrfs remembers disks by an id that their images share.
fn forget_btrfs() {
    // It has nothing to forget the first time.
    let _nothing =
        Ran::of(Command::new(system_program("btrfs", "btrfs-progs")).args(["device", "scan", "--forget"]));
}

fn sparse(path: &Path, size: u64) -> PathBuf {
    fs::File::create(path).and_then(|file| file.set_len(size)).expect("a sparse file");
    path.to_owned()
}

#[track_caller]
fn succeed(command: &mut Command) {
    let ran = Ran::of(command);
    assert_eq!(ran.code, Some(0), "mounting a disk needs root, loop devices and room in memory: {ran:?}");
}

/// A program that stands where only root looks.
fn system_program(name: &str, package: &str) -> PathBuf {
    let dirs = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(|dir| Path::new(dir).join(name));
    let found = dirs.into_iter().find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("this test needs {name}: apt-get install {package}"))
}
