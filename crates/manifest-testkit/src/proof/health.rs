//! Whether a store as a whole is in order.

use std::collections::BTreeSet;

use super::facts::listed;
use super::{Subject, Violation, ensure, tree};

/// What the program has to look after a store.
#[derive(Debug)]
pub(super) struct Health {
    fsck: bool,
    gc: bool,
}

impl Health {
    pub(super) fn of(subject: &Subject) -> Self {
        let verbs: BTreeSet<String> = subject.verbs();
        Self { fsck: verbs.contains("fsck"), gc: verbs.contains("gc") }
    }

    /// Nothing is wrong; what nobody needs may lie about.
    pub(super) fn check(&self, subject: &Subject) -> Result<(), Violation> {
        if !self.fsck {
            return Ok(());
        }
        let ran = subject.run(["fsck"]);
        // What belongs to a finding is indented.
        let harmless = |line: &str| line == "clean" || line.starts_with("leftover:") || line.starts_with(' ');
        let well = ran.code == Some(0) && ran.stdout.lines().all(harmless);
        ensure(well, || format!("fsck found damage\n{ran:?}"))
    }

    /// What interrupted commands left, in words.
    pub(super) fn leftovers(&self, subject: &Subject) -> Result<String, Violation> {
        let nameless = listed(subject)?.iter().filter(|line| line.names.is_empty()).count();
        let temporary = subject.directory().map_or(0, |dir| tree::temporary(dir).len());
        Ok(format!("{temporary} temporary files and {nameless} lists without a name left behind"))
    }

    /// Removes what interrupted commands left, and finds nothing of it afterwards.
    pub(super) fn clean(&self, subject: &Subject) -> Result<(), Violation> {
        if !self.gc {
            return Ok(());
        }
        subject.done(["gc", "--grace", "0"])?;
        let left = subject.directory().map(tree::temporary).unwrap_or_default();
        ensure(left.is_empty(), || format!("gc left temporary files: {left:?}"))?;
        if self.fsck {
            let ran = subject.run(["fsck"]);
            ensure(ran.code == Some(0), || format!("fsck is not content after gc\n{ran:?}"))?;
        }
        Ok(())
    }
}
