//! What came of the commands of a part.

use std::path::Path;

use super::{Came, Scene};
use crate::Ran;
use crate::proof::facts::{Listed, listed};
use crate::proof::{Proved, Violation, ensure};

/// What came of the commands of a part.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) done: usize,
    pub(super) refused: usize,
}

impl Counts {
    /// Runs a command and judges it.
    pub(super) fn one(
        &mut self,
        scene: &Scene,
        store: &Path,
        words: &[String],
        where_: &str,
    ) -> Result<(), Violation> {
        let subject = scene.at(store);
        let before = listed(&subject)?;
        let ran = subject.run(words);
        self.judged(scene, store, &before, &ran, where_)
    }

    pub(super) fn judged(
        &mut self,
        scene: &Scene,
        store: &Path,
        before: &[Listed],
        ran: &Ran,
        where_: &str,
    ) -> Result<(), Violation> {
        let told = |violation| Violation::new(format!("{where_}: {violation}"));
        match scene.judge(store, before, ran).map_err(told)? {
            Came::Done => self.done += 1,
            Came::Refused => self.refused += 1,
        }
        Ok(())
    }

    pub(super) fn told(&self, what: &str, how: &str) -> Proved {
        ensure(self.refused > 0, || format!("{what} refused nothing"))?;
        Ok(format!("{what}, {how}: {}", self.figures()))
    }

    pub(super) fn figures(&self) -> String {
        let Self { done, refused } = self;
        let all = done + refused;
        format!("{all} changes, {done} done, {refused} refused with exit 12 and the path, 0 lost")
    }
}
