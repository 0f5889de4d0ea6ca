//! Byte vectors: documents that the Go tools of the field write, and what becomes of them here.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use manifest_core::{
    Annotate, AnnotateList, Descriptor, Digest, EncodeError, Format, List, MediaType, OnConflict, Platform,
};

const A: &str = "sha256:0e9a3f50a1cdf935a1a9e07f816c7bee7a8c13b3f5367ad9f2fb40bc253049bc";
const B: &str = "sha256:0847b993429744f47e48a45ae93fad60f28e0133e28efeea90720344fd1aca00";

/// Documents with their digests, as written by the reference implementation.
const V1: (&str, &str) = (
    include_str!("vectors/v1.json"),
    "sha256:20b959ad5960230b65a77b746bdbf5d991ade4d7a129c2554e167acdcc990531",
);
const V2: (&str, &str) = (
    include_str!("vectors/v2.json"),
    "sha256:9d23fb26fef6bd93a9ec12b89d4674b270a7a54cb09dfed6933c0abcacddfc0f",
);
const V3: (&str, &str) = (
    include_str!("vectors/v3.json"),
    "sha256:dff9de10919148711140d349bf03f1a99eb06f94b03e51715ccebfa7cdc518e2",
);
const V4: (&str, &str) = (
    include_str!("vectors/v4.json"),
    "sha256:505a7d2fbb7173f708718fa1bb85c01abdc91f07bc7d2db2724c5c634abcccde",
);
const V5: (&str, &str) = (
    include_str!("vectors/v5.json"),
    "sha256:d60fd8f07bf7732ba06cbff192eb98ea4ee6fe661f2ea855a8bcb19a2580a670",
);
const V6: (&str, &str) = (
    include_str!("vectors/v6.json"),
    "sha256:0178a4fb1289e1d1f3a8121042cca5442c0dbf6d14544537e77af12f02aaba41",
);
const V7: (&str, &str) = (
    include_str!("vectors/v7.json"),
    "sha256:af4a59a5238b680da07aa07f055103bdcaac7c9d96eac9661cefeb4361585fb4",
);
const V8: (&str, &str) = (
    include_str!("vectors/v8.json"),
    "sha256:8e6676fe3fa671e3f63b7ff7b62e314ec7b6aaa76d84c1a6c7d6a8b87308bdb8",
);
const V10: (&str, &str) = (
    include_str!("vectors/v10.json"),
    "sha256:9fec9f705c3f8296fcb4afa315f95b608fe0c5da584c86b66f511ca5c6346539",
);
const V11: (&str, &str) = (
    include_str!("vectors/v11.json"),
    "sha256:e07c8110c19046d9ca02ecf0491003bb366af7027c076d52456f06d8e0414357",
);

fn assert_writes(list: &List, format: Format, (text, digest): (&str, &str)) {
    let encoded = list.encode(format).unwrap();
    assert_eq!(String::from_utf8_lossy(&encoded.bytes), text);
    assert_eq!(encoded.digest.to_string(), digest);
    assert_eq!(encoded.media_type, format.media_type());
}

/// The same list without the bytes it came from: what is encoded then is written, not remembered.
fn fresh(list: &List) -> List {
    let mut list = list.clone();
    let marker = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"marker"), 6);
    list.add(marker, OnConflict::Allow).unwrap();
    list.remove(&Digest::sha256(b"marker")).unwrap();
    list
}

fn entry(digest: &str, media_type: MediaType, size: u64, arch: &str, variant: Option<&str>) -> Descriptor {
    let mut entry = Descriptor::new(media_type, digest.parse().unwrap(), size);
    entry.platform = Some(Platform {
        architecture: arch.to_owned(),
        os: "linux".to_owned(),
        variant: variant.map(str::to_owned),
        ..Platform::default()
    });
    entry
}

/// The two entries of V5.
fn two_entries() -> List {
    let mut list = List::new();
    let (a, b) = (
        entry(A, MediaType::OCI_MANIFEST, 401, "amd64", None),
        entry(B, MediaType::OCI_MANIFEST, 401, "arm64", Some("v8")),
    );
    list.add(a, OnConflict::Refuse).unwrap();
    list.add(b, OnConflict::Refuse).unwrap();
    list
}

