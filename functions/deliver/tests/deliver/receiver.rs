//! Endpoints: those that answer as HTTP servers do, and those that do not.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

/// A server that answers everything with this status.
pub(crate) async fn answering(status: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(matchers::any())
        .respond_with(ResponseTemplate::new(status))
        .mount(&server)
        .await;
    server
}

/// The requests that a server has got.
pub(crate) async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

/// A listener, and its address.
pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// The target that stands for an address.
pub(crate) fn url(addr: SocketAddr) -> String {
    format!("http://{addr}/hook")
}

/// Reads one request to its end: the payload's last byte is a brace.
pub(crate) async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let read = stream.read_buf(&mut request).await.unwrap();
        assert_ne!(read, 0, "the request broke off");
    }
    String::from_utf8(request).unwrap()
}

/// Answers the request of the next connection, and closes that.
pub(crate) async fn answer_next(listener: &TcpListener, status: &str) {
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await;
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// A server that reads one request after the other, writes these bytes and closes the connection.
pub(crate) async fn writing(bytes: &'static str) -> SocketAddr {
    let (listener, addr) = listener().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(bytes.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    addr
}

/// An address where nothing listens.
pub(crate) async fn closed() -> SocketAddr {
    let (listener, addr) = listener().await;
    drop(listener);
    addr
}

/// A server that reads a request and writes without end: this, and then that again and again.
pub(crate) async fn flooding(first: &'static str, then: &'static str) -> SocketAddr {
    let (listener, addr) = listener().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                read_request(&mut stream).await;
                stream.write_all(first.as_bytes()).await.unwrap();
                while stream.write_all(then.repeat(512).as_bytes()).await.is_ok() {}
            });
        }
    });
    addr
}
