//! Documents from elsewhere: which are refused and in what words, and what survives of those that are not.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::error::Error;

use manifest_core::{
    DecodeError, Descriptor, Digest, Document, Format, ImageManifest, JsonError, List, MAX_MANIFEST_SIZE,
    MAX_SIZE, MediaType, OnConflict, Platform,
};

const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An index with these members besides the two that all have.
fn index(members: &str) -> String {
    format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}",{members}}}"#)
}

/// An index with three good entries and this one.
fn fourth(entry: &str) -> String {
    let good = format!(r#"{{"mediaType":"{MANIFEST}","digest":"{D}","size":1}}"#);
    index(&format!(r#""manifests":[{good},{good},{good},{entry}]"#))
}

/// An entry with these members besides type, digest and size.
fn with(members: &str) -> String {
    fourth(&format!(r#"{{"mediaType":"{MANIFEST}","digest":"{D}","size":1,{members}}}"#))
}

fn sized(size: &str) -> String {
    fourth(&format!(r#"{{"mediaType":"{MANIFEST}","digest":"{D}","size":{size}}}"#))
}

fn digested(digest: &str) -> String {
    fourth(&format!(r#"{{"mediaType":"{MANIFEST}","digest":"{digest}","size":1}}"#))
}

fn chain(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", chain(cause)))
}

fn refusal(document: impl AsRef<[u8]>) -> String {
    let error = Document::decode(document.as_ref(), None).unwrap_err();
    let text = chain(&error);
    assert!(text.len() < 700, "a document can make a message of {} bytes", text.len());
    text
}

#[track_caller]
fn assert_refused(table: &[(String, &str)]) {
    for (document, expected) in table {
        let found = refusal(document);
        assert!(found.contains(expected), "{document:.400}\n  expected: {expected}\n  found:    {found}");
    }
}

fn decode(document: &str) -> List {
    List::decode(document.as_bytes()).unwrap().0
}

/// What is written after something was edited and the edit was taken back.
fn rewritten(document: &str, format: Format) -> String {
    let mut list = decode(document);
    let marker = Descriptor::new(MediaType::from("x/marker"), Digest::sha256(b"marker"), 6);
    list.add(marker, OnConflict::Allow).unwrap();
    list.remove(&Digest::sha256(b"marker")).unwrap();
    String::from_utf8(list.encode(format).unwrap().bytes).unwrap()
}

/// SEC-20, SEC-24.
#[test]
fn a_document_that_two_readers_could_take_for_two_things_is_refused() {
    let image = |members: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"a/b","digest":"{D}","size":1}},"layers":[],{members}}}"#
        )
    };
    assert_refused(&[
        (index(r#""manifests":[],"config":{}"#), r#"ambiguous document: a list cannot have "config""#),
        (index(r#""layers":[],"manifests":[]"#), r#"a list cannot have "layers""#),
        (index(r#""manifests":[],"fsLayers":[]"#), r#"a list cannot have "fsLayers""#),
        (index(r#""manifests":[],"history":[1]"#), r#"a list cannot have "history""#),
        (image(r#""manifests":[]"#), r#"ambiguous document: an image manifest cannot have "manifests""#),
        (image(r#""fsLayers":[]"#), r#"an image manifest cannot have "fsLayers""#),
        (index(r#""Manifests":[]"#), r#"the key "Manifests" can be mistaken for "manifests""#),
        (index(r#""manifests":[],"LAYERS":[]"#), r#"the key "LAYERS" can be mistaken for "layers""#),
        (index(r#""manifests":[],"manife\u017fts":[]"#), r#"can be mistaken for "manifests""#),
        (image(r#""Config":{}"#), r#"the key "Config" can be mistaken for "config""#),
        (with(r#""Digest":"x""#), r#"manifests[3] is not valid: the key "Digest" can be mistaken"#),
        (with("\"\u{17f}ize\":2"), r#"manifests[3] is not valid: the key "ſize" can be mistaken for "size""#),
        (with(r#""platform":{"OS":"linux"}"#), r#"manifests[3] is not valid: platform: the key "OS""#),
        (index(r#""manifests":[],"manifests":[]"#), r#"the key "manifests" stands twice in one object"#),
        (digested(&format!(r#"{D}","dig\u0065st":"{D}"#)), r#"the key "digest" stands twice"#),
        (with(r#""platform":{"os":"linux","os":"linux"}"#), r#"the key "os" stands twice"#),
        (with(r#""annotations":{"a":"1","\u0061":"2"}"#), r#"the key "a" stands twice"#),
        (with(r#""unknown":[[{"k":1,"k":2}]]"#), r#"the key "k" stands twice"#),
    ]);
}

/// SEC-20, SEC-24.
#[test]
fn a_document_of_another_version_or_kind_is_refused() {
    let manifests = |version: &str| format!(r#"{{"schemaVersion":{version},"manifests":[]}}"#);
    assert_refused(&[
        (r#"{"manifests":[]}"#.to_owned(), "schemaVersion is missing; only 2 is supported"),
        (manifests("1"), "schemaVersion is 1; only 2 is supported"),
        (manifests("3"), "schemaVersion is 3"),
        (manifests("-2"), "schemaVersion is -2"),
        (manifests("2.0"), "schemaVersion is 2.0"),
        (manifests("2.5"), "schemaVersion is 2.5"),
        (manifests("2e0"), "schemaVersion is 2e0"),
        (manifests(r#""2""#), r#"schemaVersion is "2""#),
        (manifests("null"), "schemaVersion is missing"),
        (manifests(&format!(r#""{}""#, "2".repeat(9999))), "schemaVersion is \"2222"),
        (r#"{"schemaVersion":1,"name":"a","fsLayers":[]}"#.to_owned(), "schemaVersion is 1"),
        ("{}".to_owned(), "neither a list nor an image"),
        (r#"{"schemaVersion":2}"#.to_owned(), "neither a list nor an image"),
        (r#"{"mediaType":"","schemaVersion":2}"#.to_owned(), "neither a list nor an image"),
        (r#"{"errors":[{"code":"DENIED"}]}"#.to_owned(), "neither a list nor an image"),
        (
            r#"{"schemaVersion":2,"mediaType":"text/html","manifests":[]}"#.to_owned(),
            "text/html is not a manifest type",
        ),
        (
            r#"{"schemaVersion":2,"mediaType":7,"manifests":[]}"#.to_owned(),
            "mediaType: invalid type: integer",
        ),
        (index(r#""a":1"#), r#"it has no "manifests""#),
        (format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","layers":[]}}"#), r#"it has no "config""#),
        (format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}"}}"#), r#"it has no "config""#),
    ]);
    assert_eq!(
        List::decode(image("[]").as_bytes()).unwrap_err(),
        DecodeError::NotAList(MediaType::OCI_MANIFEST)
    );
    assert_eq!(
        ImageManifest::decode(index(r#""manifests":[]"#).as_bytes()).unwrap_err(),
        DecodeError::NotAnImage(MediaType::OCI_INDEX)
    );
}

fn image(layers: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{D}","size":1}},"layers":{layers}}}"#
    )
}

/// SEC-20.
#[test]
fn the_announced_type_must_be_that_of_the_document() {
    let said = index(r#""manifests":[]"#);
    let unsaid = r#"{"schemaVersion":2,"manifests":[]}"#;
    let decode =
        |document: &str, announced: &str| Document::decode(document.as_bytes(), Some(&announced.into()));
    let docker = MediaType::DOCKER_LIST;
    assert!(matches!(decode(&said, INDEX), Ok(Document::List(_, Format::Oci))));
    assert!(matches!(decode(&said, &format!("{INDEX}; charset=utf-8")), Ok(Document::List(_, Format::Oci))));
    assert!(matches!(decode(unsaid, docker.as_str()), Ok(Document::List(_, Format::Docker))));
    for (document, announced, expected) in [
        (said.as_str(), docker.as_str(), format!("calls itself {INDEX}, but was announced as {docker}")),
        (&said, "text/html", format!("calls itself {INDEX}, but was announced as text/html")),
        (unsaid, "text/html", "text/html is not a manifest type".to_owned()),
        (unsaid, MANIFEST, r#"an image manifest cannot have "manifests""#.to_owned()),
        (&image("[]"), INDEX, r#"a list cannot have "config""#.to_owned()),
    ] {
        let error = chain(&decode(document, announced).unwrap_err());
        assert!(error.contains(&expected), "{document} {announced}: {error}");
    }
}

#[test]
fn a_bad_entry_is_named_with_its_place() {
    let max = MAX_SIZE + 1;
    assert_refused(&[
        (sized("-1"), "manifests[3] is not valid: its size is -1; sizes are whole numbers from 0 to 9223372"),
        (sized("1.5"), "manifests[3] is not valid: its size is 1.5"),
        (sized("1.0"), "its size is 1.0"),
        (sized("1e3"), "its size is 1e3"),
        (sized("-0"), "its size is -0"),
        (sized(&max.to_string()), "its size is 9223372036854775808"),
        (sized("18446744073709551616"), "its size is 18446744073709551616"),
        (sized(r#""1""#), r#"manifests[3] is not valid: its size is "1""#),
        (sized("true"), "its size is true"),
        (sized("null"), r#"manifests[3] is not valid: it has no "size""#),
        (fourth(&format!(r#"{{"mediaType":"{MANIFEST}","digest":"{D}"}}"#)), r#"it has no "size""#),
        (
            fourth(&format!(r#"{{"mediaType":"{MANIFEST}","size":1}}"#)),
            r#"manifests[3] is not valid: it has no "digest""#,
        ),
        (
            fourth(&format!(r#"{{"digest":"{D}","size":1}}"#)),
            r#"manifests[3] is not valid: it has no "mediaType""#,
        ),
        (fourth(&format!(r#"{{"mediaType":"","digest":"{D}","size":1}}"#)), r#"it has no "mediaType""#),
        (fourth("{}"), r#"manifests[3] is not valid: it has no "mediaType""#),
        (fourth("null"), "manifests[3] is not valid: invalid type: null, expected a descriptor"),
        (fourth("[]"), "manifests[3] is not valid: invalid type: sequence"),
        (fourth("7"), "manifests[3] is not valid: invalid type: integer `7`"),
        (digested(""), "manifests[3] is not valid: invalid digest \"\": it is written algorithm:hex"),
        (digested("sha256:../../../../etc/passwd"), "invalid digest \"sha256:../../../../etc/passwd\""),
        (digested(&D[..70]), "sha256 has 64 hex digits, this one has 63"),
        (digested(&format!("{D}0")), "this one has 65"),
        (digested(&D.to_uppercase()), "only sha256 and sha512 are supported"),
        (digested(&format!("sha256:{}", "AB".repeat(32))), "only the hex digits 0-9 and a-f"),
        (digested(&format!("sha384:{}", "ab".repeat(48))), "only sha256 and sha512 are supported"),
        (digested(&format!("sha256:{}", "٣".repeat(32))), "only the hex digits 0-9 and a-f"),
        (digested(&format!("sha256:{}", "x".repeat(1 << 20))), "this one has 1048576"),
        (
            with(r#""platform":"linux/amd64""#),
            r#"manifests[3] is not valid: platform: invalid type: string "linux/amd64""#,
        ),
        (
            with(r#""platform":{"os":7}"#),
            "manifests[3] is not valid: platform: os: invalid type: integer `7`",
        ),
        (with(r#""platform":{"os.features":"a"}"#), "platform: os.features: invalid type"),
        (with(r#""annotations":{"a":1}"#), "manifests[3] is not valid: annotations: invalid type"),
        (with(r#""annotations":[]"#), "annotations: invalid type: sequence"),
        (with(r#""urls":"https://a.example""#), "urls: invalid type: string"),
        (with(&format!(r#""urls":"{}""#, "u".repeat(1 << 20))), "urls: invalid type: string"),
        (with(r#""data":7"#), "data: invalid type"),
        (with(r#""artifactType":{}"#), "artifactType: invalid type"),
        (
            index(&format!(r#""manifests":[],"subject":{{"digest":"{D}"}}"#)),
            r#"subject is not valid: it has no "mediaType""#,
        ),
        (index(r#""manifests":[],"annotations":{"a":[]}"#), "not a manifest: annotations: invalid type"),
        (index(r#""manifests":{}"#), "not a manifest: manifests: invalid type: map"),
        (image("[{}]"), r#"layers[0] is not valid: it has no "mediaType""#),
        (
            r#"{"schemaVersion":2,"config":{},"layers":[]}"#.to_owned(),
            r#"config is not valid: it has no "mediaType""#,
        ),
    ]);
    let docker = with(r#""platform":{"features":[1]}"#).replace(INDEX, MediaType::DOCKER_LIST.as_str());
    assert_refused(&[(
        docker,
        r#"manifests[3] is not valid: its platform has "features" that are not a list of"#,
    )]);
}

/// SEC-55.
#[test]
fn what_is_not_one_json_document_is_refused() {
    let good = index(r#""manifests":[]"#);
    let with_value = |value: &str| index(&format!(r#""manifests":[],"a":{value}"#));
    let nested = |levels: usize| with_value(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    assert!(List::decode(nested(63).as_bytes()).is_ok());
    assert_refused(&[
        (nested(64), "nested deeper than 64 levels"),
        ("[".repeat(1 << 20), "nested deeper than 64 levels"),
        (r#"{"a":"#.repeat(1 << 18), "nested deeper than 64 levels"),
        (String::new(), "not valid JSON: EOF"),
        ("null".to_owned(), "not a manifest: invalid type: null"),
        ("[]".to_owned(), "not a manifest: invalid type: sequence"),
        ("\u{feff}".to_owned() + &good, "not valid JSON"),
        (good.clone() + "{}", "not valid JSON: trailing characters"),
        (good.clone() + "\0", "not valid JSON: trailing characters"),
        (good[..good.len() - 1].to_owned(), "not valid JSON: EOF"),
        (with_value("1e999999"), "not valid JSON: number out of range"),
        (with_value("01"), "not valid JSON"),
        (with_value("NaN"), "not valid JSON"),
        (with_value(r#""\ud800""#), "not valid JSON"),
        (with_value("\"\n\""), "not valid JSON: control character"),
        (with_value("[1,]"), "not valid JSON: trailing comma"),
        ("<!DOCTYPE html>".to_owned(), "not valid JSON: expected value at line 1 column 1"),
    ]);
    let latin = good.replace("manifests", "manif\u{e9}sts").into_bytes();
    let latin: Vec<u8> = latin.into_iter().filter(|byte| *byte != 0xc3).collect();
    assert!(matches!(List::decode(&latin), Err(DecodeError::Json(JsonError::Syntax(_)))));
}

/// SEC-50.
#[test]
fn four_mebibytes_are_read_and_one_byte_more_is_not() {
    let mut document = index(r#""manifests":[]"#).into_bytes();
    document.resize(MAX_MANIFEST_SIZE, b' ');
    assert!(List::decode(&document).is_ok());
    document.push(b' ');
    assert_eq!(List::decode(&document).unwrap_err(), DecodeError::TooLarge(MAX_MANIFEST_SIZE + 1));
    assert!(refusal(&document).contains("4194305 bytes are more than a manifest may have (4194304)"));
}

#[test]
fn large_sizes_are_exact() {
    for size in [0, (1 << 53) + 1, MAX_SIZE] {
        let document = sized(&size.to_string());
        assert_eq!(decode(&document).entries()[3].size, size);
        assert!(rewritten(&document, Format::Oci).contains(&format!(r#""size":{size}}}"#)));
    }
}

#[test]
fn null_and_the_empty_text_mean_absent() {
    let nothing = decode(&with(r#""platform":{"architecture":"arm64","os":"linux"}"#));
    for empty in ["null", r#""""#] {
        let text = format!(
            r#""platform":{{"architecture":"arm64","os":"linux","os.version":{empty},"variant":{empty},
            "os.features":null}},"data":{empty},"artifactType":{empty},"urls":null,"annotations":null"#
        );
        let entries = with(&text);
        let members = format!(r#""artifactType":{empty},"subject":null,"annotations":null}}"#);
        let document = entries.strip_suffix('}').unwrap().to_owned() + "," + &members;
        assert_eq!(decode(&document), nothing, "{empty}");
        let written = rewritten(&document, Format::Oci);
        assert!(!written.contains("null") && !written.contains(r#""""#), "{written}");
    }
    for platform in ["null", r#"{"architecture":null,"os":null}"#, "{}"] {
        let list = decode(&with(&format!(r#""platform":{platform}"#)));
        assert!(list.entries()[3].platform.as_ref().is_none_or(|platform| *platform == Platform::default()));
        assert_eq!(list.entries()[3].slot(), None);
    }
    for empty in ["null", "[]"] {
        assert_eq!(
            decode(&format!(r#"{{"schemaVersion":2,"mediaType":null,"manifests":{empty}}}"#)),
            List::new()
        );
        assert!(ImageManifest::decode(image(empty).as_bytes()).unwrap().layers.is_empty());
    }
}

#[test]
fn unknown_members_survive_an_edit_everywhere_and_exactly() {
    let unknown = r#""z":123456789012345678901234567890,"b":1.50,"a":[1e3,-0,"<&>\u00e9"],"c":null"#;
    let entry = format!(
        r#"{{"mediaType":"{MANIFEST}","digest":"{D}","size":1,"platform":{{"architecture":"amd64","os":"linux",{unknown}}},{unknown}}}"#
    );
    let subject = format!(r#"{{"mediaType":"{MANIFEST}","digest":"{D}","size":9,{unknown}}}"#);
    let oci = index(&format!(r#""manifests":[{entry}],"subject":{subject},{unknown}"#));
    assert_eq!(rewritten(&oci, Format::Oci), oci);
    let docker_manifest = MediaType::DOCKER_MANIFEST;
    let entry = format!(
        r#"{{"mediaType":"{docker_manifest}","size":1,"digest":"{D}","platform":{{"architecture":"amd64","os":"linux","features":["sse4","<"],{unknown}}},{unknown}}}"#
    );
    let docker = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{entry}],{unknown}}}"#,
        MediaType::DOCKER_LIST
    );
    assert_eq!(
        rewritten(&docker, Format::Docker),
        docker.replace("[\"sse4\",\"<\"]", r#"["sse4","\u003c"]"#)
    );
    assert_eq!(decode(&docker).entries()[0].platform.as_ref().unwrap().features, ["sse4", "<"]);
    assert_eq!(decode(&oci).extra().names().collect::<Vec<_>>(), ["z", "b", "a", "c"]);
}

#[test]
fn features_in_an_index_are_an_unknown_member() {
    let index = with(r#""platform":{"architecture":"amd64","os":"linux","features":["sse4"]}"#);
    let list = decode(&index);
    let platform = list.entries()[3].platform.as_ref().unwrap();
    assert!(platform.features.is_empty());
    assert_eq!(platform.extra.names().collect::<Vec<_>>(), ["features"]);
    assert_eq!(rewritten(&index, Format::Oci), index);
    let docker = list.encode(Format::Docker).unwrap_err().to_string();
    assert!(docker.contains(r#"no place for "features" of unknown meaning of sha256:e3b0"#), "{docker}");
}

#[test]
fn pretty_printed_input_is_kept_until_an_edit_makes_it_compact() {
    let compact = with(r#""platform":{"architecture":"amd64","os":"linux"},"x":{"a b":[1, 2.0]}"#);
    let pretty = compact.replace(',', " ,\r\n\t").replace(':', ": ").replace("sha256: ", "sha256:");
    let pretty = pretty.replace('{', "{\n").replace("]", "\n]");
    assert_eq!(decode(&pretty).encode(Format::Oci).unwrap().bytes, pretty.as_bytes());
    assert_eq!(rewritten(&pretty, Format::Oci), compact.replace("1, 2", "1,2"));
}
