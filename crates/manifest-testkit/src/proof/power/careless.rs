//! Writers that do not do what it takes, to see that the method notices.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use super::super::Violation;
use super::super::chance::Chance;
use super::super::disk::{FileSystem, Shelf};
use super::super::ensure;
use super::cut_while;

/// How many images show what is lost.
const IMAGES: usize = 6;

/// What a careless writer does before it says that an edit is done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Careless {
    /// It renames, and syncs nothing.
    Nothing,
    /// It syncs the file before it renames it, but not the directory after it.
    FileOnly,
}

impl Careless {
    pub(super) const ALL: [Self; 2] = [Self::Nothing, Self::FileOnly];

    /// Cuts the power while a careless writer works.
    ///
    /// # Errors
    /// When nothing was lost.
    pub(super) fn control(
        self,
        shelf: &Shelf,
        system: FileSystem,
        chance: &mut Chance,
    ) -> Result<String, Violation> {
        let disk = shelf.disk(system, "careless");
        let dir = disk.path().join("store");
        fs::create_dir(&dir).expect("a directory");
        File::open(disk.path()).and_then(|dir| dir.sync_all()).expect("a directory that is synced");
        let write = |_, count: usize| {
            self.write(&dir, count + 1);
            Ok(())
        };
        let cuts = cut_while((&disk, IMAGES), chance, 1, write)?;
        disk.remove();
        let (mut with_loss, mut lost) = (0, 0);
        for cut in cuts {
            let acknowledged = cut.spans[0].acknowledged;
            let found = last(&cut.image.mount().at.join("store"));
            with_loss += usize::from(found < acknowledged);
            lost += acknowledged.saturating_sub(found);
        }
        ensure(lost > 0, || {
            format!("a writer that {} lost nothing on {}: this shows nothing", self.about(), system.name())
        })?;
        Ok(format!("a writer that {} lost {lost} edits in {with_loss} of {IMAGES} images", self.about()))
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Nothing => "syncs nothing",
            Self::FileOnly => "does not sync the directory",
        }
    }

    fn write(self, dir: &Path, number: usize) {
        let staged = dir.join(".new");
        let mut file = File::create(&staged).expect("a file");
        file.write_all(number.to_string().as_bytes()).expect("room for a number");
        if matches!(self, Self::FileOnly) {
            file.sync_all().expect("a file that is synced");
        }
        fs::rename(&staged, dir.join(format!("edit{}", number % 100))).expect("a rename");
    }
}

/// The last edit that is there.
fn last(dir: &Path) -> usize {
    let read = |at| fs::read_to_string(dir.join(format!("edit{at}"))).ok()?.parse().ok();
    (0..100).filter_map(read).max().unwrap_or(0)
}
