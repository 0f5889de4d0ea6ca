//! Which blobs are needed, in little memory.

use manifest_core::{Algorithm, Digest};

/// The first 32 bytes of a hash, which nobody else's content has.
type Mark = [u8; 32];

/// A set of digests: 32 bytes for each.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    sha256: Vec<Mark>,
    sha512: Vec<Mark>,
}

impl Marks {
    pub(crate) fn add(&mut self, digest: &Digest) {
        if let Some(mark) = mark(&digest.hex()) {
            let marks = self.of_mut(digest.algorithm());
            marks.push(mark);
            // What many records hold is marked often.
            if marks.len() == marks.capacity() {
                tidy(marks);
                // Else a few more would fill it again, and each time all of them would be sorted.
                if marks.len() > marks.capacity() / 2 {
                    marks.reserve(marks.len());
                }
            }
        }
    }

    /// Makes it ready to be asked.
    pub(crate) fn settle(&mut self) {
        tidy(&mut self.sha256);
        tidy(&mut self.sha512);
    }

    /// Whether the blob with this hash was marked.
    pub(crate) fn has(&self, algorithm: Algorithm, hex: &str) -> bool {
        let marks = match algorithm {
            Algorithm::Sha512 => &self.sha512,
            _ => &self.sha256,
        };
        mark(hex).is_some_and(|mark| marks.binary_search(&mark).is_ok())
    }

    fn of_mut(&mut self, algorithm: Algorithm) -> &mut Vec<Mark> {
        match algorithm {
            Algorithm::Sha512 => &mut self.sha512,
            _ => &mut self.sha256,
        }
    }
}

fn tidy(marks: &mut Vec<Mark>) {
    marks.sort_unstable();
    marks.dedup();
}

fn mark(hex: &str) -> Option<Mark> {
    let mut mark = [0; 32];
    for (byte, pair) in mark.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_marked_is_found_and_nothing_else() {
        let digest = |n: u32, algorithm: Algorithm| algorithm.digest(&n.to_le_bytes());
        let mut marks = Marks::default();
        for n in (0..3000).chain(0..3000).filter(|n| n % 3 == 0) {
            marks.add(&digest(n, Algorithm::Sha256));
            marks.add(&digest(n + 1, Algorithm::Sha512));
        }
        marks.settle();
        for n in 0..3000 {
            assert_eq!(marks.has(Algorithm::Sha256, &digest(n, Algorithm::Sha256).hex()), n % 3 == 0);
            assert_eq!(marks.has(Algorithm::Sha512, &digest(n, Algorithm::Sha512).hex()), n % 3 == 1);
        }
        assert_eq!(marks.sha256.len(), 1000, "kept more than once");
    }

    #[test]
    fn there_is_always_room_for_as_many_again_before_they_are_sorted() {
        let mut marks = Marks::default();
        let digests: Vec<_> = (0..100_u32).map(|n| Algorithm::Sha256.digest(&n.to_le_bytes())).collect();
        let mut sorted = 0;
        for digest in digests.iter().cycle().take(50_000) {
            let before = marks.sha256.len();
            marks.add(digest);
            sorted += usize::from(marks.sha256.len() <= before);
        }
        assert!(sorted < 1000, "sorted {sorted} times");
    }
}
