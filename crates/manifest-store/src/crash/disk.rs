//! A disk in memory that knows what a power failure would leave of it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::image::{Image, Kept};

/// Files and directories as programs see them, and what is known to be on the medium.
///
/// The content of a file is on the medium once the file was synced, and a change of a directory once that directory was.
/// Until then see [`Image`] for what may be found.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) inodes: Vec<Inode>,
    pub(super) dirs: BTreeMap<PathBuf, Dir>,
    /// How often somebody synced a file again after that had failed.
    pub(super) retried: usize,
    pub(super) order: Order,
}

/// Which changes of one directory may be lost while later ones of it are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// Those of other names: all that POSIX promises.
    #[default]
    Free,
    /// None: what journals keep.
    Kept,
}

/// The content of a file, which is written once.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) bytes: Arc<[u8]>,
    /// Equal for equal contents, also where they differ in ids that are random.
    pub(super) mark: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) content: Content,
    pub(super) safety: Safety,
}

/// Whether the content of a file would survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Safety {
    Volatile,
    Durable,
    /// A sync failed: later ones succeed without doing anything.
    Doomed,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Dir {
    /// What programs see.
    pub(super) seen: Entries,
    /// What is on the medium.
    pub(super) kept: Entries,
    /// The changes that lead from the one to the other, oldest first.
    pub(super) pending: Vec<Pending>,
}

pub(super) type Entries = BTreeMap<String, Node>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Node {
    Dir,
    File(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) change: Change,
    /// A sync of the directory failed meanwhile: later ones succeed without doing this.
    doomed: bool,
}

/// One change of a directory, which is made whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Change {
    Put(String, Node),
    Move(String, String),
    Drop(String),
}

impl Change {
    pub(super) fn touches(&self, other: &Self) -> bool {
        self.names().iter().any(|name| other.names().contains(name))
    }

    /// Whether it is not on the medium without a change before it.
    pub(super) fn needs(&self, earlier: &Self, order: Order) -> bool {
        order == Order::Kept || self.touches(earlier)
    }

    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Put(name, _) | Self::Drop(name) => vec![name],
            Self::Move(from, to) => vec![from, to],
        }
    }

    pub(super) fn apply(&self, entries: &mut Entries) {
        match self {
            Self::Put(name, node) => {
                entries.insert(name.clone(), *node);
            }
            Self::Move(from, to) => {
                if let Some(node) = entries.remove(from) {
                    entries.insert(to.clone(), node);
                }
            }
            Self::Drop(name) => {
                entries.remove(name);
            }
        }
    }
}

impl Dir {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.pending.push(Pending { change, doomed: false });
    }

    fn sync(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for (at, step) in pending.iter().enumerate() {
            // What is written later over the same name takes it along.
            let carried = |later: &Pending| !later.doomed && later.change.touches(&step.change);
            if step.doomed && !pending.iter().skip(at).any(carried) {
                self.pending.push(step.clone());
            } else {
                step.change.apply(&mut self.kept);
            }
        }
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            inodes: Vec::new(),
            dirs: BTreeMap::from([(PathBuf::from("/"), Dir::default())]),
            retried: 0,
            order: Order::Free,
        }
    }
}

impl Disk {
    /// A disk on which nothing is pending.
    pub(super) fn holding(image: &Image) -> Self {
        let mut disk = Self::default();
        for (path, kept) in image.entries() {
            let (dir, name) = split(path);
            let node = match kept {
                Kept::Dir => {
                    disk.dirs.entry(path.clone()).or_default();
                    Node::Dir
                }
                Kept::File(content) => disk.add(content.clone(), Safety::Durable),
            };
            let dir = disk.dirs.entry(dir).or_default();
            dir.kept.insert(name.clone(), node);
            dir.seen.insert(name, node);
        }
        disk
    }

    fn add(&mut self, content: Content, safety: Safety) -> Node {
        self.inodes.push(Inode { content, safety });
        Node::File(self.inodes.len() - 1)
    }

    fn dir(&mut self, path: &Path) -> io::Result<&mut Dir> {
        self.dirs.get_mut(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What programs see at a path.
    pub(super) fn node(&self, path: &Path) -> Option<Node> {
        if path == Path::new("/") {
            return Some(Node::Dir);
        }
        let (dir, name) = split(path);
        self.dirs.get(&dir)?.seen.get(&name).copied()
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<Content> {
        match self.node(path) {
            Some(Node::File(inode)) => Ok(self.inodes[inode].content.clone()),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Creates a file that must not be there.
    pub(super) fn create(&mut self, path: &Path, content: Content) -> io::Result<()> {
        let (dir, name) = split(path);
        if self.dir(&dir)?.seen.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = self.add(content, Safety::Volatile);
        self.dir(&dir)?.change(Change::Put(name, node));
        Ok(())
    }

    /// Makes the content of a file survive, if no sync of it ever failed.
    pub(super) fn sync_file(&mut self, path: &Path) -> io::Result<()> {
        let Some(Node::File(inode)) = self.node(path) else { return Err(io::ErrorKind::NotFound.into()) };
        let safety = &mut self.inodes[inode].safety;
        match safety {
            Safety::Volatile => *safety = Safety::Durable,
            Safety::Durable => {}
            Safety::Doomed => self.retried += 1,
        }
        Ok(())
    }

    /// What a failed sync of a file or of a directory leaves behind.
    pub(super) fn doom(&mut self, path: &Path) {
        if let Some(Node::File(inode)) = self.node(path) {
            self.inodes[inode].safety = Safety::Doomed;
        }
        for step in self.dirs.get_mut(path).into_iter().flat_map(|dir| &mut dir.pending) {
            step.doomed = true;
        }
    }

    /// Renames a file within its directory.
    pub(super) fn replace(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let ((dir, from), (_, to)) = (split(from), split(to));
        let dir = self.dir(&dir)?;
        match dir.seen.get(&to) {
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            _ if !dir.seen.contains_key(&from) => Err(io::ErrorKind::NotFound.into()),
            _ => {
                dir.change(Change::Move(from, to));
                Ok(())
            }
        }
    }

    /// Renames a file within its directory to a name that is free.
    ///
    /// Where the system cannot do this at once it is done by a link, and then the old name is removed.
    pub(super) fn claim(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let ((dir, from), (_, to)) = (split(from), split(to));
        let dir = self.dir(&dir)?;
        if dir.seen.contains_key(&to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = *dir.seen.get(&from).ok_or(io::ErrorKind::NotFound)?;
        dir.change(Change::Put(to, node));
        dir.change(Change::Drop(from));
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (dir, name) = split(path);
        let dir = self.dir(&dir)?;
        match dir.seen.get(&name) {
            Some(Node::File(_)) => {
                dir.change(Change::Drop(name));
                Ok(())
            }
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        let (dir, name) = split(path);
        let above = self.dir(&dir)?;
        if above.seen.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        above.change(Change::Put(name, Node::Dir));
        self.dirs.insert(path.to_owned(), Dir::default());
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.dir(path).map(Dir::sync)
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let dir = self.dirs.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(dir.seen.keys().cloned().collect())
    }
}

/// The directory and the name of a path.
pub(super) fn split(path: &Path) -> (PathBuf, String) {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    (path.parent().unwrap().to_owned(), name)
}
