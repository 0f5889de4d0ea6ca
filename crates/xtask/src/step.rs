//! One step after the other, each with its time, up to the first that fails.

use std::fmt;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// One thing that must hold.
pub(crate) struct Step<'a> {
    name: &'static str,
    run: Box<dyn FnOnce() -> Result<(), Failure> + 'a>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(name: &'static str, run: impl FnOnce() -> Result<(), Failure> + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

impl fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Step").field(&self.name).finish()
    }
}

/// Runs the steps in order; stops at the first failure, and ends with one line that sums up.
pub(crate) fn run_all(task: &str, steps: Vec<Step<'_>>) -> Result<(), Failure> {
    let (start, count) = (Instant::now(), steps.len());
    for (index, step) in steps.into_iter().enumerate() {
        println!("==> [{}/{count}] {}", index + 1, step.name);
        let begun = Instant::now();
        let result = (step.run)();
        let time = shown(begun.elapsed());
        if let Err(failure) = result {
            eprintln!("error: {failure}");
            println!("{task}: {} failed after {time}; {index} of {count} steps passed", step.name);
            return Err(Failure::Step(step.name));
        }
        println!("    {} passed in {time}", step.name);
    }
    println!("{task}: {count} steps passed in {}", shown(start.elapsed()));
    Ok(())
}

fn shown(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn nothing_runs_after_the_step_that_failed() {
        let ran = RefCell::new(Vec::new());
        let step = |name, result: Result<(), Failure>| {
            let ran = &ran;
            Step::new(name, move || {
                ran.borrow_mut().push(name);
                result
            })
        };
        let no = Err(Failure::Refused(vec!["no".to_owned()]));
        let steps = vec![step("one", Ok(())), step("two", no), step("three", Ok(()))];
        let failure = run_all("a task", steps).unwrap_err();
        assert_eq!(failure.to_string(), "two failed");
        assert_eq!(*ran.borrow(), ["one", "two"]);
    }

    #[test]
    fn all_steps_run_when_none_fails() {
        let count = RefCell::new(0);
        let steps = ["one", "two"].map(|name| {
            Step::new(name, || {
                *count.borrow_mut() += 1;
                Ok(())
            })
        });
        assert!(run_all("a task", Vec::from(steps)).is_ok());
        assert_eq!(count.into_inner(), 2);
    }
}
