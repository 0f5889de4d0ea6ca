//! Damaged files: told, never repaired, never in the way of others.

use std::path::Path;

use manifest_store::{Force, IfTaken, StoreError, UpdateError};

use crate::fixture::{Home, add, draft, files, name, overwrite, reseal, which};

/// What is done to a file.
type Damage = Box<dyn Fn(&Path, &[u8])>;

fn becomes(change: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Damage {
    Box::new(move |path, bytes| overwrite(path, &change(bytes)))
}

fn resealed(from: &'static str, to: &'static str) -> Damage {
    Box::new(move |path, _| {
        reseal(path, |body| {
            assert!(body.contains(from), "{from} is not in {body}");
            body.replacen(from, to, 1)
        });
    })
}

/// The same bytes with one bit of this word turned.
fn flipped(bytes: &[u8], word: &[u8]) -> Vec<u8> {
    let at = bytes.windows(word.len()).position(|window| window == word).unwrap();
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

/// DUR-14.
#[tokio::test]
async fn a_damaged_record_is_told_and_left_alone() {
    let table: Vec<(&str, Damage, &str)> = vec![
        ("empty", becomes(|_| Vec::new()), "empty"),
        ("one byte short", becomes(|bytes| bytes[..bytes.len() - 1].to_vec()), "not the one"),
        ("zeroes", becomes(|bytes| vec![0; bytes.len()]), "zero bytes"),
        ("zeroes at the end", becomes(|bytes| [&bytes[..bytes.len() - 9], &[0; 9]].concat()), "not the one"),
        ("twice", becomes(|bytes| [bytes, bytes].concat()), "not the one"),
        ("first line only", becomes(|bytes| bytes[..90].to_vec()), "header does not end"),
        ("no line", becomes(|_| b"manifest-record 1 sha256:".to_vec()), "begin like a record"),
        ("other text", becomes(|_| b"{\"names\":[]}\n".to_vec()), "begin like a record"),
        ("not utf-8", becomes(|_| b"\xff\xfe\n\xff".to_vec()), "begin like a record"),
        ("version 0", becomes(|_| b"manifest-record 0 sha256:\n".to_vec()), "version"),
        ("version x", becomes(|_| b"manifest-record x\n".to_vec()), "version"),
        ("no checksum", becomes(|_| b"manifest-record 1 hello\nworld".to_vec()), "no checksum"),
        ("no header", Box::new(|path, _| reseal(path, |_| String::new())), "header does not end"),
        ("wrong shape", Box::new(|path, _| reseal(path, |_| "{\"names\":7}\n".to_owned())), "header is not"),
        ("another size", resealed("\"size\":3", "\"size\":4"), "not the one"),
        ("no list", resealed("{\"schemaVersion\":2", "{\"schemaVersion\":3"), "not the one"),
        ("another header", becomes(|bytes| flipped(bytes, b"created")), "checksum"),
        ("another entry", resealed("\"size\":401", "\"size\":402"), "not the one"),
        (
            "huge",
            Box::new(|path, _| std::fs::File::create(path).unwrap().set_len((64 << 20) + 1).unwrap()),
            "bytes",
        ),
        (
            "a directory",
            Box::new(|path, _| {
                std::fs::remove_file(path).unwrap();
                std::fs::create_dir(path).unwrap();
            }),
            "regular file",
        ),
        #[cfg(unix)]
        (
            "a dangling link",
            Box::new(|path, _| {
                std::fs::remove_file(path).unwrap();
                std::os::unix::fs::symlink("/nonexistent/file", path).unwrap();
            }),
            "regular file",
        ),
        #[cfg(unix)]
        (
            "a link to a good record",
            Box::new(|path, _| {
                let elsewhere = path.with_extension("elsewhere");
                std::fs::rename(path, &elsewhere).unwrap();
                std::os::unix::fs::symlink(elsewhere, path).unwrap();
            }),
            "regular file",
        ),
    ];
    for (case, damage, part) in table {
        let home = Home::new();
        let store = home.store();
        let bad = store.create(&name("bad"), draft([1]), IfTaken::Refuse).await.unwrap();
        let good = store.create(&name("good"), draft([2]), IfTaken::Refuse).await.unwrap();
        let path = home.record_file(&bad);
        let bytes = std::fs::read(&path).unwrap();
        damage(&path, &bytes);
        let damaged = std::fs::read(&path).ok();

        let error = store.load(&which("bad")).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Damaged { path: at, what } if *at == path && what.contains(part)),
            "{case}: {error:?}"
        );
        assert!(
            matches!(
                store.update(&bad.id().into(), add(5)).await,
                Err(UpdateError::Store(StoreError::Damaged { .. }))
            ),
            "{case}"
        );
        assert!(
            matches!(store.remove(&which("bad"), Force::Yes).await, Err(StoreError::Damaged { .. })),
            "{case}"
        );
        assert!(
            matches!(
                store.create(&name("bad"), draft([3]), IfTaken::Replace).await,
                Err(StoreError::Damaged { .. })
            ),
            "{case}"
        );
        assert_eq!(std::fs::read(&path).ok(), damaged, "{case}: the damaged file was touched");

        assert_eq!(store.load(&which("good")).await.unwrap(), good, "{case}");
        store.update(&which("good"), add(4)).await.unwrap();
        let all = store.records().await.unwrap();
        assert!(matches!(&all[..], [Ok(_), Err(StoreError::Damaged { .. })]), "{case}: {all:?}");
    }
}

