//! The programs in one layer, which is read once from its beginning.
//!
//! Spec: OCI image-spec v1.1.1 `layer.md`; POSIX.1-2017 `pax`; the long names of GNU tar.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read};
use std::rc::Rc;

use manifest_transport::archive::plain;
use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::deep::DeepLimits;
use super::judge::Program;
use super::machine::{HEAD, ProgramFormat, machine_of};

/// Bytes of an extended header that are read.
const MAX_EXTENDED: u64 = 64 << 10;
/// Bytes that may come out whatever went in, so that small files of zeros do no harm.
const FREE_BYTES: u64 = 64 << 20;

/// What the layers of an image have shown so far, from the uppermost down.
#[derive(Debug)]
pub(super) struct Walk {
    limits: DeepLimits,
    format: ProgramFormat,
    /// Programs in the format that the platform loads.
    pub(super) programs: Vec<Program>,
    /// Programs in another format.
    pub(super) others: Vec<Program>,
    /// Paths that upper layers have or remove, hashed: what lies there or below in lower layers is not seen.
    hidden: BTreeSet<u64>,
    entries: usize,
}

impl Walk {
    pub(super) fn new(format: ProgramFormat, limits: DeepLimits) -> Self {
        Self { limits, format, programs: Vec::new(), others: Vec::new(), hidden: BTreeSet::new(), entries: 0 }
    }

    /// Whether enough was seen.
    pub(super) fn is_done(&self) -> bool {
        self.programs.len() >= self.limits.programs
    }

    /// Looks through the next lower layer until enough is seen; tells why, if not all of it could be looked at.
    pub(super) fn layer(&mut self, packed: impl Read) -> Option<String> {
        let gauge = Rc::new(Gauge::default());
        let packed = Packed { from: packed, gauge: Rc::clone(&gauge), limit: self.limits.packed_bytes };
        let mut own = BTreeSet::new();
        let looked = plain(packed).and_then(|content| {
            let ratio = self.limits.ratio;
            let content = Plain { from: content, gauge: Rc::clone(&gauge), ratio, bytes: 0 };
            self.members(Archive::new(content), &mut own, &gauge)
        });
        self.hidden.append(&mut own);
        let error = looked.err()?;
        Some(gauge.stopped.take().unwrap_or_else(|| format!("is no layer that can be unpacked: {error}")))
    }

    fn members<R: Read>(
        &mut self,
        mut archive: Archive<R>,
        own: &mut BTreeSet<u64>,
        gauge: &Gauge,
    ) -> io::Result<()> {
        let mut long = Long::default();
        for member in archive.entries()?.raw(true) {
            let mut member = member?;
            if long.take(&mut member)? {
                continue;
            }
            self.entries += 1;
            if self.entries > self.limits.files {
                let files = self.limits.files;
                return Err(gauge.stop(format!("was left, since {files} files of the image were passed")));
            }
            let long = std::mem::take(&mut long);
            long.check_size(&member)?;
            let name = long.name.unwrap_or_else(|| member.header().path_bytes().into_owned());
            let path = path(&name);
            self.member(member, &path)?;
            if self.is_done() {
                return Ok(());
            }
            own.extend(hides(&path).map(hash));
        }
        Ok(())
    }

    fn member<R: Read>(&mut self, member: Entry<'_, R>, path: &str) -> io::Result<()> {
        let header = member.header();
        if !matches!(header.entry_type(), EntryType::Regular | EntryType::Continuous) {
            return Ok(());
        }
        // Windows knows no such mode.
        let is_executable = self.format == ProgramFormat::Pe || header.mode()? & 0o111 != 0;
        if !is_executable {
            return Ok(());
        }
        let mut head = Vec::new();
        member.take(HEAD as u64).read_to_end(&mut head)?;
        let Some(machine) = machine_of(&head).filter(|_| !self.is_hidden(path)) else { return Ok(()) };
        let fits = machine.format == self.format;
        let program = Program { path: path.to_owned(), machine };
        match fits {
            true => self.programs.push(program),
            false if self.others.len() < self.limits.programs => self.others.push(program),
            false => {}
        }
        Ok(())
    }

