use std::error::Error as _;

use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn reference(text: &str) -> Reference {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> ReferenceError {
    match text.parse::<Reference>() {
        Ok(accepted) => panic!("{text} was read as {accepted}"),
        Err(error) => error,
    }
}

#[test]
fn short_names_are_completed() {
    for (text, canonical) in [
        ("ubuntu", "docker.io/library/ubuntu"),
        ("docker.io/ubuntu", "docker.io/library/ubuntu"),
        ("index.docker.io/ubuntu", "docker.io/library/ubuntu"),
        ("library/ubuntu", "docker.io/library/ubuntu"),
        ("docker.io/library/ubuntu", "docker.io/library/ubuntu"),
        ("acme/app", "docker.io/acme/app"),
        ("foo_bar/x", "docker.io/foo_bar/x"),
        ("a/b/c:t", "docker.io/a/b/c:t"),
        // Without a slash there is no registry, and a port is a tag.
        ("localhost", "docker.io/library/localhost"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
        ("example.com", "docker.io/library/example.com"),
        ("example.com:5000", "docker.io/library/example.com:5000"),
        ("sha256:abc", "docker.io/library/sha256:abc"),
        // A first component that is a registry.
        ("localhost/x", "localhost/x"),
        ("localhost:5000/x", "localhost:5000/x"),
        ("a:5000/b", "a:5000/b"),
        ("[::1]:5000/x", "[::1]:5000/x"),
        ("[2001:DB8::1]/x", "[2001:DB8::1]/x"),
        ("192.168.0.1/x", "192.168.0.1/x"),
        ("ghcr.io/acme/app:v1-arm64", "ghcr.io/acme/app:v1-arm64"),
        ("xn--7o8h.com/x", "xn--7o8h.com/x"),
        ("Foo/bar", "Foo/bar"),
        ("EXAMPLE.com/x", "EXAMPLE.com/x"),
        ("EXAMPLE.com:5000/x:T", "EXAMPLE.com:5000/x:T"),
    ] {
        assert_eq!(reference(text).to_string(), canonical, "{text}");
    }
}

#[test]
fn the_parts_of_a_reference_are_told_apart() {
    for (text, domain, path) in [
        ("localhost:5000/x", "localhost:5000", "x"),
        ("[::1]:5000/a/b:t", "[::1]:5000", "a/b"),
        ("Foo/bar", "Foo", "bar"),
        ("ubuntu:24.04", "docker.io", "library/ubuntu"),
    ] {
        let parsed = reference(text);
        assert_eq!((parsed.domain(), parsed.path()), (domain, path), "{text}");
        assert_eq!(parsed.repository().to_string(), format!("{domain}/{path}"));
    }
}

#[test]
fn tag_and_digest_together_are_kept() {
    let both = reference(&format!("foo:t@sha256:{HEX}"));
    assert_eq!(both.tag().map(Tag::as_str), Some("t"));
    assert_eq!(both.digest(), Some(Digest::sha256(b"")));
    assert_eq!(both.to_string(), format!("docker.io/library/foo:t@sha256:{HEX}"));
    let long = format!("sha512:{}", "a".repeat(128));
    assert_eq!(reference(&format!("foo@{long}")).digest(), long.parse().ok());
}

#[test]
fn path_components_are_runs_joined_by_single_separators() {
    for path in ["a.b", "a_b", "a__b", "a-b", "a--b", "a---b", "0", "a.b_c__d-e/f", "a/b/c/d"] {
        assert_eq!(reference(&format!("example.com/{path}")).path(), path);
    }
    for path in [
        "a..b", "a___b", "a-.b", "a_-b", "a._b", "-a", "a-", ".a", "a.", "_a", "a_", "a//b", "/a", "a/", "",
        "ä", "a b", "a\n", " a", "a ", "a\0", "a%2fb", "..", "a/../b", "a\\b",
    ] {
        assert!(
            matches!(refusal(&format!("example.com/{path}")), ReferenceError::Path(_)),
            "{path:?} was refused for another reason"
        );
    }
}

/// SEC-30.
#[test]
fn text_that_is_not_a_reference_is_refused_with_the_reason() {
    let long_tag = format!("foo/bar:{}", "a".repeat(129));
    let with_digest = |digest: &str| format!("foo@{digest}");
    let id = HEX.to_owned();
    type Is = fn(&ReferenceError) -> bool;
    let upper: Is = |e| matches!(e, ReferenceError::UpperCase(_));
    let path: Is = |e| matches!(e, ReferenceError::Path(_));
    let domain: Is = |e| matches!(e, ReferenceError::Domain { .. });
    let tag: Is = |e| matches!(e, ReferenceError::Tag(..));
    let scheme: Is = |e| matches!(e, ReferenceError::Scheme(_));
    let identifier: Is = |e| matches!(e, ReferenceError::Identifier(_));
    let format: Is = |e| matches!(e, ReferenceError::Digest(_, DigestError::Format(_)));
    let length: Is = |e| matches!(e, ReferenceError::Digest(_, DigestError::Length { .. }));
    let hex: Is = |e| matches!(e, ReferenceError::Digest(_, DigestError::Hex(_)));
    let algorithm: Is = |e| matches!(e, ReferenceError::Digest(_, DigestError::Algorithm(_)));
    let rows: &[(&str, Is)] = &[
        ("", |e| *e == ReferenceError::Empty),
        ("Ubuntu", upper),
        ("foo/Bar", upper),
        ("docker.io/Ubuntu", upper),
        ("foo/bar:.tag", tag),
        ("foo/bar:-tag", tag),
        (&long_tag, tag),
        ("ubuntu:", tag),
        ("ubuntu:latest:latest", tag),
        ("ubuntu:ä", tag),
        ("ubuntu:a ", tag),
        ("ubuntu:a\n", tag),
        ("ubuntu@", format),
        ("user@host/x", format),
        (&with_digest(&format!("sha256:{}", &HEX[1..])), length),
        (&with_digest(&format!("sha256:{HEX}0")), length),
        (&with_digest(&format!("sha256:{HEX}:t")), length),
        (&with_digest(&format!("sha256:{}", HEX.to_uppercase())), hex),
        (&with_digest(&format!("md5:{}", &HEX[32..])), algorithm),
        (&with_digest(&format!("sha384:{}", "a".repeat(96))), algorithm),
        ("foo_bar.com/x", domain),
        ("user@host.com/x", domain),
        ("a:b/c", domain),
        ("a:/c", domain),
        ("a:1:2/c", domain),
        (".a/c", domain),
        ("a./c", domain),
        ("-a.b/c", domain),
        ("a-.b/c", domain),
        ("[::1/x", domain),
        ("[:1.2/x", domain),
        ("[]:1/x", domain),
        ("[::g]/x", domain),
        ("[fe80::1%eth0]/x", domain),
        ("[::1.2.3.4]/x", domain),
        ("[::1]5000/x", domain),
        ("Ä/x", domain),
        (" ubuntu", path),
        ("ubuntu ", path),
        ("ubuntu\n", path),
        ("/ubuntu", path),
        (":tag", path),
        ("docker.io/", path),
        ("https://example.com/x", scheme),
        ("docker://ubuntu", scheme),
        (&id, identifier),
        (&format!("sha256:{HEX}"), identifier),
    ];
    for (text, is_expected) in rows {
        let error = refusal(text);
        assert!(is_expected(&error), "{text:?}: {error:?}");
    }
}

#[test]
fn messages_name_the_text_and_leave_the_cause_to_the_source() {
    let error = refusal("app:.x");
    assert_eq!(error.to_string(), "invalid reference \"app:.x\"");
    assert!(error.source().unwrap().to_string().starts_with("invalid tag \".x\": it holds letters"));
    assert!(refusal(&"ö".repeat(9000)).to_string().len() < 600, "a hostile text is repeated at full length");
}

#[test]
fn a_path_has_at_most_255_characters_without_the_registry() {
    let longest = "a".repeat(255);
    assert_eq!(reference(&format!("example.com/{longest}")).path(), longest);
    assert_eq!(
        refusal(&format!("example.com/{longest}a")).to_string(),
        format!(
            "invalid reference \"example.com/{}\": the repository name has 256 characters, 255 are allowed",
            &longest[..148]
        )
    );
    assert!(matches!(refusal(&longest), ReferenceError::TooLong { found: 263, .. }), "library/ counts");
}

#[test]
fn a_tag_of_129_characters_is_refused() {
    assert!("a".repeat(128).parse::<Tag>().is_ok());
    assert_eq!("a".repeat(129).parse::<Tag>(), Err(TagError::TooLong { tag: "a".repeat(129), found: 129 }));
    for tag in ["_", "_a.b-c", "V1.0", "0"] {
        assert_eq!(tag.parse::<Tag>().unwrap().to_string(), tag);
    }
    assert_eq!("".parse::<Tag>(), Err(TagError::Empty));
    for tag in [".", "-", "a/b", "a+b", "a:b", "é"] {
        assert_eq!(tag.parse::<Tag>(), Err(TagError::Character(tag.to_owned())));
    }
}

#[test]
fn the_default_tag_is_added_only_to_a_bare_name() {
    let with_default = |text: &str| reference(text).with_default_tag().to_string();
    let digest = format!("docker.io/library/ubuntu@sha256:{HEX}");
    assert_eq!(with_default("ubuntu"), "docker.io/library/ubuntu:latest");
    assert_eq!(with_default("ubuntu:t"), "docker.io/library/ubuntu:t");
    assert_eq!(with_default(&digest), digest);
}

#[test]
fn a_tag_or_digest_is_set_and_the_other_stays() {
    let digest = Digest::sha256(b"");
    let tagged = reference("ubuntu").with_tag("a".parse().unwrap()).with_tag("b".parse().unwrap());
    assert_eq!(tagged.to_string(), "docker.io/library/ubuntu:b");
    let both = tagged.with_digest(digest).with_tag("c".parse().unwrap());
    assert_eq!(both.to_string(), format!("docker.io/library/ubuntu:c@sha256:{HEX}"));
    assert_eq!(Reference::from(both.repository()).with_digest(digest).tag(), None);
}

#[test]
fn the_familiar_name_is_short_and_means_the_same() {
    for (canonical, familiar) in [
        ("docker.io/library/ubuntu", "ubuntu"),
        ("docker.io/library/ubuntu:24.04", "ubuntu:24.04"),
        ("docker.io/acme/app:t", "acme/app:t"),
        ("docker.io/library/a/b", "library/a/b"),
        ("ghcr.io/library/app", "ghcr.io/library/app"),
        ("localhost/app", "localhost/app"),
        ("docker.io/library/example.com:5000", "example.com:5000"),
        // These would be read as something else when shortened.
        ("docker.io/localhost/app", "docker.io/localhost/app"),
        ("docker.io/a.b/app", "docker.io/a.b/app"),
    ] {
        assert_eq!(reference(canonical).familiar(), familiar);
    }
    assert_eq!(reference(&format!("library/{HEX}")).familiar(), format!("library/{HEX}"));
}

#[test]
fn a_repository_has_neither_tag_nor_digest() {
    assert_eq!("ubuntu".parse::<Repository>().unwrap().to_string(), "docker.io/library/ubuntu");
    for text in ["ubuntu:t", "localhost:5000", &format!("ubuntu@sha256:{HEX}")] {
        assert_eq!(text.parse::<Repository>(), Err(ReferenceError::NotARepository(text.to_owned())));
    }
}

#[test]
fn a_list_without_a_registry_is_local() {
    for (text, name, is_local) in [
        ("app", "localhost/app:latest", true),
        ("app:1.0", "localhost/app:1.0", true),
        ("acme/app", "localhost/acme/app:latest", true),
        ("localhost/app", "localhost/app:latest", true),
        ("localhost/app:1.0", "localhost/app:1.0", true),
        ("example.com", "localhost/example.com:latest", true),
        ("localhost:5000", "localhost/localhost:5000", true),
        ("library/app", "localhost/library/app:latest", true),
        ("docker.io/foo", "docker.io/library/foo:latest", false),
        ("index.docker.io/foo:t", "docker.io/library/foo:t", false),
        ("docker.io/acme/foo", "docker.io/acme/foo:latest", false),
        ("localhost:5000/app", "localhost:5000/app:latest", false),
        ("registry:5000/app", "registry:5000/app:latest", false),
        ("ghcr.io/acme/app:v1", "ghcr.io/acme/app:v1", false),
        ("Foo/bar", "Foo/bar:latest", false),
    ] {
        let parsed: ListName = text.parse().unwrap();
        assert_eq!(parsed.to_string(), name, "{text}");
        assert_eq!(parsed.is_local(), is_local, "{text}");
        assert_eq!(parsed.reference().to_string(), name, "{text}");
    }
}

#[test]
fn a_list_name_is_no_digest_and_no_id() {
    let pinned = format!("app:t@sha256:{HEX}");
    assert_eq!(
        pinned.parse::<ListName>().unwrap_err().to_string(),
        format!("\"localhost/{pinned}\" is not the name of a list: it has a digest")
    );
    assert_eq!(HEX.parse::<ListName>(), Err(ReferenceError::Identifier(HEX.to_owned())));
    assert!(matches!("App".parse::<ListName>(), Err(ReferenceError::UpperCase(_))));
    assert_eq!("".parse::<ListName>(), Err(ReferenceError::Empty));
}

#[test]
fn json_holds_the_canonical_text() {
    let name: ListName = "app".parse().unwrap();
    assert_eq!(serde_json::to_string(&name).unwrap(), "\"localhost/app:latest\"");
    assert_eq!(serde_json::from_str::<ListName>("\"localhost/app:latest\"").unwrap(), name);
    assert_eq!(serde_json::from_str::<Reference>(r#""\u0075buntu""#).unwrap(), reference("ubuntu"));
    assert_eq!(serde_json::from_value::<Reference>("ubuntu".into()).unwrap(), reference("ubuntu"));
    assert!(serde_json::from_str::<Reference>("\"Ubuntu\"").is_err());
    assert!(serde_json::from_str::<Tag>("\".\"").is_err());
    assert!(serde_json::from_str::<Repository>("1").is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _reference = text.parse::<Reference>();
        let _name = text.parse::<ListName>();
    }

    #[test]
    fn printing_undoes_parsing(
        text in r"([a-zA-Z0-9.-]{1,6}(:[0-9]{1,3})?/|\[[0-9a-f:]{1,5}\]/|docker\.io/|localhost/)?[a-z0-9._/-]{1,8}(:[A-Za-z0-9_.-]{1,4})?",
        content in proptest::option::of(any::<u8>()),
    ) {
        if let Ok(name) = text.parse::<ListName>() {
            let printed = name.to_string();
            prop_assert_eq!(printed.parse(), Ok(name.clone()));
            prop_assert_eq!(printed.parse(), Ok(name.reference().clone()));
        }
        if let Ok(parsed) = text.parse::<Reference>() {
            let parsed = content.map(|content| Digest::sha256(&[content])).into_iter().fold(parsed, Reference::with_digest);
            prop_assert_eq!(parsed.to_string().parse(), Ok(parsed.clone()));
            prop_assert_eq!(parsed.familiar().parse(), Ok(parsed.clone()));
            prop_assert_eq!(parsed.repository().to_string().parse(), Ok(parsed.repository()));
        }
    }
}
