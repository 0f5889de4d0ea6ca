//! Blobs: written whole or not at all, read only when they are what their digests say.

use manifest_core::{Algorithm, Digest, MediaType};
use manifest_store::{BlobReader, Store, StoreError};

use crate::collecting::image;
use crate::fixture::{Home, files, overwrite};

pub(crate) async fn what_is_put_is_read_back(store: &Store) {
    let blobs = store.blobs();
    // Of no bytes, of a few, and of more than are sent at once.
    for (size, algorithm) in [(0, Algorithm::Sha256), (5, Algorithm::Sha512), (20 << 20, Algorithm::Sha256)] {
        let content: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
        let digest = algorithm.digest(&content);
        assert_eq!(blobs.has(&digest).await.unwrap(), None);
        assert!(blobs.read(&digest).await.unwrap().is_none());
        assert!(blobs.bytes(&digest, usize::MAX).await.unwrap().is_none());

        let intake = blobs.intake().await.unwrap();
        assert!(!intake.has(&digest, u64::from(size)).await.unwrap());
        let mut writer = intake.writer(&digest, u64::from(size)).await.unwrap();
        for piece in content.chunks(100_000) {
            writer.write(piece.to_vec()).await.unwrap();
        }
        assert_eq!(blobs.has(&digest).await.unwrap(), None, "there before it is finished");
        writer.finish().await.unwrap();
        assert!(intake.has(&digest, u64::from(size)).await.unwrap());
        intake.put(&digest, &content).await.unwrap();
        intake.finish().await.unwrap();

        assert_eq!(blobs.has(&digest).await.unwrap(), Some(u64::from(size)));
        let mut reader = blobs.read(&digest).await.unwrap().unwrap();
        assert_eq!((reader.size(), read(&mut reader).await.unwrap()), (u64::from(size), content.clone()));
        assert_eq!(blobs.bytes(&digest, size as usize).await.unwrap().unwrap(), content);
        if size > 0 {
            let refused = blobs.bytes(&digest, size as usize - 1).await;
            assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
        }
    }
}

pub(crate) async fn what_is_something_else_is_not_kept(store: &Store) {
    let blobs = store.blobs();
    let (digest, intake) = (Digest::sha256(b"right"), blobs.intake().await.unwrap());
    for (content, size, part) in
        [("wrong", 5, "its digest is"), ("righ", 5, "4 bytes instead of 5"), ("right!", 5, "more than 5")]
    {
        let mut writer = intake.writer(&digest, size).await.unwrap();
        let written = writer.write(content.as_bytes()).await;
        let error = match written {
            Ok(()) => writer.finish().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, StoreError::NotThatContent { .. }), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(blobs.has(&digest).await.unwrap(), None, "{content}");
    }
    drop(intake.writer(&digest, 5).await.unwrap());
    intake.put(&digest, b"right").await.unwrap();
    assert_eq!(blobs.bytes(&digest, 5).await.unwrap().as_deref(), Some(&b"right"[..]));
}

pub(crate) async fn entries_that_are_relied_on_are_there_whole(store: &Store) {
    let intake = store.blobs().intake().await.unwrap();
    let image = image(&intake, "amd64", "layer").await;
    intake.rely_on_entries(std::slice::from_ref(&image.entry)).await.unwrap();
    let (mut missing, mut short, mut list) = (image.entry.clone(), image.entry.clone(), image.entry.clone());
    missing.digest = Digest::sha256(b"nothing");
    short.size -= 1;
    list.media_type = MediaType::OCI_INDEX;
    for entry in [missing, short, list] {
        let refused = intake.rely_on_entries(&[image.entry.clone(), entry.clone()]).await;
        let Err(StoreError::Damaged { path, .. }) = refused else { panic!("{refused:?}") };
        assert!(path.ends_with(entry.digest.hex()), "{path:?}");
    }
}

/// All of a blob, as it comes.
async fn read(reader: &mut BlobReader) -> Result<Vec<u8>, StoreError> {
    let mut all = Vec::new();
    while let Some(piece) = reader.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

#[tokio::test]
async fn blobs_lie_as_in_an_image_layout() {
    let home = Home::new();
    let digest = home.blob(b"content").await;
    let path = home.store().blobs().path(&digest).await.unwrap().unwrap();
    assert_eq!(path, home.root().join("blobs/sha256").join(digest.hex()));
    assert_eq!(std::fs::read(path).unwrap(), b"content");
    assert_eq!(files(&home.root().join("blobs/sha256")), [digest.hex()]);
    assert_eq!(home.store().blobs().path(&Digest::sha256(b"x")).await.unwrap(), None);
    assert!(files(&home.root().join("intakes")).is_empty());
}

#[tokio::test]
async fn a_writer_that_is_given_up_leaves_nothing() {
    let home = Home::new();
    let intake = home.store().blobs().intake().await.unwrap();
    let digest = Digest::sha256(b"x");
    let mut writer = intake.writer(&digest, 1 << 20).await.unwrap();
    writer.write(vec![0; 1 << 19]).await.unwrap();
    assert_eq!(files(&home.root().join("blobs/sha256")).len(), 1);
    drop(writer);
    // What is being written goes when that is done.
    for _ in 0..1000 {
        if files(&home.root().join("blobs/sha256")).is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("a temporary file stays");
}

#[tokio::test]
async fn a_blob_that_was_changed_is_there_and_not_whole_until_it_is_put_again() {
    let home = Home::new();
    let digest = home.blob(b"content").await;
    let path = home.store().blobs().path(&digest).await.unwrap().unwrap();
    let intake = home.store().blobs().intake().await.unwrap();
    assert!(intake.has_whole(&digest, 7).await.unwrap());
    overwrite(&path, b"CONTENT");
    assert!(intake.has(&digest, 7).await.unwrap());
    assert!(!intake.has_whole(&digest, 7).await.unwrap());
    intake.put(&digest, b"content").await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), b"content");
    assert!(!intake.has_whole(&Digest::sha256(b"x"), 1).await.unwrap());
}

