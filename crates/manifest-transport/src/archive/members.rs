//! The members of a tar archive: found once, then read by offset.
//!
//! Spec: POSIX.1-2017 `pax`, "ustar Interchange Format" and "pax Interchange Format"; the long names of GNU tar.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read as _};

use tar::{EntryType, Header, PaxExtensions};

use super::error::{ArchiveError, brief, quoted};
use super::file::{Source, Span, Stop, read_error};

/// Members that an archive may have; a list of 10,000 images has some 50,000.
const MAX_MEMBERS: usize = 250_000;
/// Bytes that the names of all members and links may have together.
const MAX_NAMES: usize = 64 << 20;
/// Bytes of an extended header that are read.
const MAX_EXTENDED: u64 = 64 << 10;
/// Links that are followed from one to the next.
const MAX_LINKS: usize = 8;
const BLOCK: u64 = 512;
/// The largest size that a plain header has room for, in octal digits.
const MAX_PLAIN_SIZE: u64 = 0o777_7777_7777;

/// What a name stands for.
#[derive(Clone, Debug)]
enum Member {
    File(Span),
    /// A link, with the text of its target, and the directory that the target is relative to.
    Link {
        to: String,
        from: String,
    },
    Directory,
    Other,
}

/// The members of an archive by their names, which have neither `./` in front nor a slash behind.
#[derive(Debug, Default)]
pub(super) struct Members {
    by_name: BTreeMap<String, Member>,
    /// Bytes of all names.
    names: usize,
}

impl Members {
    /// Reads all headers; the content is jumped over.
    pub(super) fn read(source: &Source, stop: &Stop) -> Result<Self, ArchiveError> {
        if source.len() == 0 {
            return Err(ArchiveError::Empty);
        }
        let (mut members, mut scan) = (Self::default(), Scan { source, at: 0 });
        let mut extended = Extended::default();
        while let Some(header) = scan.header()? {
            stop.check().map_err(read_error)?;
            let start = scan.at - BLOCK;
            let size = header.entry_size().map_err(|_invalid| ArchiveError::NotTar(start))?;
            match header.entry_type() {
                EntryType::XHeader => extended.read(&scan.extended(size)?, start)?,
                EntryType::XGlobalHeader => Extended::check_global(&scan.extended(size)?, start)?,
                EntryType::GNULongName => extended.name = Some(scan.extended(size)?),
                EntryType::GNULongLink => extended.link = Some(scan.extended(size)?),
                kind => {
                    let own = std::mem::take(&mut extended);
                    members.add(&mut scan, &header, kind, size, own)?;
                }
            }
        }
        if extended.is_empty() { Ok(members) } else { Err(ArchiveError::BadHeader(scan.at)) }
    }

    fn add(
        &mut self,
        scan: &mut Scan<'_>,
        header: &Header,
        kind: EntryType,
        plain_size: u64,
        extended: Extended,
    ) -> Result<(), ArchiveError> {
        let size = extended.size(plain_size, header)?;
        let raw = extended.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let raw = until_nul(&raw);
        let span = Span { at: scan.at, size };
        scan.skip(size, raw)?;
        // A name that is not text is none that anything here asks for.
        let Ok(text) = str::from_utf8(raw) else { return Ok(()) };
        let name = join("", text).ok_or_else(|| ArchiveError::NameLeadsOut(brief(raw)))?;
        let link = || {
            let to = extended.link.or_else(|| header.link_name_bytes().map(Into::into)).unwrap_or_default();
            String::from_utf8_lossy(until_nul(&to)).into_owned()
        };
        let member = match kind {
            EntryType::GNUSparse => return Err(ArchiveError::Sparse(brief(raw))),
            // Before ustar a directory was a file with a slash behind its name.
            EntryType::Regular if text.ends_with('/') => Member::Directory,
            EntryType::Regular | EntryType::Continuous => Member::File(span),
            EntryType::Directory => Member::Directory,
            EntryType::Symlink => Member::Link { to: link(), from: parent(&name).to_owned() },
            EntryType::Link => Member::Link { to: link(), from: String::new() },
            _ => Member::Other,
        };
        if size > 0 && matches!(member, Member::Directory | Member::Link { .. }) {
            return Err(ArchiveError::UnexpectedContent(brief(raw)));
        }
        self.insert(name, member, raw)
    }

