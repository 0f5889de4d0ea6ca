//! Ctrl-C and requests to end.

use std::future::Future;

use crate::error::{CliError, Signal};

/// The signals that ask a command to end, from when they are first watched for. Where they cannot be watched they end the
/// program as the system does.
pub(crate) struct Interruptions {
    #[cfg(unix)]
    signals: Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>,
}

impl Interruptions {
    /// Watches for them.
    pub(crate) fn watch() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
            Self {
                signals: if let (Ok(interrupt), Ok(terminate)) = signals {
                    Some((interrupt, terminate))
                } else {
                    None
                },
            }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Signal {
        #[cfg(unix)]
        if let Some((interrupt, terminate)) = &mut self.signals {
            return tokio::select! {
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
            };
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_ok() {
            return Signal::Interrupt;
        }
        std::future::pending().await
    }

    /// Does something that simply ends with the first of them.
    pub(crate) async fn end<T>(
        &mut self,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        tokio::select! {
            done = work => done,
            signal = self.next() => Err(CliError::Interrupted(signal)),
        }
    }
}