#[tokio::test]
async fn a_record_under_the_id_of_another_is_damage() {
    let home = Home::new();
    let store = home.store();
    let one = store.create(&name("one"), draft([1]), IfTaken::Refuse).await.unwrap();
    let two = store.create(&name("two"), draft([2]), IfTaken::Refuse).await.unwrap();
    std::fs::copy(home.record_file(&one), home.record_file(&two)).unwrap();
    let error = store.load(&which("two")).await.unwrap_err();
    assert!(error.to_string().contains(&one.id().short()), "{error}");
}

#[tokio::test]
async fn a_damaged_name_is_told_and_its_record_keeps_it() {
    let home = Home::new();
    let store = home.store();
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    store.create(&name("other"), draft([1]), IfTaken::Refuse).await.unwrap();
    let other = std::fs::read(home.name_file("localhost%2fother%3alatest")).unwrap();
    for bytes in [&b""[..], b"\0\0\0\0", b"not an id localhost/app:latest\n", &other, b"\xff\n"] {
        overwrite(&home.name_file("localhost%2fapp%3alatest"), bytes);
        assert!(matches!(store.load(&which("app")).await, Err(StoreError::Damaged { .. })));
        let refused = store.create(&name("app"), draft([2]), IfTaken::Replace).await;
        assert!(matches!(refused, Err(StoreError::Damaged { .. })));
        let updated = store.update(&made.id().into(), add(bytes.len() + 10)).await.unwrap();
        assert_eq!(updated.record.names(), [name("app")]);
    }
}

/// DUR-19.
#[tokio::test]
async fn a_newer_version_is_refused_and_not_touched() {
    let home = Home::new();
    let store = home.store();
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let path = home.record_file(&made);
    for newer in
        ["manifest-record 2 sha256:00\n", "manifest-record 17\nanything", "manifest-record 2 other words\n"]
    {
        overwrite(&path, newer.as_bytes());
        let error = store.load(&which("app")).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::NewerVersion { path: at, known: 1, .. } if *at == path),
            "{error:?}"
        );
        let refused = store.update(&which("app"), add(2)).await;
        assert!(matches!(refused, Err(UpdateError::Store(StoreError::NewerVersion { .. }))));
        assert_eq!(std::fs::read(&path).unwrap(), newer.as_bytes());
    }
    overwrite(&home.root().join("version"), b"manifest-store 2\n");
    let before = files(&home.root().join("records"));
    assert!(matches!(store.load(&which("app")).await, Err(StoreError::NewerVersion { found: 2, .. })));
    assert!(matches!(store.records().await, Err(StoreError::NewerVersion { .. })));
    let refused = store.create(&name("b"), draft([1]), IfTaken::Refuse).await;
    assert!(matches!(refused, Err(StoreError::NewerVersion { .. })));
    assert_eq!(files(&home.root().join("records")), before);
    overwrite(&home.root().join("version"), b"\0\0\0");
    assert!(matches!(store.load(&which("app")).await, Err(StoreError::Damaged { .. })));
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_is_a_link_is_not_followed() {
    let home = Home::new();
    let store = home.store();
    store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let (records, outside) = (home.root().join("records"), home.root().join("outside"));
    std::fs::rename(&records, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &records).unwrap();
    let before = files(&outside);
    assert!(matches!(store.load(&which("app")).await, Err(StoreError::Damaged { .. })));
    let refused = store.create(&name("b"), draft([1]), IfTaken::Refuse).await;
    assert!(matches!(refused, Err(StoreError::Damaged { .. })));
    assert_eq!(files(&outside), before);
}

#[tokio::test]
async fn members_of_a_later_minor_are_kept_when_a_record_is_rewritten() {
    let home = Home::new();
    let store = home.store();
    let mut first = draft([1]);
    first.sources.add(crate::fixture::source("a", crate::fixture::entry(1).digest, &[1]));
    let made = store.create(&name("app"), first, IfTaken::Refuse).await.unwrap();
    let path = home.record_file(&made);
    reseal(&path, |body| {
        body.replacen("{\"id\":", "{\"future\":[{\"by\":\"ci\",\"n\":18446744073709551615}],\"id\":", 1)
            .replacen("{\"folded\":", "{\"mark\":null,\"folded\":", 1)
            .replacen("{\"when\":", "{\"edit\":\"5f\",\"when\":", 1)
            .replacen("{\"from\":", "{\"mirror\":true,\"from\":", 1)
    });
    store.update(&which("app"), add(2)).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    for member in [
        "\"future\":[{\"by\":\"ci\",\"n\":18446744073709551615}]",
        "\"mark\":null",
        "\"edit\":\"5f\"",
        "\"mirror\":true",
    ] {
        assert!(text.contains(member), "{member} is gone: {text}");
    }
}
