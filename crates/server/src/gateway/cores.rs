//! The threads that serve clients: one per core, each with a runtime, its clients' connections and a
//! share of every pool of its own, so that a request never crosses from one thread to another.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::JoinSet;

/// How many threads serve clients.
pub fn count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Numbers of threads; no two in a process are the same.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// One serving thread, with the way to give it clients and their places among all.
struct Core<C> {
    clients: UnboundedSender<(C, OwnedSemaphorePermit)>,
    /// Clients that it has.
    open: Arc<AtomicUsize>,
    /// Says how many clients had to be cut off, when the thread is done.
    ended: oneshot::Receiver<usize>,
}

/// All serving threads.
pub(super) struct Cores<C> {
    cores: Vec<Core<C>>,
}

impl<C: Send + 'static> Cores<C> {
    /// Starts `count` threads. Each serves its clients by `serve`, which is called on the thread.
    pub(super) fn start<S, F>(count: usize, drain_timeout: Duration, serve: S) -> io::Result<Self>
    where
        S: Fn(C) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let start = |_| start(drain_timeout, serve.clone());
        Ok(Self { cores: (0..count.max(1)).map(start).collect::<Result<_, _>>()? })
    }

    /// Gives a client to the thread that has the fewest.
    pub(super) fn take(&self, client: C, place: OwnedSemaphorePermit) {
        let idlest = self.cores.iter().min_by_key(|core| core.open.load(Ordering::Relaxed));
        if let Some(core) = idlest {
            core.open.fetch_add(1, Ordering::Relaxed);
            // A thread ends only after its sender was dropped, or by a panic, which drops the client.
            let _ = core.clients.send((client, place));
        }
    }

    /// Takes no more clients, and waits until those that are there have their answers, within the
    /// limit. The number of those that had not.
    pub(super) async fn drain(self) -> usize {
        let mut cut_off = 0;
        let ends: Vec<_> = self.cores.into_iter().map(|core| core.ended).collect();
        for ended in ends {
            cut_off += ended.await.unwrap_or(0);
        }
        cut_off
    }
}

fn start<C, S, F>(drain_timeout: Duration, serve: S) -> io::Result<Core<C>>
where
    C: Send + 'static,
    S: Fn(C) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let (clients, receiver) = unbounded_channel();
    let (end, ended) = oneshot::channel();
    let open = Arc::new(AtomicUsize::new(0));
    let counted = open.clone();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("plinth-{number}")).spawn(move || {
        plinth_wire::pin_thread(number);
        let left = run(&runtime, receiver, &counted, drain_timeout, serve);
        // Whoever waits for this may end the process: first what is still running is ended.
        drop(runtime);
        let _ = end.send(left);
    })?;
    Ok(Core { clients, open, ended })
}

fn run<C, S, F>(
    runtime: &Runtime,
    mut clients: UnboundedReceiver<(C, OwnedSemaphorePermit)>,
    open: &Arc<AtomicUsize>,
    drain_timeout: Duration,
    serve: S,
) -> usize
where
    S: Fn(C) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    runtime.block_on(async {
        let mut connections = JoinSet::new();
        while let Some((client, place)) = clients.recv().await {
            while connections.try_join_next().is_some() {}
            let counted = Counted(open.clone());
            let serving = serve(client);
            connections.spawn(async move {
                serving.await;
                drop((counted, place));
            });
        }
        let drained = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(drain_timeout, drained).await;
        connections.len()
    })
}

/// A client that leaves the count when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::Mutex;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn clients_are_spread_evenly_and_stay_on_their_thread() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let seen = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
        let threads = seen.clone();
        let cores = Cores::start(3, Duration::from_secs(10), move |stream: std::net::TcpStream| {
            let threads = threads.clone();
            async move {
                let stream = TcpStream::from_std(stream).unwrap();
                let name = || std::thread::current().name().unwrap().to_owned();
                let begun = name();
                *threads.lock().unwrap().entry(begun.clone()).or_default() += 1;
                stream.readable().await.unwrap();
                assert_eq!(begun, name());
            }
        })
        .unwrap();
        let places = Arc::new(Semaphore::new(9));
        let mut clients = Vec::new();
        for _ in 0..9 {
            clients.push(TcpStream::connect(listener.local_addr().unwrap()).await);
            let (stream, _) = listener.accept().await.unwrap();
            let place = places.clone().try_acquire_owned().unwrap();
            cores.take(stream.into_std().unwrap(), place);
        }
        drop(clients);
        assert_eq!(cores.drain().await, 0);
        assert_eq!(places.available_permits(), 9);
        let mut counts: Vec<usize> = seen.lock().unwrap().values().copied().collect();
        counts.sort_unstable();
        assert_eq!(counts, [3, 3, 3]);
    }

    #[tokio::test]
    async fn a_client_that_does_not_end_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let serve = |stream: std::net::TcpStream| async move {
            std::future::pending::<()>().await;
            drop(stream);
        };
        let cores = Cores::start(1, Duration::from_millis(50), serve).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let places = Arc::new(Semaphore::new(1));
        cores.take(stream.into_std().unwrap(), places.clone().try_acquire_owned().unwrap());
        assert_eq!(cores.drain().await, 1);
        assert_eq!(places.available_permits(), 1, "its place is free");
    }
}