    fn insert(&mut self, name: String, member: Member, raw: &[u8]) -> Result<(), ArchiveError> {
        if name.is_empty() {
            // The root, which is a directory, whatever the archive says.
            return match member {
                Member::Directory => Ok(()),
                _ => Err(ArchiveError::NameLeadsOut(brief(raw))),
            };
        }
        if self.by_name.len() >= MAX_MEMBERS {
            return Err(ArchiveError::TooManyMembers(MAX_MEMBERS));
        }
        let link = if let Member::Link { to, from } = &member { to.len() + from.len() } else { 0 };
        self.names = self.names.saturating_add(name.len()).saturating_add(link);
        if self.names > MAX_NAMES {
            return Err(ArchiveError::LongNames(MAX_NAMES));
        }
        match self.by_name.entry(name) {
            Entry::Vacant(free) => {
                free.insert(member);
                Ok(())
            }
            Entry::Occupied(there) => match (there.get(), member) {
                (Member::Directory, Member::Directory) => Ok(()),
                _ => Err(ArchiveError::Duplicate(brief(raw))),
            },
        }
    }

    /// Whether there is a member of this name, of any kind.
    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Whether there is a member whose name ends so.
    pub(super) fn has_suffix(&self, suffix: &str) -> bool {
        self.by_name.keys().any(|name| name.ends_with(suffix))
    }

    /// Where the content of a file lies, whose name may be that of a link to it.
    pub(super) fn file(&self, name: &str) -> Result<Span, ArchiveError> {
        let mut at = join("", name).ok_or_else(|| ArchiveError::NameLeadsOut(brief(name.as_bytes())))?;
        for _ in 0..=MAX_LINKS {
            match self.by_name.get(&at) {
                Some(Member::File(span)) => return Ok(*span),
                Some(Member::Link { to, from }) => {
                    let leads_out = || ArchiveError::LinkLeadsOut { name: at.clone(), to: to.clone() };
                    at = join(from, to).ok_or_else(leads_out)?;
                }
                Some(Member::Directory | Member::Other) => return Err(ArchiveError::NotAFile(at)),
                None => return Err(ArchiveError::NoMember(brief(at.as_bytes()))),
            }
        }
        Err(ArchiveError::LinkLoop(brief(name.as_bytes()), MAX_LINKS))
    }

    /// Reads a file of at most `limit` bytes.
    pub(super) fn content(&self, source: &Source, name: &str, limit: usize) -> Result<Vec<u8>, ArchiveError> {
        let span = self.file(name)?;
        if span.size > limit as u64 {
            return Err(ArchiveError::LargeMember(brief(name.as_bytes()), limit as u64));
        }
        let mut content = Vec::new();
        source.section(span, &Stop::default()).read_to_end(&mut content).map_err(read_error)?;
        Ok(content)
    }
}

