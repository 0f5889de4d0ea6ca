//! The line in front of the content of each object.

/// How many of the last edits an object names; a writer whose answer was lost looks for its own among them.
const EDITS: usize = 64;

/// The highest version of this line that is known.
pub(super) const VERSION: u64 = 1;

/// The most bytes that the line has, with room to spare.
pub(super) const LONGEST: u64 = 2048;

/// What the first line of an object says:
///
/// ```text
/// manifest-object 1 <revision> <kept|gone> <edit>,<edit>…
/// ```
///
/// The revision grows by one with each write, so that no two states of an object are the same bytes: an ETag
/// of S3 is a hash of them, and one that came back would let a stale write pass. The edits, 16 hex digits each,
/// are those of the last revisions, oldest first. What is `gone` has no content; it stands for a thing that
/// was removed, since no object storage deletes under a condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) revision: u64,
    pub(super) state: State,
    pub(super) edits: Vec<u64>,
}

/// Whether there is something in an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    Kept,
    #[default]
    Gone,
}

/// What is wrong with a first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsealed {
    /// A newer release wrote it.
    Newer(u64),
    Damaged,
}

impl Envelope {
    /// The one that follows, after an edit.
    pub(super) fn next(&self, edit: u64, state: State) -> Self {
        let kept = self.edits.len().saturating_sub(EDITS - 1);
        let edits = self.edits.iter().skip(kept).copied().chain([edit]).collect();
        Self { revision: self.revision.saturating_add(1), state, edits }
    }

    /// Whether the edit that gave `revision` would still be named.
    pub(super) fn names(&self, revision: u64) -> bool {
        self.revision.saturating_sub(revision) < self.edits.len() as u64
    }

    /// The object: the line and the content.
    pub(super) fn seal(&self, parts: &[&[u8]]) -> Vec<u8> {
        let state = match self.state {
            State::Kept => "kept",
            State::Gone => "gone",
        };
        let mut line = format!("manifest-object {VERSION} {} {state} ", self.revision);
        let edits: Vec<_> = self.edits.iter().map(|edit| format!("{edit:016x}")).collect();
        line.push_str(&edits.join(","));
        line.push('\n');
        [&[line.as_bytes()], parts].concat().concat()
    }

    /// Takes an object apart.
    pub(super) fn open(object: &[u8]) -> Result<(Self, &[u8]), Unsealed> {
        let end = memchr::memchr(b'\n', object).ok_or(Unsealed::Damaged)?;
        let (line, content) = object.split_at_checked(end).ok_or(Unsealed::Damaged)?;
        let line = std::str::from_utf8(line).ok().and_then(|line| line.strip_prefix("manifest-object "));
        let (version, rest) = line.and_then(|line| line.split_once(' ')).ok_or(Unsealed::Damaged)?;
        match version.parse() {
            Ok(VERSION) => {}
            Ok(newer) if newer > VERSION => return Err(Unsealed::Newer(newer)),
            _ => return Err(Unsealed::Damaged),
        }
        let envelope = Self::parse(rest).ok_or(Unsealed::Damaged)?;
        Ok((envelope, content.get(1..).unwrap_or_default()))
    }

    fn parse(rest: &str) -> Option<Self> {
        let mut words = rest.split(' ');
        let revision = words.next()?.parse().ok()?;
        let state = match words.next()? {
            "kept" => State::Kept,
            "gone" => State::Gone,
            _ => return None,
        };
        let edit = |text: &str| u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
        let edits = words.next()?.split(',').map(edit).collect::<Option<Vec<_>>>()?;
        (words.next().is_none() && edits.len() <= EDITS).then_some(Self { revision, state, edits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_again() {
        let mut envelope = Envelope::default();
        for n in 1..200 {
            let state = if n % 3 == 0 { State::Gone } else { State::Kept };
            envelope = envelope.next(n * 7, state);
            let sealed = envelope.seal(&[b"a\n", b"b"]);
            assert_eq!(Envelope::open(&sealed), Ok((envelope.clone(), &b"a\nb"[..])));
            assert_eq!(envelope.revision, n);
            assert!((sealed.len() as u64) < LONGEST);
        }
        assert_eq!(envelope.edits, (136..200).map(|n| n * 7).collect::<Vec<_>>());
        assert!(envelope.names(199) && envelope.names(136) && !envelope.names(135) && !envelope.names(0));
    }

    #[test]
    fn the_line_is_what_the_format_says() {
        let envelope = Envelope::default().next(255, State::Kept).next(1, State::Gone);
        let line = "manifest-object 1 2 gone 00000000000000ff,0000000000000001\n";
        assert_eq!(String::from_utf8(envelope.seal(&[])).unwrap(), line);
    }

    #[test]
    fn a_line_of_another_form_is_not_guessed_at() {
        for line in [
            "",
            "\n",
            "manifest-object 1 1 kept 0000000000000001",
            "manifest-object 0 1 kept 0000000000000001\n",
            "manifest-object x 1 kept 0000000000000001\n",
            "manifest-object 1 -1 kept 0000000000000001\n",
            "manifest-object 1 1 lost 0000000000000001\n",
            "manifest-object 1 1 kept 1\n",
            "manifest-object 1 1 kept \n",
            "manifest-object 1 1 kept 0000000000000001 more\n",
            "manifest-record 1 sha256:00\n",
        ] {
            assert_eq!(Envelope::open(line.as_bytes()), Err(Unsealed::Damaged), "{line}");
        }
        assert_eq!(Envelope::open(b"manifest-object 2 what ever\n"), Err(Unsealed::Newer(2)));
    }
}
