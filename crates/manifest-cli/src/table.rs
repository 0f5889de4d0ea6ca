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

/// Text from a document, fit to be shown.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if plays_tricks(c) { '\u{fffd}' } else { c }).collect()
}

/// Whether a character could play tricks with a terminal or with the eye: controls, other lines, and those that turn
/// the direction of writing around.
pub(crate) fn plays_tricks(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_with_text() {
        let rows = [vec!["A".to_owned(), "LONG".to_owned()], vec!["wide one".to_owned(), "é".to_owned()]];
        assert_eq!(table(&rows), "A         LONG\nwide one  é\n");
        assert_eq!(table(&[]), "");
        assert_eq!(clean("a\u{1b}[31m\u{202e}b"), "a\u{fffd}[31m\u{fffd}b");
    }
}
