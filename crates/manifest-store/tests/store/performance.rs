//! What an edit of a large list costs.

use manifest_core::OnConflict;
use manifest_store::IfTaken;

use crate::fixture::{Home, draft, entry, name, source, which};

/// The time is told rather than judged: it depends on the machine and the build.
#[tokio::test]
async fn an_add_to_ten_thousand_entries_keeps_the_record_small() {
    let home = Home::new();
    let store = home.store();
    let mut large = draft(0..10_000);
    for n in 0..10_000 {
        large.sources.add(source("registry.example.com/team/app", entry(n).digest, &[n]));
    }
    store.create(&name("app"), large, IfTaken::Refuse).await.unwrap();
    let mut times = Vec::new();
    let mut record = None;
    for n in 10_000..10_010 {
        let start = std::time::Instant::now();
        let updated = store
            .update(&which("app"), |draft| {
                draft.sources.add(source("registry.example.com/team/app", entry(n).digest, &[n]));
                draft.list.add(entry(n), OnConflict::Refuse)
            })
            .await
            .unwrap();
        times.push(start.elapsed());
        record = Some(updated.record);
    }
    times.sort();
    let record = record.unwrap();
    let document = record.encoded().bytes.len() as u64;
    let size = home.record_file(&record).metadata().unwrap().len();
    #[allow(clippy::print_stderr, reason = "this is what the test is run for")]
    {
        eprintln!("add: median {:?}, document {document}, record {size}", times[5]);
    }
    assert!(size < document * 4, "{size} bytes for a document of {document}");
}
