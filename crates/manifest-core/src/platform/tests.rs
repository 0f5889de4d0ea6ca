use proptest::prelude::*;

use super::*;

fn platform(text: &str) -> Platform {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A platform as a document might hold it, `OS/ARCH` or `OS/ARCH/VARIANT`, nothing normalised.
fn stored(text: &str) -> Platform {
    let mut parts = text.split('/').map(str::to_owned);
    Platform {
        os: parts.next().unwrap(),
        architecture: parts.next().unwrap(),
        variant: parts.next(),
        ..Platform::default()
    }
}

fn select(wanted: &str, matching: Match, entries: &[Platform]) -> Vec<usize> {
    platform(wanted).select(matching, entries.iter().map(Some))
}

fn lenient(wanted: &str, entries: &[&str]) -> Vec<usize> {
    let entries: Vec<_> = entries.iter().map(|entry| stored(entry)).collect();
    select(wanted, Match::Lenient, &entries)
}

#[test]
fn a_text_becomes_a_platform() {
    for (text, printed) in [
        ("linux/amd64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("macos/arm64", "darwin/arm64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64/v3", "linux/amd64/v3"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/i386", "linux/386"),
        ("linux/386/v1", "linux/386/v1"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm64/8", "linux/arm64/v8"),
        ("linux/arm64/v8.1", "linux/arm64/v8.1"),
        ("linux/arm64/9.0", "linux/arm64/v9"),
        ("linux/arm", "linux/arm"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm"),
        ("linux/armel", "linux/arm/v6"),
        ("foo/bar", "foo/bar"),
        ("unknown/unknown", "unknown/unknown"),
        ("wasip1/wasm", "wasip1/wasm"),
        ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
        ("windows(10.0.17763+win32k)/amd64", "windows(10.0.17763+win32k)/amd64"),
        ("linux(+gpu+simd)/amd64", "linux(+gpu+simd)/amd64"),
        ("linux(+simd+gpu+gpu)/amd64", "linux(+gpu+simd)/amd64"),
        ("linux()/amd64", "linux/amd64"),
        ("linux(1%2B2%2f3+%28a%29%25)/amd64", "linux(1%2B2%2F3+%28a%29%25)/amd64"),
        // One part: an architecture, of linux on every host.
        ("amd64", "linux/amd64"),
        ("x86_64", "linux/amd64"),
        ("arm", "linux/arm"),
        ("armhf", "linux/arm"),
        ("armel", "linux/arm/v6"),
        ("AARCH64", "linux/arm64"),
        ("wasm", "linux/wasm"),
    ] {
        assert_eq!(platform(text).to_string(), printed, "{text}");
    }
}

#[test]
fn options_are_stored_as_decoded_text() {
    let parsed = platform("windows(10.0%2F1+win32k+a%2Bb)/amd64");
    assert_eq!(parsed.os_version.as_deref(), Some("10.0/1"));
    assert_eq!(parsed.os_features, ["win32k", "a+b"]);
    assert_eq!(platform("linux()/amd64"), platform("linux/amd64"));
}

#[test]
fn text_that_is_not_a_platform_is_refused_with_the_reason() {
    for (text, part) in [
        ("", "a part is empty"),
        ("/", "a part is empty"),
        ("linux/", "a part is empty"),
        ("/amd64", "a part is empty"),
        ("linux//v7", "a part is empty"),
        ("linux/arm/v7/", "at most three parts"),
        ("linux/arm/v7/x", "at most three parts"),
        ("*", "asterisk"),
        ("linux/*", "asterisk"),
        ("linux(*)/amd64", "asterisk"),
        ("linux/am d64", "\"am d64\" holds a character"),
        ("li.nux/amd64", "\"li.nux\" holds a character"),
        ("linux/amd64/v1+", "\"v1+\" holds a character"),
        ("linux/amd64(1)", "holds a character"),
        ("linux/ämd64", "holds a character"),
        ("linux(a b)/amd64", "\"a b\" holds a character"),
        ("linux((1))/amd64", "holds a character"),
        ("(1)/amd64", "OS options"),
        ("linux(1/amd64", "OS options"),
        ("linux(1)x/amd64", "OS options"),
        ("linux(1/2)/amd64", "OS options"),
        ("linux(+)/amd64", "OS options"),
        ("linux(+a++b)/amd64", "OS options"),
        ("linux(%)/amd64", "percent sign"),
        ("linux(%2)/amd64", "percent sign"),
        ("linux(%2x)/amd64", "percent sign"),
        ("linux(%ff)/amd64", "percent sign"),
        ("linux(+%%20)/amd64", "percent sign"),
        ("linux", "write OS/ARCH, as in linux/amd64"),
        ("windows", "write OS/ARCH, as in windows/amd64"),
        ("macos", "names no architecture"),
        ("windows(10.0.17763)", "names no architecture"),
        ("wasip1", "is not a known architecture"),
        ("amd64(1)", "is not a known architecture"),
        ("v7", "is not a known architecture"),
    ] {
        let error = text.parse::<Platform>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let error = "x".repeat(4096).parse::<Platform>().unwrap_err().to_string();
    assert!(error.len() < 400, "the message repeats a hostile text at full length");
}

#[test]
fn a_platform_without_an_os_prints_as_unknown() {
    assert_eq!(Platform::default().to_string(), "unknown");
    assert_eq!(stored("/arm64/v8").to_string(), "unknown/arm64/v8");
    assert_eq!(stored("linux/").to_string(), "linux");
    assert_eq!(format!("{:<12}|", stored("linux/arm")), "linux/arm   |");
}

#[test]
fn options_from_a_document_print_as_text_that_can_be_read_again() {
    let odd = Platform {
        os_version: Some("1 (é*)\n".to_owned()),
        os_features: vec![String::new(), "b".to_owned(), "a/%".to_owned(), "b".to_owned()],
        ..stored("linux/amd64")
    };
    assert_eq!(odd.to_string(), "linux(1%20%28%C3%A9%2A%29%0A+a%2F%25+b)/amd64");
    assert_eq!(platform(&odd.to_string()).key(), odd.key());
}

#[test]
fn platforms_are_compared_under_their_normal_names() {
    for (found, normal) in [
        ("macos/arm64", "darwin/arm64"),
        ("/amd64", "/amd64"),
        ("LINUX/AMD64/V2", "linux/amd64/v2"),
        ("linux/i386/v1", "linux/386"),
        ("linux/386/v1", "linux/386/v1"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("linux/x86_64/v1", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/amd64/any", "linux/amd64/any"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v8.0", "linux/arm64"),
        ("linux/aarch64/v8", "linux/arm64"),
        ("linux/arm64/9", "linux/arm64/v9"),
        ("linux/arm64/9.0", "linux/arm64/v9"),
        ("linux/arm64/v9.0", "linux/arm64/v9"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm64/8.1", "linux/arm64/8.1"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armhf/v5", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/armel/v7", "linux/arm/v6"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/arm/5", "linux/arm/v5"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/arm/8", "linux/arm/v8"),
        ("linux/arm/v9", "linux/arm/v9"),
        ("linux/ppc64le/power9", "linux/ppc64le/power9"),
    ] {
        assert_eq!(stored(found).normalized(), stored(normal), "{found}");
        assert!(stored(found).same_machine_as(&stored(normal)), "{found}");
    }
    assert!(!stored("linux/arm/v6").same_machine_as(&stored("linux/arm")));
    assert!(!stored("/amd64").same_machine_as(&stored("linux/amd64")));
}

#[test]
fn the_key_tells_os_versions_and_features_apart_but_not_their_order() {
    let key = |text: &str| platform(text).key();
    assert_eq!(key("linux/arm64/v8"), stored("linux/aarch64").key());
    assert_eq!(key("linux(+b+a)/amd64"), key("linux(+a+b+a)/amd64"));
    assert_ne!(key("linux(+a)/amd64"), key("linux/amd64"));
    assert_ne!(key("windows(10.0.17763)/amd64"), key("windows(10.0.20348)/amd64"));
    assert_ne!(key("linux/arm64"), key("linux/arm64/v9"));
    let empty_version = Platform { os_version: Some(String::new()), ..stored("linux/amd64") };
    assert_eq!(empty_version.key(), key("linux/amd64"));
    let cpu_features = Platform { features: vec!["sse4".to_owned()], ..stored("linux/amd64") };
    assert_eq!(cpu_features.key(), key("linux/amd64"));
}

#[test]
fn a_real_index_of_eleven_entries_is_searched_as_recorded() {
    let index = [
        "linux/amd64",
        "linux/arm/v5",
        "linux/arm/v7",
        "linux/arm64/v8",
        "linux/386",
        "linux/mips64le",
        "linux/ppc64le",
        "linux/riscv64",
        "linux/s390x",
        "windows(10.0.20348.587)/amd64",
        "windows(10.0.17763.2686)/amd64",
    ]
    .map(platform);
    let rows: [(&str, &[usize], &[usize]); 15] = [
        ("linux/amd64", &[0, 4], &[0]),
        ("linux/386", &[4], &[4]),
        ("linux/arm", &[2, 1], &[2]),
        ("linux/arm/v5", &[1], &[1]),
        ("linux/arm/v8", &[2, 1], &[]),
        ("linux/arm64", &[3, 2, 1], &[3]),
        ("linux/s390x", &[8], &[8]),
        ("windows/amd64", &[9, 10], &[9, 10]),
        ("windows(10.0.17763.1)/amd64", &[10], &[10]),
        ("windows(10.0.20348)/amd64", &[9], &[9]),
        ("windows(10.0.19041)/amd64", &[], &[]),
        ("windows/arm64", &[], &[]),
        ("darwin/arm64", &[], &[]),
        ("freebsd/amd64", &[], &[]),
        ("linux/riscv64", &[7], &[7]),
    ];
    for (wanted, lenient, strict) in rows {
        assert_eq!(select(wanted, Match::Lenient, &index), lenient, "lenient {wanted}");
        assert_eq!(select(wanted, Match::Strict, &index), strict, "strict {wanted}");
    }
}

#[test]
fn entries_with_more_of_the_wanted_features_come_first() {
    let entries = [
        "linux/amd64",
        "linux(+a)/amd64",
        "linux(+b)/amd64",
        "linux(+a+b)/amd64",
        "linux(+c)/amd64",
        "linux(7.1)/amd64",
        "linux(+a)/386",
    ]
    .map(platform);
    for (wanted, expected) in [
        ("linux/amd64", &[0, 5][..]),
        ("linux(+a)/amd64", &[1, 0, 5, 6]),
        ("linux(+a+b)/amd64", &[3, 1, 2, 0, 5, 6]),
        // The version of an OS other than Windows plays no part.
        ("linux(6.0)/amd64", &[0, 5]),
    ] {
        assert_eq!(select(wanted, Match::Lenient, &entries), expected, "{wanted}");
    }
}

#[test]
fn the_lenient_rules_accept_older_variants_in_order() {
    for (wanted, chain) in [
        ("linux/amd64", &["linux/amd64", "linux/386"][..]),
        ("linux/amd64/v2", &["linux/amd64/v2", "linux/amd64/v1", "linux/386"]),
        (
            "linux/amd64/v4",
            &["linux/amd64/v4", "linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"],
        ),
        ("linux/amd64/any", &["linux/amd64/any", "linux/386"]),
        ("linux/386", &["linux/386"]),
        ("linux/arm/v9", &["linux/arm/v9", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm/v8", &["linux/arm/v8", "linux/arm", "linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm", &["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm/v6", &["linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm/v5", &["linux/arm/v5"]),
        ("linux/arm/v4", &["linux/arm/v4"]),
        ("linux/arm64", &["linux/arm64/v8", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        (
            "linux/arm64/v8.2",
            &["linux/arm64/v8.2", "linux/arm64/v8.1", "linux/arm64", "linux/arm/v8", "linux/arm/v5"],
        ),
        (
            "linux/arm64/v9",
            &["linux/arm64/v9.0", "linux/arm64/v8.5", "linux/arm64/v8.4", "linux/arm64", "linux/arm/v7"],
        ),
        (
            "linux/arm64/v9.2",
            &["linux/arm64/v9.2", "linux/arm64/v9.1", "linux/arm64/v9", "linux/arm64/v8.7", "linux/arm64"],
        ),
        ("linux/arm64/v9.7", &["linux/arm64/v9.7", "linux/arm64/v9.6", "linux/arm64/v8.9", "linux/arm64"]),
        // Unlisted variants: only an exact match counts.
        ("linux/arm64/v8.10", &["linux/arm64/v8.10"]),
        ("linux/arm64/v9.8", &["linux/arm64/v9.8"]),
        ("linux/arm64/v7", &["linux/arm64/v7"]),
        ("linux/ppc64le/power9", &["linux/ppc64le/power9"]),
        ("linux/riscv64/rva22", &["linux/riscv64/rva22"]),
        ("windows/amd64", &["windows/amd64", "windows/386"]),
    ] {
        let reversed: Vec<_> = chain.iter().copied().rev().collect();
        let expected: Vec<_> = (0..chain.len()).rev().collect();
        assert_eq!(lenient(wanted, &reversed), expected, "{wanted}");
    }
}

#[test]
fn the_lenient_rules_refuse_what_the_machine_cannot_run() {
    for (wanted, entry) in [
        ("linux/amd64", "linux/amd64/v2"),
        ("linux/amd64/any", "linux/amd64"),
        ("linux/386", "linux/386/v1"),
        ("linux/386/v1", "linux/386"),
        ("linux/386", "linux/amd64"),
        ("linux/arm/v5", "linux/arm/v4"),
        ("linux/arm/v6", "linux/arm"),
        ("linux/arm64", "linux/arm64/v8.1"),
        ("linux/arm64/v9", "linux/arm64/v8.6"),
        ("linux/arm64/v9.8", "linux/arm64"),
        ("linux/arm64/v8.10", "linux/arm64/v8.1"),
        ("linux/arm64/v7", "linux/arm/v7"),
        ("linux/ppc64le/power9", "linux/ppc64le"),
        ("linux/riscv64", "linux/riscv64/rva22"),
        ("windows/arm64", "windows/amd64"),
        ("linux/amd64", "freebsd/amd64"),
        ("linux/amd64", "/amd64"),
        ("unknown/unknown", "unknown/unknown"),
    ] {
        assert_eq!(lenient(wanted, &[entry]), [0; 0], "{wanted} {entry}");
    }
}

#[test]
fn windows_entries_are_accepted_by_build() {
    for (wanted, accepted, refused) in [
        ("10.0.17763", &["10.0.17763.1", "10.0.17763", ""][..], &["10.0.17762", "10.0.20348", "x"][..]),
        ("10.0.20348", &["10.0.20348.9", "10.0.20348.x"], &["10.0.20347", "10.0.20349", "10.0.17763"]),
        ("10.0.22621.5", &["10.0.20348", "10.0.22621"], &["10.0.22622", "10.0.17763", "11.0.22621"]),
        ("10.0.25398", &["10.0.20348", "10.0.22621", "10.0.25398"], &["10.0.26100", "10.1.25398"]),
        ("10.0.26100", &["10.0.20348", "10.0.25398", "10.0.26100"], &["10.0.27000", "10.0.20347"]),
        ("10.0.27000", &["10.0.26100", "10.0.27000"], &["10.0.25398", "10.0.20348", "10.0.27001"]),
        // No version is wanted when it cannot be read.
        ("10.0", &["10.0.1", "x", "", "6.1.7600"], &[]),
        ("10.0.70000", &["10.0.1", "x"], &[]),
        ("ltsc", &["10.0.1", "x"], &[]),
    ] {
        for (version, expected) in
            accepted.iter().map(|version| (version, 1)).chain(refused.iter().map(|version| (version, 0)))
        {
            let entry = Platform { os_version: Some((*version).to_owned()), ..stored("windows/amd64") };
            let found = select(&format!("windows({wanted})/amd64"), Match::Strict, &[entry]);
            assert_eq!(found.len(), expected, "{wanted} {version}");
        }
    }
    assert_eq!(select("windows(10.0.17763)/amd64", Match::Strict, &[stored("windows/amd64")]), [0]);
}

#[test]
fn windows_entries_come_newest_first_by_number() {
    let entries = [
        "windows/amd64",
        "windows(10.0.17763.9)/amd64",
        "windows(10.0.17763.2803)/amd64",
        "windows(10.0.20348.1)/386",
        "windows(10.0.17763.1+win32k)/amd64",
        "windows(10.0.17763.9)/amd64",
    ]
    .map(platform);
    assert_eq!(select("windows/amd64", Match::Lenient, &entries), [4, 2, 1, 5, 0, 3]);
    assert_eq!(select("windows(+win32k)/amd64", Match::Strict, &entries), [4, 2, 1, 5, 0]);
}

#[test]
fn entries_without_a_platform_keep_their_place_and_match_nothing() {
    let amd64 = stored("linux/amd64");
    let found =
        amd64.select(Match::Lenient, [None, Some(&amd64), None, Some(&Platform::default()), Some(&amd64)]);
    assert_eq!(found, [1, 4]);
    assert_eq!(Platform::default().select(Match::Lenient, [None, Some(&Platform::default())]), [0; 0]);
}

#[test]
fn a_hostile_variant_does_not_make_a_long_chain() {
    assert_eq!(lenient("linux/amd64/v4294967295", &["linux/386", "linux/amd64"]), [0]);
    assert_eq!(lenient("linux/arm/v99999999999999999999", &["linux/arm"]), [0; 0]);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _parsed = text.parse::<Platform>();
    }

    #[test]
    fn printing_undoes_parsing(
        text in r"[a-zA-Z0-9_-]{1,6}(\([0-9.%A-F]{0,8}(\+[a-z%0-9]{1,6}){0,3}\))?(/[a-z0-9_.-]{1,5}|/arm|/arm64|/amd64){0,2}"
    ) {
        if let Ok(parsed) = text.parse::<Platform>() {
            let printed = parsed.to_string();
            let again = platform(&printed);
            prop_assert_eq!(again.to_string(), printed);
            prop_assert_eq!(again.key(), parsed.key());
        }
    }

    #[test]
    fn normalising_twice_changes_nothing(
        os in "macos|linux|", architecture in "[a-z0-9_]{0,4}|arm|armhf|armel|arm64|aarch64|x86_64|i386",
        variant in proptest::option::of("v?[0-9](\\.[0-9])?"), os_features in proptest::collection::vec("[a-c]?", 0..4),
    ) {
        let once = Platform { os, architecture, variant, os_features, ..Platform::default() }.normalized();
        prop_assert_eq!(once.normalized(), once);
    }

    #[test]
    fn a_platform_always_serves_itself(
        os in "windows|linux", version in proptest::option::of("[0-9.x]{0,9}"), features in proptest::collection::vec("[a-c]", 0..3),
        architecture in "amd64|arm|arm64|386|s390x", variant in proptest::option::of("v?[0-9]{1,2}(\\.[0-9]{1,2})?"),
    ) {
        let platform = Platform { os, architecture, variant, os_version: version, os_features: features, ..Platform::default() };
        prop_assert_eq!(platform.select(Match::Strict, [Some(&platform)]), [0]);
        prop_assert_eq!(platform.select(Match::Lenient, [Some(&platform)]), [0]);
    }
}
