//! A data frame as the body of a response, of any length: it is made page by page, as fast as it is read.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream;
use headwater::gateway::http::header::CONTENT_TYPE;
use headwater::gateway::{Body, IntoResponse, Problem, Response};
use headwater::journal::{FrameFormat, FrameWriter, Limit, Page};

use super::Place;
use crate::journals::Asked;

/// The newest records in this form. What fails later than the first page cuts the body off.
pub async fn of(place: Place, format: FrameFormat, limit: usize, before: Option<i64>) -> Result<Response, Problem> {
    let first = place.read(Asked { limit: Limit::up_to(limit), before, ..Asked::default() }).await?;
    let written = Written::default();
    let writer = format.writer(place.journal.fields(), written.clone());
    let writer = writer.map_err(|error| Problem::unavailable("no_frame", error.to_string()))?;
    let making = Making { place, written, writer, left: limit, page: first };
    let chunks = stream::try_unfold(Some(making), |making| async move {
        match making {
            Some(making) => making.step().await.map(Some),
            None => Ok(None),
        }
    });
    let media_type = [(CONTENT_TYPE, format.media_type())];
    Ok((media_type, Body::from_stream(chunks)).into_response())
}

/// A frame under way.
struct Making {
    place: Place,
    written: Written,
    writer: Box<dyn FrameWriter>,
    /// How many records are still asked for, this page's included.
    left: usize,
    page: Page,
}

impl Making {
    /// Writes one page and reads the next.
    async fn step(mut self) -> io::Result<(Bytes, Option<Self>)> {
        self.writer.write(&self.page.records)?;
        self.left -= self.page.records.len().min(self.left);
        let Some(before) = self.page.next.filter(|_| self.left > 0) else {
            self.writer.finish()?;
            return Ok((self.written.take(), None));
        };
        let asked = Asked { limit: Limit::up_to(self.left), before: Some(before), ..Asked::default() };
        let page = self.place.read(asked).await;
        self.page = page.map_err(|problem| io::Error::other(format!("{problem:?}")))?;
        Ok((self.written.take(), Some(self)))
    }
}

/// What was written and is not sent yet.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
