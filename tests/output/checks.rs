//! `docs/checks.md` names tests that there are.

use std::fs;
use std::path::Path;

#[test]
fn every_check_stands_where_the_document_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("docs/checks.md")).unwrap();
    let mut checks = 0;
    for row in text.lines().filter(|line| line.starts_with("| A") || line.starts_with("| DUR")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let (id, place) = (cells[0].trim_start_matches("| "), cells[2]);
        let told = ["not built", "no test yet"].iter().any(|start| place.starts_with(start));
        for path in place.split('`').filter(|part| part.ends_with(".rs")) {
            let file =
                fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{id}: {path}: {error}"));
            let stands = |label: &str| label == id;
            let labels = || file.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            assert!(told || labels().any(stands), "{id} does not stand in {path}");
        }
        assert!(told || place.contains(".rs`"), "{id}: {place}");
        checks += 1;
    }
    assert!(checks > 80, "{checks}");
}
