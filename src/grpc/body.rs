//! The bodies of requests and answers, as connections pass them on: what they hold
//! is counted, and one that does not come is not waited for.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Frame, SizeHint};
use http_body_util::Either;
use hyper::body::Incoming;
use prost::bytes::Bytes;
use tokio::{
    sync::OwnedSemaphorePermit,
    sync::futures::OwnedNotified,
    time::{Sleep, sleep},
};
use tonic::{Status, body::Body};

use super::{
    held::{Hold, Holder, SMALL, What},
    status::{asked_too_much, not_sent},
};

/// How long the next bytes of a request with one message may take: it is sent at
/// once, and a network that lost a packet has sent it again five times by then.
const SILENCE: Duration = Duration::from_secs(10);
/// Methods whose requests are streams, which take their time, and hold what their
/// own bounds say.
const STREAMED: [&str; 3] = [
    "/trailgate.v1.EventService/IngestEvents",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// What comes over a connection, or from within.
pub(super) type Coming = Either<Incoming, Body>;

/// A request's body.
pub(super) struct Asked<B = Coming> {
    body: B,
    /// Of one message: who holds it.
    holder: Option<Arc<Holder>>,
    read: usize,
    held: Option<Hold>,
    silence: Option<Pin<Box<Sleep>>>,
}

impl<B> Asked<B> {
    pub(super) fn new(path: &str, body: B, holder: &Arc<Holder>) -> Self {
        let is_streamed = STREAMED.contains(&path);
        Self {
            body,
            holder: (!is_streamed).then(|| Arc::clone(holder)),
            read: 0,
            held: None,
            silence: None,
        }
    }
}

impl<B> http_body::Body for Asked<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let Some(holder) = &self.holder else {
            return polled.map_err(|error| Status::from_error(error.into()));
        };
        let Poll::Ready(frame) = polled else {
            let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(SILENCE)));
            ready!(silence.as_mut().poll(context));
            return Poll::Ready(Some(Err(not_sent(SILENCE))));
        };
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok());
        let count = data.and_then(Frame::data_ref).map_or(0, Bytes::len);
        let holder = Arc::clone(holder);
        self.read += count;
        if count > 0 && self.read > SMALL {
            let hold = self.held.get_or_insert_with(|| holder.add(What::Asked, 0));
            if !hold.grow(count) {
                return Poll::Ready(Some(Err(asked_too_much())));
            }
        }
        self.silence = None;
        Poll::Ready(frame.map(|frame| frame.map_err(|error| Status::from_error(error.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a call has until its answer is gone.
pub(super) type Held = (Option<Hold>, Option<OwnedSemaphorePermit>);

/// An answer's body.
pub(super) struct Answered {
    body: Body,
    holder: Arc<Holder>,
    /// It may be large: it waits for room.
    is_large: bool,
    room: Option<Pin<Box<OwnedNotified>>>,
    /// That the call is under way, and is a watch.
    _held: Held,
}

impl Answered {
    /// `is_large`: it may be more than a few bytes.
    pub(super) fn new(body: Body, holder: Arc<Holder>, is_large: bool, held: Held) -> Self {
        Self {
            body,
            holder,
            is_large,
            room: None,
            _held: held,
        }
    }

    /// Waits until there is room.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.is_large && !self.holder.may_answer() {
            let freed = || {
                let mut freed = Box::pin(self.holder.freed().notified_owned());
                freed.as_mut().enable();
                freed
            };
            // what is freed from here on is told
            let Some(room) = &mut self.room else {
                self.room = Some(freed());
                continue;
            };
            ready!(room.as_mut().poll(context));
            self.room = None;
        }
        self.room = None;
        Poll::Ready(())
    }
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        ready!(self.poll_room(context));
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let holder = &self.holder;
        Poll::Ready(frame.map(|frame| frame.map(|it| it.map_data(|data| holder.answer(data)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt, StreamExt, stream};
    use http_body_util::{BodyExt, Full, StreamBody};
    use tonic::Code;

    use super::*;
    use crate::grpc::held::Rooms;

    const LOOKUP: &str = "/trailgate.v1.EventService/LookupEvents";

    fn holder() -> Arc<Holder> {
        Arc::new(Rooms::default()).holder([192, 0, 2, 1].into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_does_not_come_is_not_waited_for() {
        let holder = holder();
        let slow = || {
            let pieces = stream::iter(0..4).then(|_| async {
                sleep(SILENCE / 2).await;
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x")))
            });
            let never = stream::once(std::future::pending());
            StreamBody::new(Box::pin(pieces.chain(never)))
        };
        let ended = Asked::new(LOOKUP, slow(), &holder).collect().await;
        let status = ended.map(|_| ()).unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        let mut streamed = Asked::new(STREAMED[0], slow(), &holder);
        for _ in 0..4 {
            streamed.frame().await.unwrap().unwrap();
        }
        let hour = Duration::from_secs(3600);
        let more = tokio::time::timeout(hour, streamed.frame()).await;
        assert!(more.is_err(), "it may take its time");
    }

    #[tokio::test]
    async fn requests_hold_what_there_is_room_for() {
        let holder = holder();
        let mut held = Vec::new();
        let status = loop {
            let body = Full::new(Bytes::from(vec![0; 1 << 20]));
            let mut asked = Asked::new(LOOKUP, body, &holder);
            match asked.frame().await.unwrap() {
                Ok(_) => held.push(asked),
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(held.len(), 16, "a quarter of 64 MiB");
        // those who ask for little are asked on
        let mut small = Asked::new(LOOKUP, Full::new(Bytes::from(vec![0; SMALL])), &holder);
        small.frame().await.unwrap().unwrap();
        held.pop();
        let body = Full::new(Bytes::from(vec![0; 1 << 20]));
        let mut asked = Asked::new(LOOKUP, body, &holder);
        asked.frame().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn answers_wait_for_room_and_small_ones_do_not() {
        let holder = holder();
        let of = |len: usize, is_large| {
            let body = Body::new(Full::new(Bytes::from(vec![0; len])));
            Answered::new(body, Arc::clone(&holder), is_large, (None, None))
        };
        let mut first = of(64 << 20, true);
        let taken = first.frame().await.unwrap().unwrap();
        let mut second = of(SMALL, true);
        let mut waits = std::pin::pin!(second.frame());
        assert!(waits.as_mut().now_or_never().is_none());
        assert!(of(1, false).frame().now_or_never().is_some());
        drop(taken);
        assert!(waits.now_or_never().is_some());
    }
}
