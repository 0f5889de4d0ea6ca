//! The ways in which a file is damaged.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::super::chance::Chance;
use crate::{Ran, program};

/// A way in which a file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// This bit is flipped, counted from the lowest bit of the first byte.
    Flip(usize),
    /// The last byte is gone.
    CutByte,
    /// There is no byte left.
    Empty,
    /// All bytes are zero, as after a power failure on some file systems.
    Zeros,
    /// The content stands there twice.
    Glued,
    /// It is a pipe.
    Pipe,
    /// It is a directory.
    Directory,
    /// It is a link to nothing.
    DanglingLink,
    /// It is a link to a file with the same content.
    Link,
}

/// All ways but the bits.
pub(super) const OTHERS: [Damage; 8] = [
    Damage::CutByte,
    Damage::Empty,
    Damage::Zeros,
    Damage::Glued,
    Damage::Pipe,
    Damage::Directory,
    Damage::DanglingLink,
    Damage::Link,
];

/// Bits of a file of so many bytes: the first, the last, and some that chance chooses.
pub(super) fn flips(size: usize, positions: usize, chance: &mut Chance) -> Vec<Damage> {
    let bits = size * 8;
    let mut chosen: Vec<usize> = (0..positions).map(|_| chance.below(bits)).collect();
    chosen.extend([0, bits.saturating_sub(1)]);
    chosen.sort_unstable();
    chosen.dedup();
    chosen.retain(|bit| *bit < bits);
    chosen.into_iter().map(Damage::Flip).collect()
}

impl Damage {
    /// Whether a regular file is left.
    pub(super) const fn is_content(self) -> bool {
        matches!(self, Self::Flip(_) | Self::CutByte | Self::Empty | Self::Zeros | Self::Glued)
    }

    /// Damages a file.
    pub(super) fn inflict(self, path: &Path) {
        let mut bytes = fs::read(path).expect("a file of the store");
        match self {
            Self::Flip(bit) => bytes[bit / 8] ^= 1 << (bit % 8),
            Self::CutByte => drop(bytes.pop()),
            Self::Empty => bytes.clear(),
            Self::Zeros => bytes.fill(0),
            Self::Glued => bytes.extend_from_within(..),
            Self::Pipe | Self::Directory | Self::DanglingLink | Self::Link => {
                return self.put_something_else(path);
            }
        }
        fs::write(path, bytes).expect("a file that may be written");
    }

    fn put_something_else(self, path: &Path) {
        let elsewhere = path.with_file_name("elsewhere");
        fs::rename(path, &elsewhere).expect("a file that may be renamed");
        match self {
            Self::Pipe => drop(Ran::of(Command::new(program("mkfifo")).arg(path)).ok()),
            Self::Directory => fs::create_dir(path).expect("a directory"),
            _ => symlink(&elsewhere, path).expect("a link"),
        }
        if self != Self::Link {
            fs::remove_file(elsewhere).expect("a file that may be removed");
        }
    }
}