/// A name as seen from a directory of the archive; none when it leads out.
fn join(directory: &str, name: &str) -> Option<String> {
    if name.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// What stands before a member when its own header has no room for it.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extended {
    const fn is_empty(&self) -> bool {
        self.name.is_none() && self.link.is_none() && self.size.is_none()
    }

    fn read(&mut self, records: &[u8], at: u64) -> Result<(), ArchiveError> {
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|_invalid| ArchiveError::BadHeader(at))?;
            match record.key_bytes() {
                b"path" => self.name = Some(record.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(record.value_bytes().to_vec()),
                b"size" => {
                    let size = record.value().ok().and_then(|text| text.parse().ok());
                    self.size = Some(size.ok_or(ArchiveError::BadHeader(at))?);
                }
                key if key.starts_with(b"GNU.sparse.") => {
                    let name = self.name.as_deref().unwrap_or(b"a member");
                    return Err(ArchiveError::Sparse(brief(name)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A header for all members may say what it likes, but not what each member has of its own.
    fn check_global(records: &[u8], at: u64) -> Result<(), ArchiveError> {
        let mut own = Self::default();
        own.read(records, at)?;
        if own.is_empty() { Ok(()) } else { Err(ArchiveError::BadHeader(at)) }
    }

    /// The size of a member, when both headers agree on it. One that the plain header has no room for stands there
    /// as nothing, or as the largest that there is room for.
    fn size(&self, plain: u64, header: &Header) -> Result<u64, ArchiveError> {
        match self.size {
            None => Ok(plain),
            Some(size) if size == plain => Ok(size),
            Some(size) if size > MAX_PLAIN_SIZE && (plain == 0 || plain == MAX_PLAIN_SIZE) => Ok(size),
            Some(extended) => {
                let name = self.name.clone().unwrap_or_else(|| header.path_bytes().into_owned());
                Err(ArchiveError::TwoSizes { name: brief(&name), header: plain, extended })
            }
        }
    }
}

/// The way through the headers.
struct Scan<'a> {
    source: &'a Source,
    at: u64,
}

impl Scan<'_> {
    /// The next header; none where the archive says that it ends.
    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let mut header = Header::new_old();
        self.block(header.as_mut_bytes())?;
        if !is_zero(&header) {
            return if sum_is_right(&header) {
                Ok(Some(header))
            } else {
                Err(ArchiveError::NotTar(self.at - BLOCK))
            };
        }
        // Two empty blocks end an archive, and one at the very end of the file is let pass. What stands behind an
        // empty block is seen by some readers only, so it is not there by accident.
        if self.at < self.source.len() {
            self.block(header.as_mut_bytes())?;
            if !is_zero(&header) {
                return Err(ArchiveError::NotTar(self.at - BLOCK));
            }
        }
        Ok(None)
    }

    fn block(&mut self, block: &mut [u8; 512]) -> Result<(), ArchiveError> {
        let span = Span { at: self.at, size: BLOCK };
        match self.source.section(span, &Stop::default()).read_exact(block) {
            Ok(()) => self.at = self.at.saturating_add(BLOCK),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.at == 0 => {
                return Err(ArchiveError::NotTar(0));
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(ArchiveError::Truncated(format!("the header at byte {}", self.at)));
            }
            Err(error) => return Err(read_error(error)),
        }
        Ok(())
    }

    /// Jumps over the content of a member.
    fn skip(&mut self, size: u64, name: &[u8]) -> Result<(), ArchiveError> {
        let end = self.at.checked_add(size);
        match end.filter(|end| *end <= self.source.len()).and_then(|end| end.checked_next_multiple_of(BLOCK))
        {
            Some(next) => {
                self.at = next;
                Ok(())
            }
            None => Err(ArchiveError::Truncated(quoted(name))),
        }
    }

    /// Reads an extended header.
    fn extended(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        let start = self.at - BLOCK;
        if size > MAX_EXTENDED {
            return Err(ArchiveError::LongHeader(start, MAX_EXTENDED));
        }
        let span = Span { at: self.at, size };
        self.skip(size, b"extended header")?;
        let mut records = Vec::new();
        let read = self.source.section(span, &Stop::default()).read_to_end(&mut records);
        read.map_err(read_error)?;
        Ok(records)
    }
}

fn is_zero(header: &Header) -> bool {
    header.as_bytes().iter().all(|byte| *byte == 0)
}

/// The sum of all bytes, where those of the sum itself count as spaces.
fn sum_is_right(header: &Header) -> bool {
    let outside = |at: usize| !(148..156).contains(&at);
    let bytes = header.as_bytes().iter().enumerate().filter(|(at, _)| outside(*at));
    let sum = bytes.map(|(_, byte)| u32::from(*byte)).sum::<u32>() + 8 * u32::from(b' ');
    header.cksum().is_ok_and(|said| said == sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_seen_from_where_they_stand() {
        for (directory, name, joined) in [
            ("", "a", Some("a")),
            ("", "./a/b/", Some("a/b")),
            ("", ".", Some("")),
            ("", "./", Some("")),
            ("", "a//b", Some("a/b")),
            ("", "/a", None),
            ("", "..", None),
            ("", "../a", None),
            ("", "a/../../b", None),
            ("a", "../b/c", Some("b/c")),
            ("a/b", "../../../c", None),
            ("a", "/b", None),
        ] {
            assert_eq!(join(directory, name).as_deref(), joined, "{directory:?} {name:?}");
        }
    }

    /// SEC-40.
    #[test]
    fn many_members_take_a_bounded_amount_of_memory() {
        let mut members = Members::default();
        let mut add = |n: usize| members.insert(n.to_string(), Member::Directory, b"");
        assert!((0..MAX_MEMBERS).all(|n| add(n).is_ok()));
        assert!(matches!(add(MAX_MEMBERS), Err(ArchiveError::TooManyMembers(MAX_MEMBERS))));
    }
}