#[tokio::test]
async fn a_blob_that_was_changed_is_never_served_whole() {
    let home = Home::new();
    let content = vec![7; 600_000];
    let digest = home.blob(&content).await;
    let blobs = home.store().blobs();
    let path = blobs.path(&digest).await.unwrap().unwrap();
    let mut flipped = content.clone();
    flipped[599_999] ^= 1;
    for bad in [&flipped[..], &content[..599_999], b"", &[content.clone(), vec![7]].concat()] {
        overwrite(&path, bad);
        let mut reader = blobs.read(&digest).await.unwrap().unwrap();
        let (mut served, mut error) = (0, None);
        while let Some(piece) = reader.next().await {
            match piece {
                Ok(piece) => served += piece.len(),
                Err(failed) => error = Some(failed),
            }
        }
        let error = error.expect("served");
        assert!(matches!(&error, StoreError::Damaged { path: there, .. } if *there == path), "{error:?}");
        assert!(served < bad.len().max(1), "all of it was served");
        assert!(matches!(blobs.bytes(&digest, 1 << 20).await, Err(StoreError::Damaged { .. })));
    }
}

/// SEC-39.
#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_is_no_blob() {
    use std::os::unix::fs::symlink;
    let home = Home::new();
    let blobs = home.store().blobs();
    let digest = home.blob(b"secret").await;
    let path = blobs.path(&digest).await.unwrap().unwrap();
    let outside = home.root().with_file_name("outside");
    std::fs::rename(&path, &outside).unwrap();
    let planted: [(&str, &dyn Fn()); 4] = [
        ("a link", &|| symlink(&outside, &path).unwrap()),
        ("a directory", &|| std::fs::create_dir(&path).unwrap()),
        ("a pipe", &|| {
            assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        }),
        ("a socket", &|| drop(std::os::unix::net::UnixListener::bind(&path).unwrap())),
    ];
    for (what, plant) in planted {
        // The path of a socket must be short, which that of a test need not be.
        if what == "a socket" && path.as_os_str().len() > 100 {
            continue;
        }
        plant();
        let damaged =
            |error: StoreError| assert!(matches!(error, StoreError::Damaged { .. }), "{what}: {error:?}");
        damaged(blobs.has(&digest).await.unwrap_err());
        damaged(blobs.read(&digest).await.unwrap_err());
        damaged(blobs.path(&digest).await.unwrap_err());
        let intake = blobs.intake().await.unwrap();
        damaged(intake.has(&digest, 6).await.unwrap_err());
        let collected = home.store().collect(crate::collecting::at_once()).await.unwrap();
        assert_eq!(collected.blobs.count, 0, "{what} was removed");
        let report = home.store().check(manifest_store::Repair::No).await.unwrap();
        assert!(report.is_damaged(), "{what}: {report:?}");
        if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir(&path).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
    }
    // Ten billion bytes that take no room.
    let sparse = std::fs::File::create(&path).unwrap();
    sparse.set_len(10_000_000_000).unwrap();
    let refused = blobs.bytes(&digest, 8 << 20).await.unwrap_err();
    assert!(refused.to_string().contains("10000000000 bytes"), "{refused}");
    assert!(!blobs.intake().await.unwrap().has(&digest, 6).await.unwrap());
    assert_eq!(std::fs::read(&outside).unwrap(), b"secret");
}

/// SEC-36, SEC-38.
#[cfg(unix)]
#[tokio::test]
async fn a_directory_of_blobs_that_is_a_link_is_not_followed() {
    let home = Home::new();
    let digest = home.blob(b"content").await;
    let outside = home.root().with_file_name("outside");
    for dir in ["blobs/sha256", "blobs", "intakes"] {
        let dir = home.root().join(dir);
        std::fs::rename(&dir, &outside).unwrap();
        std::os::unix::fs::symlink(&outside, &dir).unwrap();
        let before = files(&outside);
        if !dir.ends_with("intakes") {
            let error = home.store().blobs().has(&digest).await.unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        }
        let intake = match home.store().blobs().intake().await {
            Ok(intake) => intake.put(&digest, b"content").await,
            Err(error) => Err(error),
        };
        assert!(matches!(intake, Err(StoreError::Damaged { .. })), "{intake:?}");
        let collected = home.store().collect(crate::collecting::at_once()).await;
        assert!(matches!(collected, Err(StoreError::Damaged { .. })), "{collected:?}");
        assert_eq!(files(&outside), before);
        std::fs::remove_file(&dir).unwrap();
        std::fs::rename(&outside, &dir).unwrap();
    }
}
