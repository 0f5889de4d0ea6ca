//! What the parsers promise for any input whatever.
//!
//! Each function panics when its parser breaks a promise. The fuzzer runs them on inputs that it makes up;
//! the ordinary tests run them on the committed corpus, so nothing but the parsers themselves may be needed here.

use manifest_core::{Digest, Format, List, MediaType, Platform, Reference};
use manifest_transport::auth::{Challenge, challenge as field};

/// A list is written back byte for byte; once edited, what is written reads as the same entries and is stable.
pub fn list(input: &[u8]) {
    let Ok((list, format)) = List::decode(input) else { return };
    let same = list.encode(format).expect("a list that nobody edited can be written");
    assert_eq!(same.bytes, input, "a list that nobody edited is written as it was read");
    assert_eq!(same.digest, Digest::sha256(input));

    let edited = forget_bytes(list);
    for format in [Format::Oci, Format::Docker] {
        // A format may have no place for what the other holds; then it says so and writes nothing.
        let Ok(written) = edited.encode(format) else { continue };
        let (read, found) = List::decode(&written.bytes).expect("what is written can be read");
        assert_eq!(found, format);
        // Docker's form writes an empty platform where there was none.
        if format == Format::Oci {
            assert_eq!(read, edited, "what is written reads as the same list");
        }
        assert!(
            read.entries()
                .iter()
                .map(|entry| entry.digest)
                .eq(edited.entries().iter().map(|entry| entry.digest))
        );
        let again = forget_bytes(read).encode(format).expect("it can be written again");
        assert_eq!(again.bytes, written.bytes, "writing is stable");
    }
}

/// The same list after an edit there and back, without the bytes it came from.
fn forget_bytes(mut list: List) -> List {
    let artifact_type = list.artifact_type().cloned();
    for step in [None, Some(MediaType::OCI_MANIFEST), artifact_type] {
        list.set_artifact_type(step);
    }
    list
}

/// A reference prints as a text that reads as the same reference, and so does its short form.
pub fn reference(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(reference) = text.parse::<Reference>() else { return };
    assert_eq!(reference.to_string().parse().as_ref(), Ok(&reference), "the canonical form means the same");
    assert_eq!(reference.familiar().parse().as_ref(), Ok(&reference), "the short form means the same");
    assert!(!reference.path().split('/').any(|part| part.is_empty() || part == "." || part == ".."));
}

/// A platform prints as a text that reads as the same platform.
pub fn platform(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(platform) = text.parse::<Platform>() else { return };
    let printed = platform.to_string();
    let again: Platform = printed.parse().expect("what is printed can be read");
    assert_eq!(again.to_string(), printed, "printing is stable");
    assert_eq!(again.key(), platform.key(), "both take the same place in a list");
}

/// Whatever a server sends, what is read of it is bounded and holds no control characters.
pub fn challenge(input: &[u8]) {
    let challenges = field::parse(input.split(|&byte| byte == b'\n'));
    assert!(challenges.len() <= 64, "the number of challenges is bounded");
    for challenge in challenges {
        match challenge {
            Challenge::Basic { realm } => realm.iter().for_each(|text| printable(text)),
            Challenge::Bearer { realm, service, scope, error } => {
                [Some(realm), service, error].iter().flatten().for_each(|text| printable(text));
                scope.iter().for_each(|text| printable(text));
            }
            Challenge::Other(scheme) => printable(&scheme),
            _ => {}
        }
    }
}

fn printable(text: &str) {
    assert!(
        !text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t'),
        "a control character in {text:?}"
    );
}
