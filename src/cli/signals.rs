//! Ctrl-C and SIGTERM: the first asks to leave, the second kills.

use std::io;

use tokio::sync::watch;

use super::error::Exit;

/// Whether the process was asked to leave.
#[derive(Clone)]
pub(super) struct Signals(watch::Receiver<bool>);

impl Signals {
    /// Listens from now on; before, the system's own answer to a signal stands.
    pub(super) fn listen() -> io::Result<Self> {
        let mut source = Source::open()?;
        let (asked, receiver) = watch::channel(false);
        tokio::spawn(async move {
            source.next().await;
            asked.send_replace(true);
            source.next().await;
            std::process::exit(Exit::Interrupted as i32);
        });
        Ok(Self(receiver))
    }

    /// Comes back once the process is asked to leave, at once if it was before.
    pub(super) async fn asked_to_leave(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            // The listening task lives as long as the runtime.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
struct Source {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Source {
    fn open() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Source;

#[cfg(not(unix))]
impl Source {
    const fn open() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
