//! Properties of decoding and encoding: what is written is read back as it was, and no input does harm.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use manifest_core::{
    Descriptor, Digest, Document, EncodeError, Format, ImageManifest, List, MediaType, OnConflict, Platform,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One member of an object, as JSON text.
type Member = (&'static str, String);

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z]{1,6}",
        Just("<a href=\"?x&y\">\u{2028}\u{2029}\u{7f}\\".to_owned()),
        Just("é😀\0\n\u{200b}".to_owned()),
    ]
}

fn any_string() -> impl Strategy<Value = String> {
    prop_oneof![any_text().prop_map(|text| quoted(&text)), Just(r#""\u003c\/\ud83d\ude00""#.to_owned()),]
}

fn any_json() -> impl Strategy<Value = String> {
    let numbers = ["0", "-0", "1e3", "1.50", "-1E-7", "123456789012345678901234567890", "0.1"];
    let leaf = prop_oneof![
        select(vec!["null", "true", "false", " [ ] ", "{\n}"]).prop_map(str::to_owned),
        select(numbers.to_vec()).prop_map(str::to_owned),
        any_string(),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(inner, 0..4).prop_map(|items| {
                let members = items.iter().enumerate().map(|(at, item)| format!("\"<{at}\" : {item}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(",\t"))
            }),
        ]
    })
}

fn any_strings() -> impl Strategy<Value = String> {
    prop::collection::vec(any_string(), 0..3).prop_map(|texts| format!("[{}]", texts.join(",")))
}

fn any_annotations() -> impl Strategy<Value = String> {
    prop::collection::btree_map(any_text(), any_text(), 0..4)
        .prop_map(|annotations| serde_json::to_string(&annotations).unwrap())
}

fn any_digest() -> impl Strategy<Value = String> {
    prop_oneof!["\"sha256:[0-9a-f]{64}\"", "\"sha512:[0-9a-f]{128}\""]
}

fn any_size() -> impl Strategy<Value = String> {
    prop_oneof![0..=i64::MAX, 0..1000_i64].prop_map(|size| size.to_string())
}

/// An object of the `required` members, some of the `optional` ones and some unknown ones, in any order.
fn object(
    required: Vec<(&'static str, BoxedStrategy<String>)>,
    optional: Vec<(&'static str, BoxedStrategy<String>)>,
) -> BoxedStrategy<String> {
    let mut members: Vec<BoxedStrategy<Option<Member>>> = Vec::new();
    for (name, value) in required {
        members.push(value.prop_map(move |value| Some((name, value))).boxed());
    }
    for (name, value) in optional {
        members.push(prop::option::of(value.prop_map(move |value| (name, value))).boxed());
    }
    for name in ["x-<unknown>", "é", ""] {
        let member = any_json().prop_map(move |value| (name, value));
        members.push(prop::option::weighted(0.2, member).boxed());
    }
    members
        .prop_map(|members| members.into_iter().flatten().collect::<Vec<_>>())
        .prop_shuffle()
        .prop_map(|members| {
            let members = members.iter().map(|(name, value)| format!("{}:{value}", quoted(name)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        })
        .boxed()
}

fn any_platform(format: Format) -> BoxedStrategy<String> {
    let features = match format {
        Format::Docker => any_strings().boxed(),
        _ => any_json().boxed(),
    };
    let text = || any_string().boxed();
    object(
        vec![("architecture", text()), ("os", text())],
        vec![
            ("os.version", text()),
            ("os.features", any_strings().boxed()),
            ("variant", text()),
            ("features", features),
        ],
    )
}

fn any_descriptor(format: Format) -> BoxedStrategy<String> {
    let media_type = match format {
        Format::Docker => {
            prop_oneof![Just(quoted(MediaType::DOCKER_MANIFEST.as_str())), Just(quoted("x/<y>"))].boxed()
        }
        _ => any_text().prop_map(|text| quoted(&format!("x/{text}"))).boxed(),
    };
    let required =
        vec![("mediaType", media_type), ("digest", any_digest().boxed()), ("size", any_size().boxed())];
    let (urls, platform) = (("urls", any_strings().boxed()), ("platform", any_platform(format)));
    match format {
        // Docker's entries always have a platform; one that is absent comes back as one that says nothing.
        Format::Docker => object([required, vec![platform]].concat(), vec![urls]),
        _ => object(
            required,
            vec![
                urls,
                platform,
                ("annotations", any_annotations().boxed()),
                ("data", any_string().boxed()),
                ("artifactType", any_string().boxed()),
            ],
        ),
    }
}

fn any_document(format: Format) -> BoxedStrategy<String> {
    let entries = prop::collection::vec(any_descriptor(format), 0..4)
        .prop_map(|entries| format!("[\n{}]", entries.join(",\n")));
    let media_type = Just(quoted(format.media_type().as_str())).boxed();
    let required = vec![
        ("schemaVersion", Just("2".to_owned()).boxed()),
        ("mediaType", media_type),
        ("manifests", entries.boxed()),
    ];
    match format {
        Format::Docker => object(required, Vec::new()),
        _ => object(
            required,
            vec![
                ("subject", any_descriptor(format)),
                ("annotations", any_annotations().boxed()),
                ("artifactType", any_string().boxed()),
            ],
        ),
    }
}

fn any_list() -> BoxedStrategy<String> {
    prop_oneof![any_document(Format::Oci), any_document(Format::Docker)].boxed()
}

/// The same list without the bytes it came from: what is encoded then is written, not remembered.
fn fresh(list: &List) -> List {
    let mut list = list.clone();
    let marker = Digest::sha256(b"a marker that no generated entry has");
    list.add(Descriptor::new(MediaType::OCI_MANIFEST, marker, 6), OnConflict::Allow).unwrap();
    list.remove(&marker).unwrap();
    list
}

/// The same document, where an absent platform is one that says nothing, as Docker's format has it.
fn with_platforms(list: &List) -> Vec<Descriptor> {
    let mut entries = list.entries().to_vec();
    for entry in &mut entries {
        entry.platform.get_or_insert_default();
    }
    entries
}

/// Reads the bytes in every way there is; when they are a list, it must come back from what is written of it.
fn read_in_all_ways(bytes: &[u8]) -> Result<(), TestCaseError> {
    let _any = Document::decode(bytes, None);
    let _announced = Document::decode(bytes, Some(&MediaType::OCI_MANIFEST));
    let _image = ImageManifest::decode(bytes);
    let _platform = Platform::from_config(bytes);
    let Ok((list, format)) = List::decode(bytes) else { return Ok(()) };
    prop_assert_eq!(&list.encode(format).unwrap().bytes, bytes);
    for format in [Format::Oci, Format::Docker] {
        match fresh(&list).encode(format) {
            Ok(encoded) => {
                let (again, of) = List::decode(&encoded.bytes).unwrap();
                prop_assert_eq!(of, format);
                prop_assert_eq!(with_platforms(&again), with_platforms(&list));
                prop_assert_eq!(fresh(&again).encode(format).unwrap().bytes, encoded.bytes);
            }
            Err(EncodeError::NotRepresentable { .. } | EncodeError::OciChild { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_list_comes_back_from_its_bytes(document in any_list()) {
        let (list, format) = List::decode(document.as_bytes()).unwrap();
        prop_assert_eq!(&list.encode(format).unwrap().bytes, document.as_bytes());
        let written = fresh(&list).encode(format).unwrap();
        prop_assert!(written.digest.verifies(&written.bytes));
        let (again, of) = List::decode(&written.bytes).unwrap();
        prop_assert_eq!(of, format);
        prop_assert_eq!(&again, &list);
        prop_assert_eq!(fresh(&again).encode(format).unwrap().bytes, written.bytes);
    }

    #[test]
    fn a_list_survives_the_way_through_the_other_format_or_is_refused(document in any_list()) {
        let (list, format) = List::decode(document.as_bytes()).unwrap();
        let other = if format == Format::Oci { Format::Docker } else { Format::Oci };
        if let Ok(converted) = list.encode(other) {
            let (converted, _) = List::decode(&converted.bytes).unwrap();
            prop_assert_eq!(with_platforms(&converted), with_platforms(&list));
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_in_all_ways(&bytes)?;
    }

    #[test]
    fn no_damaged_document_makes_a_reader_panic(
        document in any_list(),
        damage in prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let mut bytes = document.into_bytes();
        for (at, to, byte, kind) in damage {
            let (at, to) = (at.index(bytes.len() + 1), to.index(bytes.len() + 1));
            let part = at.min(to)..at.max(to);
            match kind {
                0 => bytes.truncate(at),
                1 => bytes.iter_mut().skip(at).take(1).for_each(|there| *there ^= byte),
                2 => { bytes.drain(part); }
                _ => {
                    let twice = bytes[part].to_vec();
                    bytes.splice(at..at, twice);
                }
            }
        }
        read_in_all_ways(&bytes)?;
    }

    #[test]
    fn no_mixture_of_members_makes_a_reader_panic(
        members in prop::collection::btree_map(
            select(vec![
                "schemaVersion", "mediaType", "artifactType", "manifests", "config", "layers", "fsLayers",
                "history", "subject", "annotations", "Manifests", "architecture", "os", "os.features",
            ]),
            prop_oneof![
                any_json(),
                Just("2".to_owned()),
                any_descriptor(Format::Oci),
                any_descriptor(Format::Oci).prop_map(|one| format!("[{one}]")),
                Just(quoted(MediaType::DOCKER_LIST.as_str())),
                Just(quoted(MediaType::OCI_INDEX.as_str())),
            ],
            0..7,
        )
    ) {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
        read_in_all_ways(format!("{{{}}}", members.join(",")).as_bytes())?;
    }
}
