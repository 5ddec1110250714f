//! A few readers of the log for whoever reads a stretch now and then: opening one anew each time would cost
//! a connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::log::{Log, LogError, Reader};

/// How many stretches are read at once.
const READERS: usize = 8;

/// How long to wait for a reader.
const WAIT: Duration = Duration::from_secs(5);

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadersError {
    /// All readers are at work.
    #[error("too much of the log is being read already; try again")]
    Busy,
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl ReadersError {
    /// Whether trying again may help.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Busy => true,
            Self::Log(error) => error.is_temporary(),
        }
    }
}

/// Readers that are lent out.
pub(super) struct Readers {
    log: Arc<dyn Log>,
    idle: Mutex<Vec<Box<dyn Reader>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(log: Arc<dyn Log>) -> Self {
        Self { log, idle: Mutex::default(), places: Arc::new(Semaphore::new(READERS)) }
    }

    /// Does what blocks with a reader, where it may block.
    pub(super) async fn lend<T, E>(
        self: &Arc<Self>,
        work: impl FnOnce(&dyn Log, &mut dyn Reader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<ReadersError> + Send + 'static,
    {
        let place = tokio::time::timeout(WAIT, self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(ReadersError::Busy.into()) };
        let readers = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            let idle = readers.idle().pop();
            let mut reader = match idle {
                Some(reader) => reader,
                None => readers.log.reader().map_err(ReadersError::Log)?,
            };
            let done = work(readers.log.as_ref(), reader.as_mut());
            if done.is_ok() {
                readers.idle().push(reader);
            }
            done
        });
        done.await.unwrap_or_else(|error| Err(ReadersError::Log(LogError::Fatal(error.to_string())).into()))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Reader>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
