//! HTTP/2 by hand, for what a library is too polite to send.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// The setting of a stream's window.
const INITIAL_WINDOW_SIZE: u16 = 4;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header that no table has (RFC 7541, 6.2.2).
pub(super) fn header(name: &str, value: &str) -> Vec<u8> {
    let mut header = vec![0];
    for text in [name, value] {
        let len = text.len();
        if len < 127 {
            header.push(u8::try_from(len).unwrap());
        } else {
            // five bits of seven and more to come
            header.push(127);
            let mut rest = len - 127;
            while rest >= 128 {
                header.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            header.push(u8::try_from(rest).unwrap());
        }
        header.extend(text.as_bytes());
    }
    header
}

/// The head of a call.
pub(super) fn head(method: &str) -> Vec<u8> {
    let path = format!("/trailgate.v1.EventService/{method}");
    [
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":authority", "gateway"),
        header(":path", &path),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    ]
    .concat()
}

/// A connection.
pub(super) struct Raw {
    pub(super) read: OwnedReadHalf,
    pub(super) write: OwnedWriteHalf,
    next: u32,
}

impl Raw {
    /// One whose streams may be sent so many bytes.
    pub(super) async fn connect(to: SocketAddr, window: u32) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.into_split();
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut setting = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
        setting.extend(window.to_be_bytes());
        hello.extend(frame(SETTINGS, 0, 0, &setting));
        write.write_all(&hello).await?;
        Ok(Self {
            read,
            write,
            next: 1,
        })
    }

    /// The next stream's number.
    pub(super) fn stream(&mut self) -> u32 {
        let stream = self.next;
        self.next += 2;
        stream
    }

    /// Reads what comes in a task, so that the server may go on writing.
    pub(super) fn drained(self) -> (OwnedWriteHalf, u32, tokio::task::JoinHandle<()>) {
        let Self {
            mut read,
            write,
            next,
        } = self;
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while read.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
        });
        (write, next, task)
    }
}
