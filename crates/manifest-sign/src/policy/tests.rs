//! Policies, read and applied. Signatures are made and checked by a [`Fake`]: what counts here is who asks what.

use std::collections::BTreeSet;
use std::path::Path;

use manifest_core::Digest;

use super::*;
use crate::error::{Refusal, SignError};
use crate::payload::{Payload, PayloadType};
use crate::signer::KeyId;

const FILE: &str = "/etc/containers/policy.json";

fn decode(text: &str) -> Result<Policy, PolicyError> {
    Policy::decode(text.as_bytes(), Path::new(FILE))
}

/// A policy with one requirement for everything.
fn one(requirement: &str) -> Result<Policy, PolicyError> {
    decode(&format!(r#"{{"default":[{requirement}]}}"#))
}

fn registry(reference: &str) -> Image {
    Image::Registry(reference.parse().unwrap())
}

#[test]
fn every_requirement_is_read() {
    let file = |path: &str| KeySource::File(path.into());
    let data = |text: &str| KeySource::Data(text.into());
    let default = Identity::default();
    for (text, expected) in [
        (r#"{"type":"insecureAcceptAnything"}"#, Requirement::Accept),
        (r#"{"type":"reject"}"#, Requirement::Reject),
        (
            r#"{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"}"#,
            Requirement::SignedBy(vec![file("/k")], default.clone()),
        ),
        (
            r#"{"type":"signedBy","keyType":"GPGKeys","keyPaths":["/k","/l"],"signedIdentity":{"type":"matchExact"}}"#,
            Requirement::SignedBy(vec![file("/k"), file("/l")], Identity::Exact),
        ),
        (
            r#"{"type":"signedBy","keyType":"GPGKeys","keyData":"a2V5"}"#,
            Requirement::SignedBy(vec![data("key")], default.clone()),
        ),
        (
            r#"{"type":"signedBy","keyType":"X509Certificates","keyData":"a2V5"}"#,
            Requirement::Unsupported(Unsupported::KeyType("X509Certificates".to_owned())),
        ),
        (
            r#"{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchRepository"}}"#,
            Requirement::Unsupported(Unsupported::BaseLayer),
        ),
        (
            r#"{"type":"sigstoreSigned","keyDatas":["a2V5","a2V5Mg=="],"signedIdentity":{"type":"matchRepository"}}"#,
            Requirement::SigstoreSigned(vec![data("key"), data("key2")], Identity::Repository),
        ),
        (
            r#"{"type":"sigstoreSigned","keyPaths":["/k"],"signedIdentity":{"type":"exactReference","dockerReference":"r.io/app:1"}}"#,
            Requirement::SigstoreSigned(
                vec![file("/k")],
                Identity::ExactReference("r.io/app:1".parse().unwrap()),
            ),
        ),
        (
            r#"{"type":"sigstoreSigned","keyData":"a2V5","signedIdentity":{"type":"exactRepository","dockerRepository":"r.io/app"}}"#,
            Requirement::SigstoreSigned(
                vec![data("key")],
                Identity::ExactRepository("r.io/app".parse().unwrap()),
            ),
        ),
        (
            r#"{"type":"sigstoreSigned","keyPath":"/k","signedIdentity":{"type":"remapIdentity","prefix":"m.io:5000","signedPrefix":"r.io/ns"}}"#,
            Requirement::SigstoreSigned(
                vec![file("/k")],
                Identity::Remap { prefix: "m.io:5000".to_owned(), signed: "r.io/ns".to_owned() },
            ),
        ),
        (
            r#"{"type":"sigstoreSigned","keyPath":"/k","rekorPublicKeyDatas":["a2V5"]}"#,
            Requirement::Unsupported(Unsupported::Rekor),
        ),
        (
            r#"{"type":"sigstoreSigned","fulcio":{"caPath":"/c","oidcIssuer":"https://i","subjectEmail":"a@b"},"rekorPublicKeyPath":"/r"}"#,
            Requirement::Unsupported(Unsupported::Fulcio),
        ),
        (
            r#"{"type":"sigstoreSigned","pki":{"caRootsData":"a2V5","caIntermediatesPath":"/i","subjectHostname":"h"}}"#,
            Requirement::Unsupported(Unsupported::Pki),
        ),
    ] {
        assert_eq!(one(text).unwrap(), Policy::from(expected), "{text}");
    }
}

#[test]
fn a_policy_that_is_not_exactly_as_it_must_be_is_refused_with_the_place() {
    let signed = |rest: &str| format!(r#"{{"default":[{{"type":"signedBy","keyType":"GPGKeys",{rest}}}]}}"#);
    let sigstore = |rest: &str| format!(r#"{{"default":[{{"type":"sigstoreSigned",{rest}}}]}}"#);
    let identity = |rest: &str| sigstore(&format!(r#""keyPath":"/k","signedIdentity":{rest}"#));
    let scoped = |scopes: &str| format!(r#"{{"default":[{{"type":"reject"}}],"transports":{scopes}}}"#);
    for (text, part) in [
        ("".to_owned(), "not valid JSON"),
        ("[]".to_owned(), "at the top: it is not an object"),
        ("{}".to_owned(), "at the top: there is no `default`"),
        (r#"{"default":[]}"#.to_owned(), "default: the list is empty"),
        (r#"{"default":{}}"#.to_owned(), "default: it is not a list"),
        (r#"{"default":null}"#.to_owned(), "default: it is not a list"),
        (r#"{"default":["reject"]}"#.to_owned(), "default[0]: it is not an object"),
        (r#"{"Default":[{"type":"reject"}]}"#.to_owned(), "there is no `default`"),
        (r#"{"default":[{"type":"reject"}]} x"#.to_owned(), "not valid JSON"),
        (
            r#"{"default":[{"type":"reject"}],"default":[{"type":"reject"}]}"#.to_owned(),
            "\"default\" stands twice",
        ),
        (
            r#"{"default":[{"type":"reject"}],"d\u0065fault":[{"type":"reject"}]}"#.to_owned(),
            "\"default\" stands twice",
        ),
        (r#"{"default":[{"type":"reject"}],"more":1}"#.to_owned(), "at the top: `more` is not known here"),
        (r#"{"default":[{"type":"rejekt"}]}"#.to_owned(), "default[0].type: \"rejekt\" is not known"),
        (r#"{"default":[{}]}"#.to_owned(), "default[0]: there is no `type`"),
        (
            r#"{"default":[{"type":"reject","keyPath":"/k"}]}"#.to_owned(),
            "default[0]: `keyPath` is not known here",
        ),
        (signed(r#""keyPath":"/k","more":1"#), "default[0]: `more` is not known here"),
        (signed(r#""signedIdentity":{"type":"matchExact"}"#), "one of `keyPath`, `keyPaths`, `keyData`"),
        (signed(r#""keyPath":"/k","keyData":"a2V5""#), "`keyPath` and `keyData` do not go together"),
        (signed(r#""keyPath":"""#), "default[0].keyPath: it is empty"),
        (signed(r#""keyPath":null"#), "default[0].keyPath: it is not a string"),
        (signed(r#""keyPaths":[]"#), "default[0].keyPaths: the list is empty"),
        (signed(r#""keyPaths":["/k",1]"#), "default[0].keyPaths[1]: it is not a string"),
        (signed(r#""keyData":"a2V5!""#), "default[0].keyData: it is not base64"),
        (signed(r#""keyDatas":["a2V5"]"#), "there must be one of"),
        (r#"{"default":[{"type":"signedBy","keyPath":"/k"}]}"#.to_owned(), "there is no `keyType`"),
        (
            r#"{"default":[{"type":"signedBy","keyType":"gpg","keyPath":"/k"}]}"#.to_owned(),
            "default[0].keyType: \"gpg\" is not known",
        ),
        (sigstore(r#""keyPath":"/k","keyType":"GPGKeys""#), "`keyType` is not known here"),
        (sigstore(r#""keyPath":"/k","keyDatas":["a2V5"]"#), "do not go together"),
        (sigstore(r#""keyPath":"/k","fulcio":{}"#), "do not go together"),
        (
            sigstore(r#""keyPath":"/k","rekorPublicKeyPath":"/r","rekorPublicKeyData":"a2V5""#),
            "do not go together",
        ),
        (
            sigstore(r#""fulcio":{"caPath":"/c","oidcIssuer":"i","subjectEmail":"e"}"#),
            "default[0].fulcio: it needs a key of rekor",
        ),
        (
            sigstore(r#""fulcio":{"caPath":"/c","oidcIssuer":"i"},"rekorPublicKeyPath":"/r""#),
            "default[0].fulcio: there is no `subjectEmail`",
        ),
        (
            sigstore(r#""pki":{"caRootsPath":"/c"}"#),
            "default[0].pki: there must be `subjectEmail`, `subjectHostname` or both",
        ),
        (
            sigstore(r#""pki":{"caRootsPath":"/c","subjectEmail":"e"},"rekorPublicKeyPath":"/r""#),
            "`rekorPublicKeyPath` does not go with `pki`",
        ),
        (identity(r#"{"type":"any"}"#), "signedIdentity.type: \"any\" is not known"),
        (identity(r#"{"type":"matchExact","prefix":"r.io"}"#), "signedIdentity: `prefix` is not known here"),
        (identity(r#""matchExact""#), "signedIdentity: it is not an object"),
        (identity(r#"{"type":"exactReference"}"#), "there is no `dockerReference`"),
        (
            identity(r#"{"type":"exactReference","dockerReference":"r.io/app"}"#),
            "dockerReference: it has neither a tag nor a digest",
        ),
        (identity(r#"{"type":"exactReference","dockerReference":"r.io/App:1"}"#), "lower case"),
        (identity(r#"{"type":"exactRepository","dockerRepository":"r.io/app:1"}"#), "not a repository"),
        (identity(r#"{"type":"remapIdentity","prefix":"r.io"}"#), "there is no `signedPrefix`"),
        (
            identity(r#"{"type":"remapIdentity","prefix":"r.io/app:1","signedPrefix":"r.io"}"#),
            "prefix: it is not",
        ),
        (identity(r#"{"type":"remapIdentity","prefix":"app","signedPrefix":"r.io"}"#), "prefix: it is not"),
        (identity(r#"{"type":"remapIdentity","prefix":"r.io/","signedPrefix":"r.io"}"#), "prefix: it is not"),
        (scoped("[]"), "transports: it is not an object"),
        (scoped(r#"{"docker":[]}"#), "transports[\"docker\"]: it is not an object"),
        (scoped(r#"{"docker":{"r.io":[]}}"#), "transports[\"docker\"][\"r.io\"]: the list is empty"),
        (
            scoped(r#"{"docker":{"r.io":[{"type":"reject"}],"r.io":[{"type":"reject"}]}}"#),
            "\"r.io\" stands twice",
        ),
        (
            scoped(r#"{"dir":{"a":[{"type":"reject"}]}}"#),
            "[\"a\"]: a scope of this transport is an absolute path",
        ),
        (scoped(r#"{"dir":{"/":[{"type":"reject"}]}}"#), "the root is no scope"),
        (scoped(r#"{"oci":{"/a/../b":[{"type":"reject"}]}}"#), "without `.`"),
    ] {
        let error = decode(&text).unwrap_err().to_string();
        assert!(error.contains(FILE) && error.contains(part), "{text}: {error}");
    }
}

#[test]
fn the_narrowest_scope_alone_applies() {
    let reject = r#"[{"type":"reject"}]"#;
    let digest = Digest::sha256(b"");
    let policy = |transport: &str, scopes: &[&str]| {
        let scopes: Vec<_> = scopes.iter().map(|scope| format!("{scope:?}:{reject}")).collect();
        decode(&format!(r#"{{"default":{reject},"transports":{{{transport:?}:{{{}}}}}}}"#, scopes.join(",")))
    };
    let all = ["r.a.io/ns/app:1", "r.a.io/ns/app", "r.a.io/ns", "r.a.io", "*.a.io", "*.io", ""];
    for from in 0..=all.len() {
        let policy = policy("docker", &all[from..]).unwrap();
        let expected =
            all.get(from).map_or("default".to_owned(), |at| format!("transports[\"docker\"][{at:?}]"));
        assert_eq!(policy.rules(&registry("r.a.io/ns/app:1")).at(), expected);
    }
    let docker = policy("docker", &all).unwrap();
    for (reference, scope) in [
        ("r.a.io/ns/app:2".to_owned(), "r.a.io/ns/app"),
        (format!("r.a.io/ns/app:1@{digest}"), "r.a.io/ns/app"),
        ("r.a.io/ns/apps:1".to_owned(), "r.a.io/ns"),
        ("r.a.io/nss/app:1".to_owned(), "r.a.io"),
        ("r.a.io:5000/ns/app:1".to_owned(), "*.a.io"),
        ("x.r.a.io/app:1".to_owned(), "*.a.io"),
        ("a.io/app:1".to_owned(), "*.io"),
        ("localhost/app:1".to_owned(), ""),
    ] {
        let expected = format!("transports[\"docker\"][{scope:?}]");
        assert_eq!(docker.rules(&registry(&reference)).at(), expected, "{reference}");
    }
    assert_eq!(docker.rules(&Image::Directory("/a".into())).at(), "default");
    let latest = policy("docker", &["r.io/app:latest"]).unwrap();
    assert_eq!(latest.rules(&registry("r.io/app")).at(), "transports[\"docker\"][\"r.io/app:latest\"]");
}

#[test]
fn directories_have_scopes_too() {
    let reject = r#"[{"type":"reject"}]"#;
    let text = format!(
        r#"{{"default":{reject},"transports":{{"dir":{{"/a":{reject},"/a/b":{reject}}},"oci":{{"/a:1":{reject},"/a":{reject}}}}}}}"#
    );
    let policy = decode(&text).unwrap();
    let name = |name: &str| Some(name.to_owned());
    for (image, at) in [
        (Image::Directory("/a/b/c".into()), "transports[\"dir\"][\"/a/b\"]"),
        (Image::Directory("/a/bc".into()), "transports[\"dir\"][\"/a\"]"),
        (Image::Directory("/x".into()), "default"),
        (Image::Layout("/a".into(), name("1")), "transports[\"oci\"][\"/a:1\"]"),
        (Image::Layout("/a".into(), name("2")), "transports[\"oci\"][\"/a\"]"),
        (Image::Layout("/a/b".into(), None), "transports[\"oci\"][\"/a\"]"),
        (Image::Layout("/b".into(), name("1")), "default"),
    ] {
        assert_eq!(policy.rules(&image).at(), at, "{image:?}");
    }
}

/// A signature is `KEY:PAYLOAD`, a key is a word, and a keyring words with spaces between them.
struct Fake;

impl KeyCheck for Fake {
    fn open_simple(&self, keyrings: &[&[u8]], envelope: &[u8]) -> Result<Opened, CheckError> {
        let text = String::from_utf8_lossy(envelope);
        let (key, payload) =
            text.split_once(':').ok_or_else(|| Refusal::Unreadable("not a message".to_owned()))?;
        if key == "old" {
            return Err(Refusal::Expired("the key is old".to_owned()).into());
        }
        let rings: Vec<_> = keyrings.iter().map(|ring| String::from_utf8_lossy(ring)).collect();
        if rings.iter().any(|ring| ring == "junk") {
            return Err(SignError::NotAKey("junk".to_owned()).into());
        }
        if !rings.iter().any(|ring| ring.split(' ').any(|known| known == key)) {
            return Err(Refusal::UnknownKey(KeyId::new(key)).into());
        }
        Ok(Opened { payload: payload.as_bytes().to_vec(), key: KeyId::new(key) })
    }

    fn check_sigstore(&self, key: &[u8], payload: &[u8], signature: &[u8]) -> Result<KeyId, CheckError> {
        let good = [key, b":", payload].concat();
        let bad = || Refusal::Bad("another key or another payload".to_owned());
        (signature == good).then(|| KeyId::new(String::from_utf8_lossy(key))).ok_or_else(|| bad().into())
    }
}

fn digest() -> Digest {
    Digest::sha256(b"image")
}

fn payload(kind: PayloadType, reference: &str) -> Vec<u8> {
    Payload::new(reference, digest()).encode(kind)
}

fn simple(key: &str, reference: &str) -> Signature {
    Signature::Simple([key.as_bytes(), b":", &payload(PayloadType::Atomic, reference)].concat())
}

fn sigstore(key: &str, reference: &str) -> Signature {
    let payload = payload(PayloadType::Cosign, reference);
    let signature = [key.as_bytes(), b":", &payload].concat();
    Signature::Sigstore { payload, signature }
}

fn by(key: &str) -> Requirement {
    Requirement::SignedBy(vec![KeySource::Data(key.into())], Identity::default())
}

fn sigstore_by(keys: &[&str]) -> Requirement {
    let keys = keys.iter().map(|key| KeySource::Data((*key).into())).collect();
    Requirement::SigstoreSigned(keys, Identity::default())
}

fn judge(requirements: Vec<Requirement>, signatures: &[Signature]) -> Result<Verdict, Denied> {
    let policy = Policy { default: requirements, transports: BTreeMap::new() };
    let rules = policy.rules(&registry("r.io/app:1"));
    rules.judge(&digest(), signatures, &KeyFiles::default(), &Fake)
}

#[test]
fn a_signature_of_a_known_key_with_the_right_claims_is_accepted() {
    let verdict = judge(vec![by("ann bob")], &[simple("bob", "r.io/app:1")]).unwrap();
    assert_eq!(verdict.keys, BTreeSet::from([KeyId::new("bob")]));
    assert!(verdict.is_signed() && verdict.passed_over.is_empty());
    let verdict = judge(vec![sigstore_by(&["ann", "bob"])], &[sigstore("bob", "r.io/app:1")]).unwrap();
    assert_eq!(verdict.keys, BTreeSet::from([KeyId::new("bob")]));
}

#[test]
fn what_does_not_count_is_one_of_five_answers() {
    let other = Payload::new("r.io/app:1", Digest::sha256(b"other"));
    let envelope = |payload: &[u8]| Signature::Simple([b"ann:", payload].concat());
    let altered = match sigstore("ann", "r.io/app:1") {
        Signature::Sigstore { payload, .. } => Signature::Sigstore { payload, signature: b"ann:x".to_vec() },
        simple => simple,
    };
    for (name, requirement, signatures, kind) in [
        ("nothing", by("ann"), vec![], "unsigned"),
        ("another kind", by("ann"), vec![sigstore("ann", "r.io/app:1")], "unsigned"),
        ("another kind", sigstore_by(&["ann"]), vec![simple("ann", "r.io/app:1")], "unsigned"),
        ("another key", by("ann"), vec![simple("eve", "r.io/app:1")], "unknown-key"),
        ("an old key", by("ann"), vec![simple("old", "r.io/app:1")], "expired"),
        ("garbage", by("ann"), vec![Signature::Simple(b"garbage".to_vec())], "unreadable"),
        ("another tag", by("ann"), vec![simple("ann", "r.io/app:2")], "bad"),
        ("another registry", by("ann"), vec![simple("ann", "app:1")], "bad"),
        ("another image", by("ann"), vec![envelope(&other.encode(PayloadType::Atomic))], "bad"),
        // SEC-73.
        ("signed, but no payload", by("ann"), vec![envelope(b"hello")], "unreadable"),
        (
            "the payload of the other family",
            by("ann"),
            vec![envelope(&payload(PayloadType::Cosign, "r.io/app:1"))],
            "unreadable",
        ),
        ("another tag", sigstore_by(&["ann"]), vec![sigstore("ann", "r.io/app:2")], "bad"),
        ("altered", sigstore_by(&["ann", "bob"]), vec![altered], "bad"),
        (
            "several, of which one came near",
            by("ann"),
            vec![
                Signature::Simple(b"garbage".to_vec()),
                simple("eve", "r.io/app:1"),
                simple("ann", "r.io/app:2"),
            ],
            "bad",
        ),
    ] {
        let denied = judge(vec![requirement], &signatures).unwrap_err();
        assert_eq!(denied.refusal().map(|refusal| refusal.kind()), Some(kind), "{name}: {denied}");
    }
}

#[test]
fn garbage_before_a_good_signature_is_passed_over_with_a_warning() {
    let found =
        [Signature::Simple(b"garbage".to_vec()), simple("eve", "r.io/app:1"), simple("ann", "r.io/app:1")];
    let verdict = judge(vec![by("ann"), by("ann")], &found).unwrap();
    assert_eq!(verdict.keys.len(), 1);
    let passed: Vec<_> = verdict.passed_over.iter().map(|one| (one.index, one.refusal.kind())).collect();
    assert_eq!(passed, [(0, "unreadable"), (1, "unknown-key")]);
}

#[test]
fn all_requirements_must_hold_and_the_one_that_does_not_is_named() {
    let (ann, bob) = (simple("ann", "r.io/app:1"), simple("bob", "r.io/app:1"));
    assert_eq!(judge(vec![by("ann"), by("bob")], &[bob.clone(), ann.clone()]).unwrap().keys.len(), 2);
    let denied = judge(vec![Requirement::Accept, by("ann"), by("bob")], &[ann]).unwrap_err();
    assert_eq!(
        denied.to_string(),
        "default[2] (signedBy): no signature counts: signature 1: it is signed by ann, which is not an accepted key"
    );
    let denied = judge(vec![by("bob"), Requirement::Reject], &[bob]).unwrap_err();
    assert_eq!(denied.to_string(), "default[1] (reject): it is not allowed");
    assert_eq!(denied.refusal(), None);
}

#[test]
fn accepting_anything_makes_nothing_signed() {
    let verdict = judge(vec![Requirement::Accept], &[simple("ann", "r.io/app:1")]).unwrap();
    assert!(!verdict.is_signed());
}

#[test]
fn what_cannot_be_decided_here_is_not_allowed() {
    let log = r#"{"type":"sigstoreSigned","keyData":"YW5u","rekorPublicKeyData":"a2V5"}"#;
    let policy = one(log).unwrap();
    let rules = policy.rules(&registry("r.io/app:1"));
    let found = [sigstore("ann", "r.io/app:1")];
    let denied = rules.judge(&digest(), &found, &KeyFiles::default(), &Fake).unwrap_err();
    assert!(denied.to_string().contains("default[0] (sigstoreSigned): the log of rekor is not supported"));
}

/// SEC-75.
#[test]
fn two_signatures_of_one_key_are_not_those_of_two() {
    let policy = Policy::from(by("ann bob"));
    let rules = policy.rules(&registry("r.io/app:1"));
    let count = |signatures: &[Signature]| {
        rules
            .judge_with_keys(2, (&digest(), signatures), &KeyFiles::default(), &Fake)
            .map(|good| good.keys.len())
    };
    let (ann, bob) = (simple("ann", "r.io/app:1"), simple("bob", "r.io/app:1"));
    let denied = count(&[ann.clone(), ann.clone()]).unwrap_err();
    assert!(matches!(denied.why, Why::TooFewKeys { wanted: 2, found: 1 }), "{denied}");
    assert_eq!(count(&[ann.clone(), ann, bob]).unwrap(), 2);
}

#[test]
fn a_key_of_the_policy_that_is_none_accepts_nothing() {
    let denied = judge(vec![by("junk")], &[simple("ann", "r.io/app:1")]).unwrap_err();
    assert!(matches!(denied.why, Why::Key(_)), "{denied}");
}

#[test]
fn keys_lie_in_files_that_are_read_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ann.gpg");
    let policy =
        Policy::from(Requirement::SignedBy(vec![KeySource::File(path.clone())], Identity::default()));
    let rules = policy.rules(&registry("r.io/app:1"));
    let found = [simple("ann", "r.io/app:1")];
    let denied = rules.judge(&digest(), &found, &KeyFiles::default(), &Fake).unwrap_err();
    assert!(matches!(&denied.why, Why::KeyFile(missing) if *missing == path), "{denied}");
    assert!(matches!(KeyFiles::read(rules.key_files()), Err(PolicyError::Io(missing, _)) if missing == path));
    put(&path, "ann");
    let files = KeyFiles::read(rules.key_files()).unwrap();
    assert!(rules.judge(&digest(), &found, &files, &Fake).unwrap().is_signed());
    assert!(matches!(KeyFiles::read([directory.path()]), Err(PolicyError::Io(..))));
}

#[test]
fn the_policy_of_the_user_goes_before_that_of_the_system() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".config/containers/policy.json");
    assert_eq!(Policy::search_path(Some(home.path())), [path.clone(), PathBuf::from(FILE)]);
    assert_eq!(Policy::search_path(None), [PathBuf::from(FILE)]);
    assert_eq!(Policy::search_path(Some(Path::new(""))), [PathBuf::from(FILE)]);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    put(&path, r#"{"default":[{"type":"reject"}]}"#);
    assert_eq!(Policy::find(Some(home.path())).unwrap(), Policy::from(Requirement::Reject));
    // One that cannot be used is no reason to take another.
    put(&path, "{}");
    assert!(matches!(Policy::find(Some(home.path())), Err(PolicyError::Value { .. })));
}

#[expect(clippy::disallowed_methods, reason = "a fixture need not be durable")]
fn put(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