#[test]
fn what_is_not_edited_comes_back_byte_for_byte() {
    for (vector, format) in [
        (V1, Format::Docker),
        (V2, Format::Docker),
        (V3, Format::Oci),
        (V4, Format::Oci),
        (V5, Format::Oci),
        (V6, Format::Oci),
        (V7, Format::Oci),
        (V8, Format::Docker),
        (V10, Format::Oci),
        (V11, Format::Oci),
    ] {
        let (list, found) = List::decode(vector.0.as_bytes()).unwrap();
        assert_eq!(found, format);
        assert_writes(&list, format, vector);
    }
}

#[test]
fn what_is_written_fresh_has_the_bytes_of_the_field() {
    for (vector, format, written) in [
        (V1, Format::Docker, V2),
        (V2, Format::Docker, V2),
        (V3, Format::Oci, V3),
        (V4, Format::Oci, V11),
        (V5, Format::Oci, V5),
        (V6, Format::Oci, V6),
        (V7, Format::Oci, V7),
        (V8, Format::Docker, V8),
        (V10, Format::Oci, V10),
        (V11, Format::Oci, V11),
    ] {
        let (list, _) = List::decode(vector.0.as_bytes()).unwrap();
        assert_writes(&fresh(&list), format, written);
    }
}

#[test]
fn edits_lead_from_nothing_to_the_vectors() {
    let empty = List::new();
    assert_writes(&empty, Format::Docker, V2);
    assert_writes(&empty, Format::Oci, V3);
    let mut list = two_entries();
    assert_writes(&list, Format::Oci, V5);
    let annotations = [("z", "<a&b>"), ("a", "é\u{2028}")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let change = Annotate { annotations: annotations.into(), ..Annotate::default() };
    for digest in [A, B] {
        list.annotate(&digest.parse().unwrap(), &change).unwrap();
    }
    assert_writes(&list, Format::Oci, V6);
    let mut list = two_entries();
    let subject = Descriptor::new(MediaType::OCI_MANIFEST, A.parse().unwrap(), 401);
    list.annotate_list(&AnnotateList { subject: Some(subject), ..AnnotateList::default() });
    assert_writes(&list, Format::Oci, V7);
    let mut list = List::new();
    let annotations = [("g".to_owned(), "l".to_owned())].into();
    list.annotate_list(&AnnotateList { annotations, ..AnnotateList::default() });
    assert_writes(&list, Format::Oci, V11);
}

#[test]
fn docker_children_make_the_docker_vector() {
    let mut list = List::new();
    for (digest, arch, variant) in [
        ("sha256:04d492085ed31389e98b0fe457a74ec30b4d522975c179942399b2b4703e6f45", "amd64", None),
        ("sha256:914a343181bbbd14b0a1bd55e58b5c3ba2fd18e0c2ba5812443fbc2b9db469f8", "arm64", Some("v8")),
    ] {
        let child = entry(digest, MediaType::DOCKER_MANIFEST, 423, arch, variant);
        list.add(child, OnConflict::Refuse).unwrap();
    }
    assert_eq!(list.natural_format(), Format::Docker);
    assert_writes(&list, Format::Docker, V8);
}

#[test]
fn a_format_that_cannot_carry_a_field_refuses_and_names_it() {
    let (annotated, _) = List::decode(V4.0.as_bytes()).unwrap();
    let error = annotated.encode(Format::Docker).unwrap_err();
    assert_eq!(error.to_string(), "a Docker manifest list has no place for annotations of the list");
    let (subject, _) = List::decode(V7.0.as_bytes()).unwrap();
    assert!(subject.encode(Format::Docker).unwrap_err().to_string().contains("a subject of the list"));
    let (artifacts, _) = List::decode(V10.0.as_bytes()).unwrap();
    assert!(
        artifacts.encode(Format::Docker).unwrap_err().to_string().contains("an artifactType of sha256:0c71")
    );
    let mut featured = two_entries();
    let features = Some(vec!["sse4".to_owned()]);
    featured.annotate(&A.parse().unwrap(), &Annotate { features, ..Annotate::default() }).unwrap();
    let error = featured.encode(Format::Oci).unwrap_err().to_string();
    assert!(
        error.starts_with("an OCI image index has no place for platform features of sha256:0e9a"),
        "{error}"
    );
    assert!(matches!(two_entries().encode(Format::Docker), Err(EncodeError::OciChild { .. })));
}
