//! Edits of a list: what they change, what they refuse, and what they leave alone.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use manifest_core::{
    ATTESTATION_TYPE_ANNOTATION, ATTESTED_ANNOTATION, Added, Annotate, AnnotateList, Annotations, Descriptor,
    Digest, EditError, EncodeError, Format, List, MediaType, OnConflict, Platform, ZSTD_ANNOTATION,
};
use proptest::prelude::*;

fn digest(name: &str) -> Digest {
    Digest::sha256(name.as_bytes())
}

/// An entry whose digest stands for its name.
fn bare(name: &str) -> Descriptor {
    Descriptor::new(MediaType::OCI_MANIFEST, digest(name), name.len() as u64)
}

fn with(mut entry: Descriptor, change: impl FnOnce(&mut Descriptor)) -> Descriptor {
    change(&mut entry);
    entry
}

/// An entry for a platform; the text is split, not parsed, since parsing normalises.
fn image(name: &str, platform: &str) -> Descriptor {
    let mut parts = platform.split('/').map(str::to_owned);
    let os = parts.next().unwrap();
    let architecture = parts.next().unwrap();
    let platform = Platform { os, architecture, variant: parts.next(), ..Platform::default() };
    with(bare(name), |entry| entry.platform = Some(platform))
}

fn texts(pairs: &[(&str, &str)]) -> Annotations {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn attestation(name: &str, of: &str) -> Descriptor {
    let of = digest(of).to_string();
    let annotations =
        texts(&[(ATTESTED_ANNOTATION, &of), (ATTESTATION_TYPE_ANNOTATION, "attestation-manifest")]);
    with(image(name, "unknown/unknown"), |entry| entry.annotations = annotations)
}

fn list(entries: impl IntoIterator<Item = Descriptor>) -> List {
    let mut list = List::new();
    list.add_all(entries, OnConflict::Allow).unwrap();
    list
}

/// The same list as it comes back from its bytes, which it remembers.
fn stored(list: &List) -> List {
    // One space more than is ever written tells remembered bytes from new ones.
    let mut bytes = list.encode(Format::Oci).unwrap().bytes;
    bytes.push(b' ');
    List::decode(&bytes).unwrap().0
}

fn is_as_stored(list: &List) -> bool {
    list.encode(Format::Oci).unwrap().bytes.ends_with(b" ")
}

#[track_caller]
fn assert_holds(list: &List, names: &[&str]) {
    let found: Vec<_> = list.entries().iter().map(|entry| entry.digest).collect();
    let expected: Vec<_> = names.iter().map(|name| digest(name)).collect();
    assert_eq!(found, expected, "{names:?}");
}

#[test]
fn a_digest_that_is_there_stays_as_and_where_it_is() {
    let mut there = stored(&list([image("a", "linux/amd64"), image("b", "linux/arm64")]));
    for (again, on_conflict) in [
        (image("a", "linux/amd64"), OnConflict::Refuse),
        (image("a", "linux/amd64"), OnConflict::Allow),
        (image("a", "linux/amd64"), OnConflict::Replace),
        (image("a", "linux/s390x"), OnConflict::Refuse),
        (image("a", "linux/arm64"), OnConflict::Refuse),
        (with(image("a", "linux/x86_64"), |entry| entry.size = 77), OnConflict::Allow),
    ] {
        assert_eq!(there.add(again.clone(), on_conflict), Ok(Added::Unchanged), "{again:?} {on_conflict:?}");
        assert!(is_as_stored(&there));
    }
    assert_eq!(there.add(image("a", "linux/s390x"), OnConflict::Allow), Ok(Added::Appended));
    assert_eq!(there.add(image("a", "linux/s390x"), OnConflict::Allow), Ok(Added::Unchanged));
    assert_eq!(there.add(image("a", "linux/amd64"), OnConflict::Allow), Ok(Added::Unchanged));
    assert_holds(&there, &["a", "b", "a"]);
    assert!(!is_as_stored(&there));
}

#[test]
fn a_second_entry_for_a_platform_is_refused_and_names_the_first() {
    let mut there = stored(&list([image("a", "linux/amd64"), image("b", "linux/arm64/v8")]));
    let error = there.add(image("c", "linux/aarch64"), OnConflict::Refuse).unwrap_err();
    assert_eq!(
        error,
        EditError::PlatformTaken { platform: "linux/arm64/v8".to_owned(), digest: digest("b") }
    );
    assert_eq!(
        error.to_string(),
        format!("the list has an entry for linux/arm64/v8 already: {}", digest("b"))
    );
    assert!(is_as_stored(&there));
    assert_eq!(there.add(image("c", "linux/aarch64"), OnConflict::Allow), Ok(Added::Appended));
    assert_holds(&there, &["a", "b", "c"]);
}

#[test]
fn platforms_are_compared_under_their_normal_names_and_stored_as_found() {
    for (one, other, same) in [
        ("linux/arm64", "linux/arm64/v8", true),
        ("linux/arm64", "linux/aarch64", true),
        ("linux/amd64", "linux/x86_64", true),
        ("linux/amd64", "Linux/AMD64/v1", true),
        ("linux/arm", "linux/arm/v7", true),
        ("linux/arm", "linux/armhf", true),
        ("linux/386", "linux/i386", true),
        ("darwin/arm64", "macos/arm64", true),
        ("linux/arm/v6", "linux/arm/v7", false),
        ("linux/amd64", "linux/amd64/v2", false),
        ("linux/arm64/v8", "linux/arm64/v9", false),
        ("linux/amd64", "windows/amd64", false),
        ("linux/amd64", "linux/386", false),
    ] {
        let mut there = list([image("a", one)]);
        let refused = there.add(image("b", other), OnConflict::Refuse).is_err();
        assert_eq!(refused, same, "{one} {other}");
        let mut there = list([image("a", one)]);
        there.add(image("b", other), OnConflict::Replace).unwrap();
        assert_eq!(there.entries().last(), Some(&image("b", other)));
    }
}

#[test]
fn compression_version_and_features_make_slots_of_their_own() {
    let plain = || image("plain", "windows/amd64");
    let platform = |name: &str, change: fn(&mut Platform)| {
        with(image(name, "windows/amd64"), |entry| entry.platform.as_mut().map(change).unwrap())
    };
    let features = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let zstd = |name: &str, value: &str| {
        with(image(name, "windows/amd64"), |entry| entry.annotations = texts(&[(ZSTD_ANNOTATION, value)]))
    };
    let featured = |name: &str, list: &[&str]| {
        let mut entry = image(name, "windows/amd64");
        entry.platform.as_mut().unwrap().os_features = features(list);
        entry
    };
    let mut all = List::new();
    for different in [
        plain(),
        zstd("zstd", "true"),
        platform("version", |platform| platform.os_version = Some("10.0.17763.1".to_owned())),
        platform("other version", |platform| platform.os_version = Some("10.0.17763.2".to_owned())),
        featured("feature", &["win32k"]),
        featured("features", &["b", "a"]),
    ] {
        assert_eq!(all.add(different.clone(), OnConflict::Refuse), Ok(Added::Appended), "{different:?}");
    }
    for same in [
        zstd("not zstd", "false"),
        zstd("zstd again", "true"),
        platform("no version", |platform| platform.os_version = Some(String::new())),
        platform("cpu", |platform| platform.features = vec!["sse4".to_owned()]),
        featured("order", &["a", "b", "a", ""]),
    ] {
        let refused = all.add(same.clone(), OnConflict::Refuse);
        assert!(matches!(refused, Err(EditError::PlatformTaken { .. })), "{same:?}");
    }
}

#[test]
fn what_stands_for_no_platform_never_conflicts() {
    let artifact = |name| with(image(name, "linux/amd64"), |entry| entry.artifact_type = Some("x/y".into()));
    let mut there = list([image("image", "linux/amd64")]);
    for entry in [
        bare("no platform"),
        bare("no platform either"),
        artifact("sbom"),
        artifact("another sbom"),
        attestation("provenance", "image"),
        attestation("more provenance", "image"),
        image("unknown", "unknown/unknown"),
        image("half", "linux/"),
        image("another half", "linux/"),
        image("empty", "/"),
    ] {
        for on_conflict in [OnConflict::Refuse, OnConflict::Replace] {
            let mut there = there.clone();
            assert_eq!(there.add(entry.clone(), on_conflict), Ok(Added::Appended), "{entry:?}");
        }
        there.add(entry, OnConflict::Refuse).unwrap();
    }
}

#[test]
fn replacing_puts_the_new_entry_where_the_old_one_stood() {
    let old = [
        image("a", "linux/amd64"),
        attestation("of a", "a"),
        image("b", "linux/arm64"),
        attestation("of b", "b"),
        attestation("also of a", "a"),
    ];
    let mut there = list(old);
    let added = there.add(image("new", "linux/x86_64"), OnConflict::Replace);
    assert_eq!(added, Ok(Added::Replaced(vec![digest("a")])));
    assert_holds(&there, &["new", "b", "of b"]);
    assert_eq!(there.add(attestation("of new", "new"), OnConflict::Replace), Ok(Added::Appended));
    assert_eq!(there.add(image("c", "linux/s390x"), OnConflict::Replace), Ok(Added::Appended));
    assert_holds(&there, &["new", "b", "of b", "of new", "c"]);
}

#[test]
fn replacing_takes_the_place_of_all_that_stand_for_the_platform() {
    let duplicates = [
        image("x", "linux/s390x"),
        image("a", "linux/amd64"),
        image("y", "linux/386"),
        image("b", "linux/amd64"),
        attestation("of b", "b"),
    ];
    let mut there = list(duplicates.clone());
    let added = there.add(image("new", "linux/amd64"), OnConflict::Replace);
    assert_eq!(added, Ok(Added::Replaced(vec![digest("a"), digest("b")])));
    assert_holds(&there, &["x", "new", "y"]);
    // One of them may win; what describes it stays.
    let mut there = list(duplicates);
    let added = there.add(image("b", "linux/amd64"), OnConflict::Replace);
    assert_eq!(added, Ok(Added::Replaced(vec![digest("a"), digest("b")])));
    assert_holds(&there, &["x", "b", "y", "of b"]);
}

#[test]
fn replacing_by_the_same_content_keeps_its_attestations() {
    let old = || list([image("a", "linux/amd64"), attestation("of a", "a"), image("b", "linux/arm64")]);
    let annotated = with(image("a", "linux/amd64"), |entry| entry.annotations = texts(&[("k", "v")]));
    for new in [annotated, image("a", "linux/s390x"), bare("a")] {
        let mut there = old();
        let added = there.add(new.clone(), OnConflict::Replace);
        assert_eq!(added, Ok(Added::Replaced(vec![digest("a")])), "{new:?}");
        assert_holds(&there, &["a", "of a", "b"]);
        assert_eq!(there.entries()[0], new);
    }
}

#[test]
fn replacing_one_of_two_platforms_of_the_same_content_keeps_the_other() {
    let old = [image("a", "linux/arm/v6"), image("a", "linux/arm/v7"), attestation("of a", "a")];
    let mut there = list(old);
    let added = there.add(image("b", "linux/arm/v6"), OnConflict::Replace);
    assert_eq!(added, Ok(Added::Replaced(vec![digest("a")])));
    assert_holds(&there, &["b", "a", "of a"]);
    let added = there.add(image("b", "linux/arm/v7"), OnConflict::Replace);
    assert_eq!(added, Ok(Added::Replaced(vec![digest("a")])));
    assert_holds(&there, &["b", "b"]);
}

#[test]
fn removing_takes_the_attestations_along() {
    let entries = [
        image("a", "linux/amd64"),
        attestation("of a", "a"),
        image("b", "linux/arm64"),
        attestation("of b", "b"),
        image("a", "linux/386"),
    ];
    let mut there = stored(&list(entries));
    let missing = there.remove(&digest("nothing")).unwrap_err();
    assert_eq!(missing.to_string(), format!("the list has no entry {}", digest("nothing")));
    assert!(is_as_stored(&there));
    let gone: Vec<_> = there.remove(&digest("a")).unwrap().iter().map(|entry| entry.digest).collect();
    assert_eq!(gone, ["a", "of a", "a"].map(digest));
    assert_holds(&there, &["b", "of b"]);
    there.remove(&digest("of b")).unwrap();
    assert_holds(&there, &["b"]);
}

#[test]
fn appending_asks_nothing_and_retaining_all_changes_nothing() {
    let mut there = stored(&list([image("a", "linux/amd64"), image("b", "linux/arm64")]));
    there.retain(|_| true);
    assert!(is_as_stored(&there));
    there.append(image("a", "linux/amd64"));
    there.append(image("c", "linux/amd64"));
    assert_holds(&there, &["a", "b", "a", "c"]);
    there.retain(|entry| entry.digest != digest("a"));
    assert_holds(&there, &["b", "c"]);
    assert!(!is_as_stored(&there));
}

#[test]
fn adding_many_adds_all_or_nothing() {
    let mut there = stored(&list([image("a", "linux/amd64")]));
    let error = there
        .add_all([image("b", "linux/arm64"), image("c", "linux/amd64")], OnConflict::Refuse)
        .unwrap_err();
    assert_eq!(error, EditError::PlatformTaken { platform: "linux/amd64".to_owned(), digest: digest("a") });
    assert_holds(&there, &["a"]);
    assert!(is_as_stored(&there));
    assert_eq!(there.add_all([image("a", "linux/amd64")], OnConflict::Refuse), Ok(vec![Added::Unchanged]));
    assert!(is_as_stored(&there));
}

/// Applies a change to the first of two entries, `a` for linux/arm/v6 and `b` for linux/arm64.
fn annotated(change: Annotate) -> Result<Descriptor, EditError> {
    let a =
        with(image("a", "linux/arm/v6"), |entry| entry.annotations = texts(&[("one", "1"), ("two", "2")]));
    let mut there = list([a, image("b", "linux/arm64")]);
    there.annotate(&digest("a"), &change)?;
    Ok(there.entries().first().cloned().unwrap())
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn annotating_changes_what_is_named_and_leaves_the_rest() {
    let platform = |change: Annotate| annotated(change).unwrap().platform.unwrap();
    let of = Annotate::default;
    let found = platform(Annotate { os: text("freebsd"), ..of() });
    assert_eq!(found.to_string(), "freebsd/arm/v6");
    assert_eq!(platform(Annotate { variant: text("v5"), ..of() }).to_string(), "linux/arm/v5");
    assert_eq!(platform(Annotate { variant: text(""), ..of() }).variant, None);
    assert_eq!(platform(Annotate { arch: text("s390x"), ..of() }).to_string(), "linux/s390x");
    let both = Annotate { arch: text("arm64"), variant: text("v9"), ..of() };
    assert_eq!(platform(both).to_string(), "linux/arm64/v9");
    let found =
        platform(Annotate { os_version: text("1.2"), os_features: Some(vec!["f".to_owned()]), ..of() });
    assert_eq!(found.to_string(), "linux(1.2+f)/arm/v6");
    assert_eq!(platform(Annotate { features: Some(vec!["sse4".to_owned()]), ..of() }).features, ["sse4"]);
    let artifact = annotated(Annotate { artifact_type: text("x/y"), ..of() }).unwrap();
    assert_eq!(artifact.artifact_type, Some("x/y".into()));
    let change = Annotate {
        annotations: texts(&[("two", "zwei"), ("three", "")]),
        remove_annotations: vec!["one".to_owned(), "nothing".to_owned()],
        ..of()
    };
    assert_eq!(annotated(change).unwrap().annotations, texts(&[("three", ""), ("two", "zwei")]));
    let change = Annotate {
        annotations: texts(&[("one", "new")]),
        remove_annotations: vec!["one".to_owned()],
        ..of()
    };
    assert_eq!(annotated(change).unwrap().annotations, texts(&[("one", "new"), ("two", "2")]));
}

#[test]
fn empty_texts_clear_and_half_a_platform_is_refused() {
    let of = Annotate::default;
    let cleared = annotated(Annotate { os: text(""), arch: text(""), ..of() }).unwrap();
    assert_eq!(cleared.platform, None);
    let mut entry = image("w", "windows/amd64");
    entry.artifact_type = Some("x/y".into());
    entry.platform.as_mut().unwrap().os_version = text("10.0");
    let before = entry.clone();
    for half in [
        Annotate { os: text(""), ..of() },
        Annotate { arch: text(""), ..of() },
        Annotate { os: text(""), arch: text(""), ..of() },
    ] {
        let error = half.apply(&mut entry).unwrap_err();
        assert_eq!(error, EditError::HalfPlatform(digest("w")));
        assert_eq!(entry, before, "a refused change has changed something");
    }
    let clear = Annotate { os_version: text(""), artifact_type: text(""), ..of() };
    clear.apply(&mut entry).unwrap();
    assert_eq!(entry, image("w", "windows/amd64"));
    for half in [
        Annotate { os: text("linux"), ..of() },
        Annotate { arch: text("amd64"), ..of() },
        Annotate { variant: text("v8"), ..of() },
        Annotate { os_version: text("1"), ..of() },
        Annotate { os_features: Some(vec!["f".to_owned()]), ..of() },
        Annotate { features: Some(vec!["f".to_owned()]), ..of() },
    ] {
        let mut there = stored(&list([bare("x")]));
        assert_eq!(there.annotate(&digest("x"), &half), Err(EditError::HalfPlatform(digest("x"))));
        assert!(is_as_stored(&there));
    }
    let error = EditError::HalfPlatform(digest("w")).to_string();
    assert!(error.starts_with("a platform needs an architecture and an operating system; sha256:"));
}

#[test]
fn an_entry_cannot_be_annotated_into_the_place_of_another() {
    let taken = Annotate { arch: text("arm64"), ..Annotate::default() };
    let error = annotated(taken.clone()).unwrap_err();
    assert_eq!(error, EditError::PlatformTaken { platform: "linux/arm64".to_owned(), digest: digest("b") });
    assert!(annotated(Annotate { on_conflict: OnConflict::Allow, ..taken.clone() }).is_ok());
    let mut there = list([
        image("b", "linux/arm64"),
        attestation("of b", "b"),
        image("a", "linux/arm"),
        attestation("of a", "a"),
    ]);
    there.annotate(&digest("a"), &Annotate { on_conflict: OnConflict::Replace, ..taken }).unwrap();
    assert_holds(&there, &["a", "of a"]);
    let nothing = there.annotate(&digest("nothing"), &Annotate::default()).unwrap_err();
    assert_eq!(nothing, EditError::NoSuchEntry(digest("nothing")));
}

#[test]
fn duplicates_that_are_there_can_be_annotated() {
    let duplicates = list([image("a", "linux/amd64"), image("b", "linux/amd64")]);
    let mut there = duplicates.clone();
    let change = Annotate { annotations: texts(&[("k", "v")]), ..Annotate::default() };
    there.annotate(&digest("b"), &change).unwrap();
    assert_eq!(there.entries()[1].annotations, texts(&[("k", "v")]));
    let zstd = Annotate { annotations: texts(&[(ZSTD_ANNOTATION, "true")]), ..Annotate::default() };
    there.annotate(&digest("b"), &zstd).unwrap();
    let back = Annotate { remove_annotations: vec![ZSTD_ANNOTATION.to_owned()], ..Annotate::default() };
    assert!(matches!(there.annotate(&digest("b"), &back), Err(EditError::PlatformTaken { .. })));
}

#[test]
fn the_same_content_under_two_platforms_does_not_become_two_entries_for_one() {
    let two = list([image("a", "linux/arm/v6"), image("a", "linux/arm/v7")]);
    let change = Annotate { variant: text("v5"), ..Annotate::default() };
    let error = two.clone().annotate(&digest("a"), &change).unwrap_err();
    assert!(matches!(error, EditError::PlatformTaken { .. }), "{error}");
    let mut there = two;
    there.annotate(&digest("a"), &Annotate { on_conflict: OnConflict::Replace, ..change }).unwrap();
    assert_holds(&there, &["a"]);
}

#[test]
fn an_edit_that_changes_nothing_keeps_the_bytes() {
    let entry = with(image("a", "linux/arm/v6"), |entry| entry.annotations = texts(&[("k", "v")]));
    let mut original = list([entry]);
    let about = AnnotateList {
        artifact_type: text("x/y"),
        subject: Some(bare("subject")),
        annotations: texts(&[("k", "v")]),
        ..AnnotateList::default()
    };
    original.annotate_list(&about);
    let mut there = stored(&original);
    for same in [
        Annotate::default(),
        Annotate { os: text("linux"), arch: text("arm"), variant: text("v6"), ..Annotate::default() },
        Annotate { annotations: texts(&[("k", "v")]), ..Annotate::default() },
        Annotate { remove_annotations: vec!["nothing".to_owned()], ..Annotate::default() },
        Annotate { os_version: text(""), os_features: Some(Vec::new()), ..Annotate::default() },
        Annotate { artifact_type: text(""), ..Annotate::default() },
    ] {
        there.annotate(&digest("a"), &same).unwrap();
        assert!(is_as_stored(&there), "{same:?}");
    }
    there.annotate_list(&AnnotateList::default());
    there.annotate_list(&about);
    there
        .annotate_list(&AnnotateList { remove_annotations: vec!["x".to_owned()], ..AnnotateList::default() });
    assert!(is_as_stored(&there));
    there.annotate_list(&AnnotateList { annotations: texts(&[("k", "w")]), ..AnnotateList::default() });
    assert!(!is_as_stored(&there));
}

#[test]
fn the_list_as_a_whole_is_annotated() {
    let mut there = list([image("a", "linux/amd64")]);
    there.annotate_list(&AnnotateList {
        artifact_type: text("x/y"),
        subject: Some(bare("subject")),
        annotations: texts(&[("one", "1"), ("two", "2")]),
        ..AnnotateList::default()
    });
    assert_eq!(there.artifact_type(), Some(&"x/y".into()));
    assert_eq!(there.subject(), Some(&bare("subject")));
    there.annotate_list(&AnnotateList {
        artifact_type: text(""),
        annotations: texts(&[("three", "3")]),
        remove_annotations: vec!["one".to_owned()],
        ..AnnotateList::default()
    });
    assert_eq!(there.artifact_type(), None);
    assert_eq!(there.annotations(), &texts(&[("three", "3"), ("two", "2")]));
    assert_eq!(there.subject(), Some(&bare("subject")));
    there.set_subject(None);
    assert_eq!(there.subject(), None);
}

fn docker(name: &str) -> Descriptor {
    with(image(name, "linux/amd64"), |entry| entry.media_type = MediaType::DOCKER_MANIFEST)
}

/// Lists of Docker children that need OCI, with the name of what needs it.
fn lists_for_oci_only() -> Vec<(List, &'static str)> {
    let about = |change: AnnotateList| {
        let mut list = list([docker("a")]);
        list.annotate_list(&change);
        list
    };
    let of = AnnotateList::default;
    let plain = with(docker("a"), |entry| entry.platform = None);
    let json = String::from_utf8(list([plain]).encode(Format::Oci).unwrap().bytes).unwrap();
    let platform = r#","platform":{"architecture":"amd64","os":"linux","features":["sse4"]}}]"#;
    let (index, _) = List::decode(json.replace("}]", platform).as_bytes()).unwrap();
    vec![
        (about(AnnotateList { annotations: texts(&[("k", "v")]), ..of() }), "annotations of the list"),
        (about(AnnotateList { artifact_type: text("x/y"), ..of() }), "an artifactType of the list"),
        (about(AnnotateList { subject: Some(bare("s")), ..of() }), "a subject of the list"),
        (
            list([with(docker("a"), |entry| entry.annotations = texts(&[("k", "v")]))]),
            "annotations of sha256:",
        ),
        (
            list([with(docker("a"), |entry| entry.artifact_type = Some("x/y".into()))]),
            "an artifactType of sha256:",
        ),
        (list([with(docker("a"), |entry| entry.data = text("AA=="))]), "inline data of sha256:"),
        (index, "\"features\" of unknown meaning of sha256:"),
    ]
}

#[test]
fn the_natural_format_is_docker_only_where_oci_is_not_needed() {
    let mut featured = docker("a");
    featured.platform.as_mut().unwrap().features = vec!["sse4".to_owned()];
    let other = with(docker("b"), |entry| entry.media_type = "x/y".into());
    for (list, format) in [
        (List::new(), Format::Oci),
        (list([docker("a")]), Format::Docker),
        (list([featured]), Format::Docker),
        (list([image("a", "linux/amd64")]), Format::Oci),
        (list([docker("a"), image("b", "linux/arm64")]), Format::Oci),
        (list([docker("a"), other]), Format::Oci),
    ] {
        assert_eq!(list.natural_format(), format, "{list:?}");
        assert!(list.encode(format).is_ok());
    }
    for (list, field) in lists_for_oci_only() {
        assert_eq!(list.natural_format(), Format::Oci, "{field}");
        assert!(list.encode(Format::Oci).is_ok());
    }
}

#[test]
fn what_a_format_cannot_carry_is_named() {
    for (list, field) in lists_for_oci_only() {
        let error = list.encode(Format::Docker).unwrap_err().to_string();
        assert!(error.starts_with(&format!("a Docker manifest list has no place for {field}")), "{error}");
    }
    let error = list([image("a", "linux/amd64")]).encode(Format::Docker).unwrap_err();
    assert_eq!(error, EncodeError::OciChild { digest: digest("a"), media_type: MediaType::OCI_MANIFEST });
    assert_eq!(
        error.to_string(),
        format!("a Docker manifest list cannot hold {}, which is {}", digest("a"), MediaType::OCI_MANIFEST)
    );
    let mut featured = image("a", "linux/amd64");
    featured.platform.as_mut().unwrap().features = vec!["sse4".to_owned()];
    let mut about = List::new();
    about.set_subject(Some(featured.clone()));
    for list in [list([featured]), about] {
        let error = list.encode(Format::Oci).unwrap_err().to_string();
        let expected = format!("an OCI image index has no place for platform features of {}", digest("a"));
        assert_eq!(error, expected);
    }
    let large = with(bare("a"), |entry| entry.annotations = texts(&[("k", &"v".repeat(4 << 20))]));
    let error = list([large]).encode(Format::Oci).unwrap_err();
    assert!(matches!(error, EncodeError::TooLarge(size) if size > 4 << 20), "{error:?}");
}

#[test]
fn features_that_are_set_take_the_place_of_those_an_index_had() {
    let (mut index, _) = lists_for_oci_only().pop().unwrap();
    let features = Some(vec!["avx".to_owned()]);
    index.annotate(&digest("a"), &Annotate { features, ..Annotate::default() }).unwrap();
    let text = String::from_utf8(index.encode(Format::Docker).unwrap().bytes).unwrap();
    assert!(text.contains(r#""features":["avx"]}"#), "{text}");
    assert_eq!(List::decode(text.as_bytes()).unwrap(), (index, Format::Docker));
}

fn few_entries() -> impl Strategy<Value = Vec<Descriptor>> {
    let names = prop::sample::select(vec!["a", "b", "c", "d"]);
    let platforms =
        prop::sample::select(vec!["linux/amd64", "linux/x86_64", "linux/arm64", "linux/arm/v7", ""]);
    let entry = (names, platforms, 0..6_u8).prop_map(|(name, platform, kind)| match (platform, kind) {
        (_, 0) => attestation(&format!("of {name}"), name),
        (_, 1) => with(bare(name), |entry| entry.artifact_type = Some("x/y".into())),
        ("", _) => bare(name),
        (platform, 2) => {
            with(image(name, platform), |entry| entry.annotations = texts(&[(ZSTD_ANNOTATION, "true")]))
        }
        (platform, _) => image(name, platform),
    });
    prop::collection::vec(entry, 0..8)
}

proptest! {
    #[test]
    fn adding_many_is_adding_one_after_the_other(
        there in few_entries(),
        new in few_entries(),
        on_conflict in prop::sample::select(vec![OnConflict::Refuse, OnConflict::Replace, OnConflict::Allow]),
    ) {
        let before = stored(&list(there));
        let (mut at_once, mut in_turn) = (before.clone(), before.clone());
        let expected: Result<Vec<_>, _> =
            new.iter().map(|entry| in_turn.add(entry.clone(), on_conflict)).collect();
        let found = at_once.add_all(new, on_conflict);
        prop_assert_eq!(&found, &expected);
        let after = if found.is_ok() { in_turn } else { before };
        prop_assert_eq!(is_as_stored(&at_once), is_as_stored(&after));
        prop_assert_eq!(at_once, after);
    }

    #[test]
    fn without_permission_no_edit_makes_two_entries_for_one_platform(
        new in few_entries(),
        change in prop::sample::select(vec!["amd64", "arm64"]),
        replace in any::<bool>(),
    ) {
        let on_conflict = if replace { OnConflict::Replace } else { OnConflict::Refuse };
        let mut list = List::new();
        for entry in new {
            let digest = entry.digest;
            let _refused = list.add(entry, on_conflict);
            let change = Annotate { arch: text(change), on_conflict, ..Annotate::default() };
            let _refused = list.annotate(&digest, &change);
        }
        let mut slots: Vec<_> = list.entries().iter().filter_map(Descriptor::slot).collect();
        let all = slots.len();
        slots.sort();
        slots.dedup();
        prop_assert_eq!(slots.len(), all);
    }

    #[test]
    fn what_was_added_with_replace_is_there(new in few_entries()) {
        let mut list = List::new();
        for entry in new {
            list.add(entry.clone(), OnConflict::Replace).unwrap();
            prop_assert!(list.entries().contains(&entry));
            let again = list.clone().add(entry, OnConflict::Replace);
            prop_assert_eq!(again, Ok(Added::Unchanged));
        }
    }
}
