//! Keys as text: base64 between two lines that say what it is.
//!
//! Of our own, since what is decoded here may be a private key, and no copy of it may stay in memory.
//!
//! Spec: RFC 7468.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::json::{Shape, brief};

/// A larger file is no key, in bytes.
pub(super) const MAX_SIZE: usize = 64 * 1024;

/// One block of a file.
pub(super) struct Block {
    pub(super) label: String,
    pub(super) content: Zeroizing<Vec<u8>>,
}

/// All blocks, in their order. Lines outside of them are for people.
pub(super) fn decode(file: &[u8]) -> Result<Vec<Block>, Shape> {
    if file.len() > MAX_SIZE {
        return Err(Shape(format!("it has {} bytes, and a key has at most {MAX_SIZE}", file.len())));
    }
    let text = str::from_utf8(file).map_err(|error| Shape(format!("it is not PEM: {error}")))?;
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if let Some(label) = between(line, "-----BEGIN ") {
            // Made large enough at once: growing would leave a copy behind.
            let mut base64 = Zeroizing::new(String::with_capacity(file.len()));
            let end = loop {
                match lines.next() {
                    Some(line) if line.starts_with("-----") => break line,
                    Some(line) => base64.push_str(line),
                    None => return Err(Shape(format!("its block {:?} has no end", brief(label)))),
                }
            };
            if between(end, "-----END ") != Some(label) {
                return Err(Shape(format!("its block {:?} does not end as it began", brief(label))));
            }
            blocks.push(Block { label: label.to_owned(), content: content(&base64, &brief(label))? });
        }
    }
    Ok(blocks)
}

/// The only block, where there may be but one.
pub(super) fn single(blocks: Vec<Block>) -> Result<Block, Shape> {
    let count = blocks.len();
    let mut blocks = blocks.into_iter();
    match (blocks.next(), count) {
        (Some(block), 1) => Ok(block),
        (None, _) => Err(Shape("it has no line -----BEGIN …-----".to_owned())),
        (Some(_), _) => Err(Shape(format!("it holds {count} things, and one key is read"))),
    }
}

/// Writes one block. Not for secrets.
pub(super) fn encode(label: &str, content: &[u8]) -> String {
    let base64 = STANDARD.encode(content);
    let mut text = format!("-----BEGIN {label}-----\n");
    for (at, letter) in base64.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text + &format!("\n-----END {label}-----\n")
}

fn between<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix("-----")
}

fn content(base64: &str, label: &str) -> Result<Zeroizing<Vec<u8>>, Shape> {
    if base64.contains(':') {
        return Err(Shape(format!(
            "its block {label:?} has header lines, as an older way to encrypt it has"
        )));
    }
    let mut content = Zeroizing::new(vec![0; base64.len() / 4 * 3 + 3]);
    let len = STANDARD.decode_slice(base64, &mut content);
    // The error is not shown: it holds a letter of what may be a secret.
    let len = len.map_err(|_secret| Shape(format!("its block {label:?} is not base64")))?;
    content.truncate(len);
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for len in [0, 1, 47, 48, 49, 96, 1000] {
            let content = vec![7; len];
            let text = encode("THING", &content);
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            let blocks = decode(format!("a comment\r\n{text}\nanother").as_bytes()).unwrap();
            assert_eq!((blocks[0].label.as_str(), &**blocks[0].content), ("THING", &content[..]));
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for (file, why) in [
            ("-----BEGIN A-----\nAAAA\n", "no end"),
            ("-----BEGIN A-----\nAAAA\n-----END B-----\n", "as it began"),
            ("-----BEGIN A-----\nAAAA\n-----BEGIN A-----\n", "as it began"),
            ("-----BEGIN A-----\nAAA\n-----END A-----\n", "not base64"),
            ("-----BEGIN A-----\nA!AA\n-----END A-----\n", "not base64"),
            ("-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END A-----\n", "header"),
            ("\u{0}", "BEGIN"),
            ("", "BEGIN"),
        ] {
            let Shape(said) = decode(file.as_bytes()).and_then(single).map(drop).unwrap_err();
            assert!(said.contains(why), "{file:?}: {said}");
        }
        assert!(decode(&[0xff]).is_err());
        assert!(decode(&vec![b'\n'; MAX_SIZE + 1]).is_err());
    }
}
