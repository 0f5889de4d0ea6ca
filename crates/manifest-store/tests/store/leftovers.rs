//! What a change that was cut off leaves behind, and what is on disk at all.

use std::convert::Infallible;

use manifest_core::Digest;
use manifest_store::{Force, IfTaken, Record, StoreError};

use crate::fixture::{Home, add, draft, files, name, overwrite, reseal, which};

#[tokio::test]
async fn a_name_whose_record_is_gone_is_free() {
    let home = Home::new();
    let store = home.store();
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    std::fs::remove_file(home.record_file(&made)).unwrap();
    assert!(!store.exists(&which("app")).await.unwrap());
    assert!(matches!(store.untag(&name("app")).await, Err(StoreError::NotFound(_))));
    let new = store.create(&name("app"), draft([2]), IfTaken::Refuse).await.unwrap();
    assert_eq!(store.load(&which("app")).await.unwrap(), new);
}

#[tokio::test]
async fn a_name_that_its_record_does_not_list_is_free() {
    let home = Home::new();
    let store = home.store();
    let one = store.create(&name("one"), draft([1]), IfTaken::Refuse).await.unwrap();
    let two = store.create(&name("two"), draft([2]), IfTaken::Refuse).await.unwrap();
    let leftover = home.name_file("localhost%2fapp%3alatest");
    let line = name_line(&one, "localhost/app:latest");
    overwrite(&leftover, &line);
    assert!(!store.exists(&which("app")).await.unwrap());
    store.tag(&which("two"), &name("app")).await.unwrap();
    assert_eq!(store.load(&which("app")).await.unwrap().id(), two.id());
    store.untag(&name("app")).await.unwrap();

    overwrite(&leftover, &line);
    store.tag(&which("one"), &name("app")).await.unwrap();
    assert_eq!(store.load(&which("app")).await.unwrap().id(), one.id());
}

/// The file of a name that leads to a record.
fn name_line(record: &Record, name: &str) -> Vec<u8> {
    let pair = format!("{} {name}", record.id());
    format!("{pair} {}\n", Digest::sha256(pair.as_bytes())).into_bytes()
}

#[tokio::test]
async fn a_record_does_not_have_a_name_that_leads_elsewhere() {
    let home = Home::new();
    let store = home.store();
    let old = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let kept = std::fs::read(home.record_file(&old)).unwrap();
    let new = store.create(&name("app"), draft([2]), IfTaken::Replace).await.unwrap();
    // As if the last of the three steps had not been made.
    overwrite(&home.record_file(&old), &kept);
    assert!(store.load(&old.id().into()).await.unwrap().names().is_empty());
    assert_eq!(store.load(&which("app")).await.unwrap(), new);
    let removed = store.remove(&old.id().into(), Force::No).await.unwrap();
    assert_eq!((removed.untagged, removed.deleted), (vec![], Some(old.id())));
    assert_eq!(store.load(&which("app")).await.unwrap(), new);
}

#[tokio::test]
async fn temporary_and_foreign_files_are_not_records() {
    let home = Home::new();
    let store = home.store();
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    for file in [format!(".tmp-{}-abc", made.id()), "README".to_owned(), made.id().short()] {
        overwrite(&home.root().join("records").join(file), b"x");
    }
    assert_eq!(store.records().await.unwrap().len(), 1);
    assert_eq!(store.load(&which(&made.id().short())).await.unwrap(), made);
}

#[tokio::test]
async fn directories_that_are_missing_are_made_again() {
    let home = Home::new();
    let store = home.store();
    store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    std::fs::remove_dir_all(home.root().join("locks")).unwrap();
    store.update(&which("app"), add(2)).await.unwrap();
    std::fs::remove_file(home.root().join("version")).unwrap();
    store.create(&name("b"), draft([1]), IfTaken::Refuse).await.unwrap();
    assert_eq!(std::fs::read(home.root().join("version")).unwrap(), b"manifest-store 1\n");
}

