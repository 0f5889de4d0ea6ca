//! How names become file names.

use manifest_core::{Digest, ListName};

/// The longest escaped name that is used as it is; file names end at 255 bytes, and a lock has a prefix.
const LONGEST: usize = 200;

/// How much of a longer one is kept, for people.
const KEPT: usize = 100;

/// The file name for a list name: no two names share one, not even where case does not count.
///
/// Lower-case letters, digits, `.`, `_` and `-` stand for themselves, every other byte is `%` and two hex
/// digits. Of a name that becomes too long the beginning is kept, then `%%` and the sha256 of the whole name.
pub(crate) fn name_file(name: &ListName) -> String {
    escape(&name.to_string())
}

/// The file name for a text, in the same way.
pub(crate) fn escape(name: &str) -> String {
    let mut file = String::with_capacity(name.len() + 8);
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => file.push(char::from(byte)),
            _ => file.push_str(&format!("%{byte:02x}")),
        }
    }
    if file.len() > LONGEST {
        file.truncate(KEPT);
        file.push_str("%%");
        file.push_str(&Digest::sha256(name.as_bytes()).hex());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> String {
        name_file(&name.parse().unwrap())
    }

    #[test]
    fn names_become_file_names_that_differ_without_case() {
        assert_eq!(file("app"), "localhost%2fapp%3alatest");
        assert_eq!(file("app:v1_A-b"), "localhost%2fapp%3av1_%41-b");
        assert_eq!(file("[::1]:5000/a/b:1"), "%5b%3a%3a1%5d%3a5000%2fa%2fb%3a1");
        assert_ne!(file("app:A").to_lowercase(), file("app:a").to_lowercase());
    }

    #[test]
    fn long_names_stay_short_and_apart() {
        let long = |end: &str| format!("{}/{}:{}{end}", "h".repeat(60), "p".repeat(190), "T".repeat(127));
        let (one, two) = (file(&long("a")), file(&long("b")));
        assert!(one.len() == 166 && two.len() == 166, "{one}");
        assert_ne!(one, two);
    }
}