    /// Whether an upper layer has something at this path, or above it something that is no directory.
    fn is_hidden(&self, path: &str) -> bool {
        let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        above.chain(["", path]).any(|path| self.hidden.contains(&hash(path)))
    }
}

/// The path of a member, without what means nothing in it.
fn path(name: &[u8]) -> String {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    let directory = if name.ends_with('/') { "/" } else { "" };
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    parts.join("/") + directory
}

/// What a member of this path hides in lower layers: itself, or what it says was removed. A directory hides nothing.
fn hides(path: &str) -> Option<String> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let beside =
        |name: &str| if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
    match name.strip_prefix(".wh.") {
        _ if name.is_empty() => None,
        None => Some(path.to_owned()),
        // All that lower layers have in this directory.
        Some(".wh..opq") => Some(directory.to_owned()),
        Some(removed) => Some(beside(removed)),
    }
}

fn hash(path: impl AsRef<str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.as_ref().hash(&mut hasher);
    hasher.finish()
}

/// What stands before a member when its own header has no room for it.
#[derive(Default)]
struct Long {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Long {
    /// Reads a header that tells of the next member; false for any other.
    fn take<R: Read>(&mut self, member: &mut Entry<'_, R>) -> io::Result<bool> {
        let kind = member.header().entry_type();
        let mut read = || {
            if member.size() > MAX_EXTENDED {
                return Err(io::Error::other("an extended header is too long"));
            }
            let mut content = Vec::new();
            member.read_to_end(&mut content).map(|_| content)
        };
        match kind {
            EntryType::GNULongName => self.name = Some(read()?),
            EntryType::XHeader => {
                for record in PaxExtensions::new(&read()?) {
                    let record = record?;
                    match record.key_bytes() {
                        b"path" => self.name = Some(record.value_bytes().to_vec()),
                        b"size" => self.size = record.value().ok().and_then(|text| text.parse().ok()),
                        _ => {}
                    }
                }
            }
            EntryType::XGlobalHeader | EntryType::GNULongLink => {}
            EntryType::GNUSparse => return Err(io::Error::other("it has a sparse file")),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Only the size in the header is gone by; where another one holds, what comes after the file would not be found.
    fn check_size<R: Read>(&self, member: &Entry<'_, R>) -> io::Result<()> {
        match self.size.filter(|size| *size != member.size()) {
            Some(size) => Err(io::Error::other(format!("it has a file of {size} bytes"))),
            None => Ok(()),
        }
    }
}

/// How much went in, and why no more may.
#[derive(Default)]
struct Gauge {
    packed: Cell<u64>,
    stopped: Cell<Option<String>>,
}

impl Gauge {
    fn stop(&self, why: String) -> io::Error {
        let error = io::Error::other(why.clone());
        self.stopped.set(Some(why));
        error
    }
}

/// Counts what is read of a layer as it is stored.
struct Packed<R> {
    from: R,
    gauge: Rc<Gauge>,
    limit: u64,
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let before = self.gauge.packed.get();
        if before >= self.limit {
            return Err(self.gauge.stop(format!("was looked at for its first {} bytes only", self.limit)));
        }
        let read = self.from.read(to)?;
        self.gauge.packed.set(before.saturating_add(read as u64));
        Ok(read)
    }
}

/// Counts what comes out of a layer.
struct Plain<R> {
    from: R,
    gauge: Rc<Gauge>,
    ratio: u64,
    bytes: u64,
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        self.bytes = self.bytes.saturating_add(read as u64);
        let allowed = self.gauge.packed.get().saturating_mul(self.ratio).saturating_add(FREE_BYTES);
        if self.bytes > allowed {
            return Err(self.gauge.stop(format!("unpacks to more than {} times its size", self.ratio)));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::machine::tests::elf;

    /// A layer of files with these modes; a name that ends with a slash is a directory.
    fn layer(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, mode, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            let kind = if name.ends_with('/') { EntryType::Directory } else { EntryType::Regular };
            header.set_entry_type(kind);
            archive.append_data(&mut header, name, *content).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn walk(limits: DeepLimits, layers: &[Vec<u8>]) -> (Vec<String>, Vec<String>) {
        let mut walk = Walk::new(ProgramFormat::Elf, limits);
        let why = layers.iter().filter_map(|layer| walk.layer(layer.as_slice())).collect();
        (walk.programs.into_iter().map(|program| program.path).collect(), why)
    }

    #[test]
    fn what_upper_layers_replace_or_remove_is_not_seen() {
        let program = elf(2, 1, 2, 62, 0);
        let lower = ["bin/a", "bin/b", "opt/x/c", "opt/y/d", "srv/e", "usr/bin/f", "link/g", "top"];
        let lower: Vec<_> = lower.iter().map(|name| (*name, 0o755, &*program)).collect();
        let long = format!("long/{}/h", "x".repeat(150));
        let upper = layer(&[
            ("./bin/", 0o755, b""),
            ("bin/.wh.a", 0o644, b""),
            ("opt/x/.wh..wh..opq", 0o644, b""),
            ("opt/x/n", 0o755, &program),
            (".wh.srv", 0o644, b""),
            ("usr/bin/f", 0o755, b"#!/bin/sh"),
            ("link", 0o777, b""),
            ("./.wh.top", 0o644, b""),
            (&long, 0o755, &program),
            ("data", 0o644, &program),
        ]);
        let (programs, why) = walk(DeepLimits::default(), &[upper, layer(&lower)]);
        assert_eq!(programs, ["opt/x/n", &long, "bin/b", "opt/y/d"]);
        assert!(why.is_empty(), "{why:?}");
    }

    #[test]
    fn it_ends_when_enough_was_seen() {
        let program = elf(2, 1, 3, 62, 0);
        let files: Vec<_> = (0..20).map(|n| format!("bin/{n}")).collect();
        let files: Vec<_> = files.iter().map(|name| (&**name, 0o755, &*program)).collect();
        let mut cut = layer(&files);
        cut.truncate(12 * 1024);
        let (programs, why) = walk(DeepLimits::default(), &[cut]);
        assert_eq!((programs.len(), why.len()), (DeepLimits::default().programs, 0));
    }

    #[test]
    fn a_limit_is_told() {
        let program = elf(2, 1, 2, 62, 0);
        let files = layer(&[("a", 0o644, &[1; 4096]), ("b", 0o755, &program)]);
        let zeros = layer(&[("zeros", 0o644, &vec![0; 80 << 20]), ("b", 0o755, &program)]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut gzip, &zeros).unwrap();
        let packed = gzip.finish().unwrap();
        let limits = DeepLimits::default;
        for (limits, layer, part) in [
            (DeepLimits { packed_bytes: 2000, ..limits() }, files.clone(), "first 2000 bytes only"),
            (DeepLimits { files: 1, ..limits() }, files.clone(), "since 1 files"),
            (DeepLimits { ratio: 2, ..limits() }, packed.clone(), "more than 2 times its size"),
            (limits(), b"this is no tar archive".repeat(100), "cannot be unpacked"),
            (limits(), files[..1000].to_vec(), "cannot be unpacked"),
        ] {
            let (programs, why) = walk(limits, &[layer]);
            assert!(programs.is_empty() && why.len() == 1, "{part}: {programs:?} {why:?}");
            let part = part.replace("cannot be unpacked", "is no layer that can be unpacked");
            assert!(why[0].contains(&part), "{part}: {why:?}");
        }
        assert_eq!(walk(limits(), &[files]).0, ["b"]);
        assert_eq!(walk(DeepLimits { ratio: 2000, ..limits() }, &[packed]).0, ["b"]);
    }
}
