//! What may be found on a disk after the power failed.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::{Path, PathBuf};

use super::disk::{Content, Dir, Disk, Entries, Node, Order, Safety};
use super::gate::Labels;

/// One state in which a disk may be found.
///
/// The model promises as little as POSIX does, which is less than what journaling file systems do:
///
/// - a file that was not synced is whole, empty, cut short, full of zeros, or has zeros at its end;
/// - of the changes of a directory that was not synced any may be lost, in any combination, but a change is not there
///   without the ones before it of the same name ([`Order::Kept`]: of any name); each is there whole or not at all;
/// - directories are independent of each other, and syncing a file does not keep its name, nor syncing a directory the
///   directory's own name.
///
/// Lock files are never synced and never read but for messages, so they are not multiplied: in half of the images
/// they are all gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Image(BTreeMap<PathBuf, Kept>);

/// What is at a path.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    Dir,
    File(Content),
}

impl Image {
    /// Everything, directories before what is in them.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&PathBuf, &Kept)> {
        self.0.iter()
    }

    /// Equal for equal images, also where they differ in ids that are random; lock files do not count.
    pub(super) fn mark(&self, labels: &Labels) -> u64 {
        let mut hasher = DefaultHasher::new();
        let shown = self.0.iter().filter(|(path, _)| !is_lock(path));
        let mut marks: Vec<_> = shown
            .map(|(path, kept)| {
                let content = match kept {
                    Kept::Dir => 0,
                    Kept::File(content) => content.mark,
                };
                (labels.canonical(&path.display().to_string()), content)
            })
            .collect();
        marks.sort_unstable();
        marks.hash(&mut hasher);
        hasher.finish()
    }

    /// Everything on a disk, as programs see it.
    pub(super) fn seen(disk: &Disk) -> Self {
        let dirs: Vec<_> = disk.dirs.iter().map(|(path, dir)| (path, &dir.seen)).collect();
        Self::of(disk, &dirs, &BTreeMap::new())
    }

    /// Everything that may be found on a disk when the power fails now; none twice.
    pub(super) fn after_crash(disk: &Disk, labels: &Labels) -> Vec<(u64, Self)> {
        let ways: Vec<(&PathBuf, Vec<Entries>)> =
            disk.dirs.iter().map(|(path, dir)| (path, dir.ways(path, disk.order))).collect();
        let (mut found, mut known) = (Vec::new(), BTreeSet::new());
        each_combination(&ways.iter().map(|(_, ways)| ways.len()).collect::<Vec<_>>(), &mut |chosen| {
            let dirs: Vec<_> = ways
                .iter()
                .zip(chosen)
                .filter_map(|((path, ways), at)| Some((*path, ways.get(*at)?)))
                .collect();
            for contents in torn(disk, &dirs) {
                let mut image = Self::of(disk, &dirs, &contents);
                let mark = image.mark(labels);
                if known.insert(mark) {
                    if mark % 2 == 0 {
                        image.0.retain(|path, kept| !is_lock(path) || matches!(kept, Kept::Dir));
                    }
                    found.push((mark, image));
                }
            }
        });
        found
    }

    fn of(disk: &Disk, dirs: &[(&PathBuf, &Entries)], torn: &BTreeMap<usize, Content>) -> Self {
        let mut image = Self::default();
        for (path, entries) in dirs {
            // A directory whose own name was lost is gone with all that is in it; those above come first.
            if *path != Path::new("/") && !image.0.contains_key(*path) {
                continue;
            }
            for (name, node) in *entries {
                let kept = match node {
                    Node::Dir => Kept::Dir,
                    Node::File(inode) => {
                        Kept::File(torn.get(inode).unwrap_or(&disk.inodes[*inode].content).clone())
                    }
                };
                image.0.insert(path.join(name), kept);
            }
        }
        image
    }
}

impl Dir {
    /// The entries that a directory may be found with.
    fn ways(&self, path: &Path, order: Order) -> Vec<Entries> {
        if path.ends_with("locks") {
            return vec![self.seen.clone()];
        }
        // Whether each change is there; a later one may need an earlier one.
        let mut ways: Vec<Vec<bool>> = vec![Vec::new()];
        for (at, step) in self.pending.iter().enumerate() {
            let needs: Vec<usize> =
                (0..at).filter(|earlier| step.change.needs(&self.pending[*earlier].change, order)).collect();
            let with = |way: &Vec<bool>| {
                needs.iter().all(|needed| way[*needed]).then(|| [&way[..], &[true]].concat())
            };
            let more: Vec<_> = ways.iter().filter_map(with).collect();
            ways.iter_mut().for_each(|way| way.push(false));
            ways.extend(more);
        }
        let entries = |way: Vec<bool>| {
            let mut entries = self.kept.clone();
            let made = self.pending.iter().zip(way).filter(|(_, made)| *made);
            made.for_each(|(step, _)| step.change.apply(&mut entries));
            entries
        };
        ways.into_iter().map(entries).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The contents that the files which were not synced may be found with, in every combination.
fn torn(disk: &Disk, dirs: &[(&PathBuf, &Entries)]) -> Vec<BTreeMap<usize, Content>> {
    let mut at_risk: BTreeMap<usize, bool> = BTreeMap::new();
    for (path, entries) in dirs.iter().filter(|(path, _)| !path.ends_with("locks")) {
        for (name, node) in *entries {
            if let Node::File(inode) = node
                && disk.inodes[*inode].safety != Safety::Durable
            {
                let is_real = !path.join(name).display().to_string().contains("/.tmp-");
                *at_risk.entry(*inode).or_default() |= is_real;
            }
        }
    }
    let variants: Vec<(usize, Vec<Content>)> =
        at_risk.into_iter().map(|(inode, real)| (inode, disk.inodes[inode].content.torn(real))).collect();
    let mut all = Vec::new();
    each_combination(
        &variants.iter().map(|(_, variants)| variants.len()).collect::<Vec<_>>(),
        &mut |chosen| {
            let pick =
                |((inode, variants), at): (&(usize, Vec<Content>), &usize)| (*inode, variants[*at].clone());
            all.push(variants.iter().zip(chosen).map(pick).collect());
        },
    );
    all
}

impl Content {
    /// What may be found of it. Nobody looks into a file without a real name, so few ways do there.
    fn torn(&self, has_real_name: bool) -> Vec<Self> {
        let (size, half) = (self.bytes.len(), self.bytes.len() / 2);
        let mut ways = vec![self.bytes.to_vec(), Vec::new()];
        if has_real_name {
            let zeros_at_the_end = [&self.bytes[..half], &vec![0; size - half]].concat();
            ways.extend([self.bytes[..half].to_vec(), vec![0; size], zeros_at_the_end]);
        }
        let torn = |(way, bytes): (usize, Vec<u8>)| {
            // The first is the whole content.
            let mark = if way == 0 { self.mark } else { self.mark.rotate_left(7) ^ way as u64 };
            Self { bytes: bytes.into(), mark }
        };
        ways.into_iter().enumerate().map(torn).collect()
    }
}

/// Calls `each` with every combination of numbers below these.
fn each_combination(below: &[usize], each: &mut impl FnMut(&[usize])) {
    let mut chosen = vec![0; below.len()];
    loop {
        each(&chosen);
        let Some(at) = (0..below.len()).rev().find(|at| chosen[*at] + 1 < below[*at]) else { return };
        chosen[at] += 1;
        chosen[at + 1..].fill(0);
    }
}

fn is_lock(path: &Path) -> bool {
    path.parent().is_some_and(|dir| dir.ends_with("locks"))
}
