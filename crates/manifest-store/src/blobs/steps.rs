//! Work that goes on while its caller waits for something else.

use tokio::task::JoinHandle;

use crate::StoreError;
use crate::store::joined;

/// A thing that one thread at a time works on, where it may block.
///
/// A step that was started is done, also when the caller stops waiting for it; who comes back later finds what it gave.
#[derive(Debug)]
pub(super) struct Steps<T, R> {
    idle: Option<T>,
    running: Option<JoinHandle<(T, R)>>,
}

impl<T: Send + 'static, R: Send + 'static> Steps<T, R> {
    pub(super) const fn new(thing: T) -> Self {
        Self { idle: Some(thing), running: None }
    }

    /// Starts a step, unless one is under way.
    pub(super) fn start(&mut self, step: impl FnOnce(&mut T) -> R + Send + 'static) {
        if let Some(mut thing) = self.idle.take() {
            self.running = Some(tokio::task::spawn_blocking(move || {
                let result = step(&mut thing);
                (thing, result)
            }));
        }
    }

    /// What the step that is under way gave; `None` when there is none.
    pub(super) async fn done(&mut self) -> Result<Option<R>, StoreError> {
        let Some(running) = &mut self.running else { return Ok(None) };
        let joined = joined(running).await;
        self.running = None;
        let (thing, result) = joined?;
        self.idle = Some(thing);
        Ok(Some(result))
    }
}
