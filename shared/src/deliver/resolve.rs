//! Resolving names: with the operating system's resolver, and within bounds.
//!
//! The system's resolver blocks its thread until a name server has answered, or until it has asked
//! a silent one often enough, which takes half a minute and cannot be cut short. So each lookup has a
//! thread of its own, and a name has one lookup at a time: whoever asks for it meanwhile shares the
//! answer. However many deliveries there are to names whose servers are silent, each such name holds one
//! thread, and no other name waits for it until 768 of them are silent at once. Tokio's
//! blocking threads are left to others: they are fewer, and files and tables need them.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, ToSocketAddrs},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::sync::{Semaphore, oneshot};

/// How many lookups run at once. A thread that waits costs some 30 KiB; Lambda has at most 1,024 of
/// them in an environment.
const MOST_LOOKUPS: usize = 768;

/// The stack of a lookup's thread, in bytes: several times what the C library's resolver needs.
const STACK_BYTES: usize = 256 * 1024;

/// Why a name leads nowhere.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LookupError {
    /// It leads to an address that is not public. For the operator's log, never for the hook's owner.
    #[error("the name resolves to {0}, which is not public")]
    LeadsInside(IpAddr),
    /// There is the name, and no address of it.
    #[error("the name has no address")]
    NoAddress,
    /// Nobody has answered in time.
    #[error("the name was not resolved in time")]
    Unanswered,
    /// The resolver says why.
    #[error(transparent)]
    Resolver(Arc<io::Error>),
}

impl From<io::Error> for LookupError {
    fn from(error: io::Error) -> Self {
        Self::Resolver(Arc::new(error))
    }
}

/// The addresses of a name, or why there are none.
pub type Found = Result<Vec<IpAddr>, LookupError>;

/// Tells the addresses of names.
pub trait Resolve: Send + Sync {
    /// Looks a name up. There is no limit of time: whoever waits sets one.
    fn resolve(&self, name: &str) -> BoxFuture<'static, Found>;
}

/// Looks a name up, and blocks until it knows.
type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The operating system's resolver. Clones share their lookups.
#[derive(Clone)]
pub struct SystemResolver(Arc<Lookups>);

/// The answer of a lookup, for all who wait for it.
type Answer = Shared<BoxFuture<'static, Found>>;

struct Lookups {
    lookup: Box<Lookup>,
    /// The names that are being looked up, with the answers to come.
    under_way: Mutex<HashMap<String, Answer>>,
    threads: Arc<Semaphore>,
}

impl SystemResolver {
    /// A resolver that asks this function, which may block, in the place of the system.
    #[must_use]
    pub fn asking(
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Lookups {
            lookup: Box::new(lookup),
            under_way: Mutex::default(),
            threads: Arc::new(Semaphore::new(MOST_LOOKUPS)),
        }))
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::asking(|name| {
            let found = (name, 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str) -> BoxFuture<'static, Found> {
        Arc::clone(&self.0).find(name).boxed()
    }
}

impl Lookups {
    fn under_way(&self) -> MutexGuard<'_, HashMap<String, Answer>> {
        // Whoever panicked has left it as it was.
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of the lookup that is under way, or of one that begins now.
    fn find(self: Arc<Self>, name: &str) -> Answer {
        let mut under_way = self.under_way();
        if let Some(answer) = under_way.get(name) {
            return answer.clone();
        }
        let (tell, answer) = oneshot::channel();
        // A lookup that could not begin, or panicked, tells nobody.
        let answer = answer.map(|found| found.unwrap_or(Err(LookupError::Unanswered)));
        let answer = answer.boxed().shared();
        under_way.insert(name.to_owned(), answer.clone());
        drop(under_way);
        let lookup = UnderWay {
            lookups: self,
            name: name.to_owned(),
        };
        tokio::spawn(lookup.begin(tell));
        answer
    }
}

/// A lookup that others can share until this is dropped.
struct UnderWay {
    lookups: Arc<Lookups>,
    name: String,
}

impl UnderWay {
    /// Begins as soon as there may be one more thread. It goes on when nobody waits for it any more:
    /// nothing can stop the thread.
    async fn begin(self, tell: oneshot::Sender<Found>) {
        let permit = Arc::clone(&self.lookups.threads).acquire_owned().await;
        let thread = thread::Builder::new()
            .name("lookup".to_owned())
            .stack_size(STACK_BYTES);
        let begun = thread.spawn(move || {
            let found = (self.lookups.lookup)(&self.name).map_err(LookupError::from);
            // First: whoever asks from now on gets a new answer.
            drop(self);
            drop(permit);
            // Nobody may be waiting any more.
            let _ = tell.send(found);
        });
        if let Err(error) = begun {
            tracing::error!(%error, "a lookup could not begin");
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.lookups.under_way().remove(&self.name);
    }
}
