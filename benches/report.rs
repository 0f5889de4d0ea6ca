//! The results as Markdown.

use std::fmt;

use crate::figures::{Measure, Span, shown};
use crate::goal::{Goal, judge, spread};
use crate::race::Row;

pub(crate) const HOW_TO_READ: &str = "\
Each figure is the median of the runs that count, with the least and the greatest in brackets where they differ;
one run before them does not count. CPU is user and system time of the client, peak the largest process. Requests
are counted in the access logs of the registries. The programs run in turns, and a ratio is taken within each turn:
`we take` is our wall time as a part of that row's, below 1 when we are quicker.";

/// One race and what we wanted of it.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<Row>,
    pub(crate) goals: Vec<Goal>,
    /// Programs that took no part because they are not here.
    pub(crate) missing: Vec<&'static str>,
    /// Further lines for the table of goals.
    pub(crate) facts: Vec<[String; 4]>,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.title)?;
        let header = ["command", "runs", "wall ms", "CPU ms", "peak MiB", "requests", "we take"];
        let rows = self.rows.iter().filter(|row| row.failed.is_none()).map(|row| self.cells(row));
        table(f, &header, rows.collect())?;
        for row in &self.rows {
            if let Some(failed) = &row.failed {
                writeln!(f, "\n{} failed and was left out: {}", row.name, failed.0)?;
            }
        }
        if !self.missing.is_empty() {
            writeln!(f, "\nNot on the PATH and left out: {}.", self.missing.join(", "))?;
        }
        if self.goals.is_empty() && self.facts.is_empty() {
            return Ok(());
        }
        writeln!(f)?;
        let goals = self.goals.iter().map(|goal| judge(*goal, &self.rows));
        let goals = goals.chain(self.facts.iter().cloned()).map(Vec::from).collect();
        table(f, &["what", "measured", "goal", "verdict"], goals)
    }
}

impl Part {
    fn cells(&self, row: &Row) -> Vec<String> {
        let span = |measure| Span::of_runs(&row.samples, measure);
        let median = |measure| span(measure).map_or_else(String::new, |span| shown(span.median));
        let rival = row.rival.and_then(|name| self.rows.iter().find(|other| other.name == name));
        let part = rival.and_then(|ours| {
            Span::of_pairs(&ours.samples, &row.samples, Measure::Wall, |ours, theirs| ours / theirs)
        });
        vec![
            row.name.to_owned(),
            row.samples.len().to_string(),
            span(Measure::Wall).map_or_else(String::new, spread),
            median(Measure::Cpu),
            median(Measure::Peak),
            span(Measure::Requests).map_or_else(String::new, |span| span.median.to_string()),
            part.map_or_else(String::new, spread),
        ]
    }
}

/// Writes a table whose columns line up in plain text too.
fn table(f: &mut fmt::Formatter<'_>, header: &[&str], rows: Vec<Vec<String>>) -> fmt::Result {
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([header[column].chars().count()]).max().unwrap_or_default()
        })
        .collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, &width)| format!("| {cell:width$} "));
        writeln!(f, "{}|", padded.collect::<String>())
    };
    line(&mut header.iter().copied())?;
    let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
    line(&mut rule.iter().map(String::as_str))?;
    rows.iter().try_for_each(|row| line(&mut row.iter().map(String::as_str)))
}
