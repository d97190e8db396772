//! Which connection a request went out on: one that was kept, or one that was opened for it.
//!
//! The HTTP client waits for a kept connection while it opens a new one, and takes the first that is there.
//! So it says nothing that one was opened: the request must have gone out on that one. A connection is
//! known by the addresses of its two ends.

use std::{cell::Cell, net::SocketAddr};

use http::Extensions;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpInfo};
use reqwest::Response;

use super::failure;

/// Our address, and the endpoint's.
type Ends = (SocketAddr, SocketAddr);

tokio::task_local! {
    /// The connection that the sending of this task has opened, if it has.
    static OPENED: Cell<Option<Ends>>;
}

/// Takes note of a connection that has been opened, where somebody is watching: a connection that the
/// client goes on opening when its request has found another is opened in a task of its own.
pub(super) fn noted<C: Connection>(connection: C) -> C {
    let _ = OPENED.try_with(|opened| opened.set(ends_of(&connection.connected())));
    connection
}

/// Sends a request, and says besides whether that was on a connection that was kept. One whose addresses
/// the system does not tell, because it has ended meanwhile, counts as kept.
pub(super) async fn watched<F>(sending: F) -> (F::Output, bool)
where
    F: Future<Output = Result<Response, reqwest::Error>>,
{
    let sending = async {
        let sent = sending.await;
        (sent, OPENED.with(Cell::get))
    };
    let (sent, opened) = OPENED.scope(Cell::new(None), sending).await;
    let is_kept = |used: Option<Ends>| used.is_none() || used != opened;
    let kept = match &sent {
        Ok(response) => is_kept(ends(response.extensions())),
        // Without one the request has not gone out.
        Err(error) => failure::connection(error).is_some_and(|used| is_kept(ends_of(used))),
    };
    (sent, kept)
}

fn ends_of(connection: &Connected) -> Option<Ends> {
    let mut extensions = Extensions::new();
    connection.get_extras(&mut extensions);
    ends(&extensions)
}

fn ends(extensions: &Extensions) -> Option<Ends> {
    let info = extensions.get::<HttpInfo>()?;
    Some((info.local_addr(), info.remote_addr()))
}
