//! The body of an answer, as it goes over the wire: whole, slow, broken off or without an end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// A connection is to be cut here. hyper closes a connection whose service or body fails.
#[derive(Debug, thiserror::Error)]
#[error("the simulator cuts this connection")]
pub(super) struct Cut;

/// A body.
#[derive(Debug)]
pub(super) enum AnswerBody {
    /// All at once.
    Whole(Bytes),
    /// Byte by byte.
    Slow {
        rest: Bytes,
        pause: Duration,
        sleep: Pin<Box<Sleep>>,
    },
    /// A part, then the connection is cut.
    Short { part: Bytes, flushed: bool },
    /// The same again and again.
    Endless(Bytes),
}

impl AnswerBody {
    /// A byte, a pause, a byte.
    pub(super) fn slow(body: Bytes, pause: Duration) -> Self {
        Self::Slow {
            rest: body,
            pause,
            sleep: Box::pin(tokio::time::sleep(pause)),
        }
    }

    /// Nothing but this part, whatever length was announced.
    pub(super) fn short(part: Bytes) -> Self {
        Self::Short { part, flushed: false }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(rest) => Poll::Ready(next(rest, usize::MAX)),
            Self::Slow { rest, pause, sleep } => {
                ready!(sleep.as_mut().poll(context));
                sleep.set(tokio::time::sleep(*pause));
                Poll::Ready(next(rest, 1))
            }
            Self::Short { part, flushed } => match next(part, usize::MAX) {
                Some(frame) => Poll::Ready(Some(frame)),
                None if *flushed => Poll::Ready(Some(Err(Cut))),
                None => {
                    // hyper writes out what it has when a body is not ready.
                    *flushed = true;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            },
            Self::Endless(again) => Poll::Ready(Some(Ok(Frame::data(again.clone())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(rest) | Self::Slow { rest, .. } if rest.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(rest) | Self::Slow { rest, .. } => SizeHint::with_exact(rest.len() as u64),
            Self::Short { .. } | Self::Endless(_) => SizeHint::default(),
        }
    }
}

fn next(rest: &mut Bytes, most: usize) -> Option<Result<Frame<Bytes>, Cut>> {
    let piece = rest.split_to(rest.len().min(most));
    (!piece.is_empty()).then(|| Ok(Frame::data(piece)))
}