#[tokio::test]
async fn reading_creates_nothing_and_writing_leaves_nothing_over() {
    let home = Home::new();
    let store = home.store();
    assert!(!store.exists(&which("app")).await.unwrap());
    assert!(store.records().await.unwrap().is_empty());
    assert!(!home.root().exists());
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    store.update(&which("app"), add(2)).await.unwrap();
    let refused = store.update(&which("app"), |_| Err::<(), _>(())).await;
    assert!(refused.is_err());
    assert_eq!(files(&home.root()), ["locks", "names", "records", "version"]);
    assert_eq!(files(&home.root().join("records")), [made.id().to_string()]);
    assert_eq!(files(&home.root().join("names")), ["localhost%2fapp%3alatest"]);
    let locks = files(&home.root().join("locks"));
    store.remove(&which("app"), Force::No).await.unwrap();
    assert_eq!(files(&home.root().join("locks")), locks, "locks are left to gc");
    assert!(files(&home.root().join("names")).is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_look_inside() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let made = home.store().create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let mode = |path: std::path::PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    let root = home.root();
    for dir in [root.clone(), root.join("records"), root.join("names"), root.join("locks")] {
        assert_eq!(mode(dir.clone()), 0o700, "{dir:?}");
    }
    for file in [home.record_file(&made), root.join("version"), root.join("names/localhost%2fapp%3alatest")] {
        assert_eq!(mode(file.clone()), 0o600, "{file:?}");
    }
    for file in files(&root.join("locks")) {
        assert_eq!(mode(root.join("locks").join(&file)), 0o600, "{file}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn an_edit_of_nothing_writes_nothing() {
    use std::os::unix::fs::MetadataExt as _;
    let home = Home::new();
    let store = home.store();
    let made = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    let key = || {
        let file = home.record_file(&made).metadata().unwrap();
        (file.ino(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec())
    };
    let before = key();
    store.update(&which("app"), |_| Ok::<_, Infallible>(())).await.unwrap();
    store.update(&which("app"), add(1)).await.unwrap();
    store.tag(&which("app"), &name("app")).await.unwrap();
    assert_eq!(key(), before);
    store.update(&which("app"), add(2)).await.unwrap();
    assert_ne!(key(), before);
}

/// DUR-13: as root this file system lets everything pass, so a file stands where the directory should be.
#[tokio::test]
async fn a_store_that_cannot_be_made_is_an_error_that_names_the_path() {
    let home = Home::new();
    std::fs::create_dir_all(home.root().parent().unwrap()).unwrap();
    overwrite(&home.root(), b"a file");
    let error = home.store().create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap_err();
    assert!(matches!(&error, StoreError::Io(..)), "{error:?}");
    assert!(error.to_string().contains("some/where/store"), "{error}");
}

/// A rename that was cut off after its name had moved.
#[tokio::test]
async fn a_name_that_has_moved_away_does_not_come_back() {
    let home = Home::new();
    let store = home.store();
    let app = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    reseal(&home.record_file(&app), |body| {
        let moving = r#""names":["localhost/app:latest","localhost/new:latest"],"moving":{"from":"localhost/app:latest","to":"localhost/new:latest"}"#;
        body.replacen(r#""names":["localhost/app:latest"]"#, moving, 1)
    });
    assert_eq!(store.load(&which("app")).await.unwrap().names(), [name("app")], "it has not moved yet");
    let pair = format!("{} localhost/new:latest", app.id());
    let line = format!("{pair} {}\n", Digest::sha256(pair.as_bytes()));
    overwrite(&home.name_file("localhost%2fnew%3alatest"), line.as_bytes());
    assert_eq!(store.load(&which("new")).await.unwrap().names(), [name("new")]);
    assert!(!store.exists(&which("app")).await.unwrap());
    store.tag(&which("new"), &name("extra")).await.unwrap();
    assert!(!store.exists(&which("app")).await.unwrap(), "the old name is back");
    assert_eq!(store.load(&which("new")).await.unwrap().names(), [name("new"), name("extra")]);
}

#[tokio::test]
async fn a_name_that_has_moved_away_does_not_come_back_with_the_next_rename() {
    let home = Home::new();
    let store = home.store();
    let app = store.create(&name("app"), draft([1]), IfTaken::Refuse).await.unwrap();
    reseal(&home.record_file(&app), |body| {
        let moving = r#""names":["localhost/app:latest","localhost/new:latest"],"moving":{"from":"localhost/app:latest","to":"localhost/new:latest"}"#;
        body.replacen(r#""names":["localhost/app:latest"]"#, moving, 1)
    });
    let pair = format!("{} localhost/new:latest", app.id());
    let line = format!("{pair} {}\n", Digest::sha256(pair.as_bytes()));
    overwrite(&home.name_file("localhost%2fnew%3alatest"), line.as_bytes());
    store.rename(&name("new"), &name("newer")).await.unwrap();
    assert_eq!(store.load(&which("newer")).await.unwrap().names(), [name("newer")]);
    assert!(!store.exists(&which("app")).await.unwrap(), "the old name is back");
}
