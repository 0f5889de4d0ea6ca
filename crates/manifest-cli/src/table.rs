//! Tables for people.

/// Writes rows as columns that are as wide as they need be; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell: &String| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Text from a document, fit to be shown: control characters could play tricks with a terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_with_text() {
        let rows = [vec!["A".to_owned(), "LONG".to_owned()], vec!["wide one".to_owned(), "é".to_owned()]];
        assert_eq!(table(&rows), "A         LONG\nwide one  é\n");
        assert_eq!(table(&[]), "");
        assert_eq!(clean("a\u{1b}[31m"), "a\u{fffd}[31m");
    }
}
