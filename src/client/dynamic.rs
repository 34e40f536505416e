//! Calls of methods that are known by their descriptors alone.

use std::time::Duration;

use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::{Client, Link, MAX_MESSAGE, in_time, within};

impl Client {
    /// The answer of a method that has one, asked for once; `timeout` is the deadline
    /// that the server is told.
    ///
    /// # Errors
    ///
    /// As of [`Client::lookup_page`].
    pub(crate) async fn call(
        &self,
        method: &MethodDescriptor,
        request: DynamicMessage,
        timeout: Duration,
    ) -> Result<DynamicMessage, Status> {
        let mut grpc = self.grpc().await?;
        let answer = grpc.unary(within(timeout, request), path(method)?, Dynamic::of(method));
        answer
            .await
            .map(tonic::Response::into_inner)
            .map_err(|status| in_time(status, timeout))
    }

    /// The answers of a method that streams them, without a deadline.
    ///
    /// # Errors
    ///
    /// The server's status; the stream's are the same.
    pub(crate) async fn call_stream(
        &self,
        method: &MethodDescriptor,
        request: DynamicMessage,
    ) -> Result<Streaming<DynamicMessage>, Status> {
        let mut grpc = self.grpc().await?;
        let request = Request::new(request);
        let answer = grpc.server_streaming(request, path(method)?, Dynamic::of(method));
        answer.await.map(tonic::Response::into_inner)
    }

    async fn grpc(&self) -> Result<Grpc<Link>, Status> {
        let mut grpc = Grpc::new(self.link.clone()).max_decoding_message_size(MAX_MESSAGE);
        // as generated clients have it
        grpc.ready()
            .await
            .map_err(|error| Status::unknown(format!("service was not ready: {error}")))?;
        Ok(grpc)
    }
}

fn path(method: &MethodDescriptor) -> Result<http::uri::PathAndQuery, Status> {
    let service = method.parent_service();
    let path = format!("/{}/{}", service.full_name(), method.name());
    path.parse()
        .map_err(|_| Status::internal(format!("{path} is no path")))
}

/// Messages as their descriptors have them.
struct Dynamic {
    answer: MessageDescriptor,
}

impl Dynamic {
    fn of(method: &MethodDescriptor) -> Self {
        Self {
            answer: method.output(),
        }
    }
}

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Writer;
    type Decoder = Reader;

    fn encoder(&mut self) -> Writer {
        Writer
    }

    fn decoder(&mut self) -> Reader {
        Reader(self.answer.clone())
    }
}

struct Writer;

impl Encoder for Writer {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(out)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

struct Reader(MessageDescriptor);

impl Decoder for Reader {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        DynamicMessage::decode(self.0.clone(), from)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
