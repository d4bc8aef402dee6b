//! The thread that answers: connections, and what each of them may cost.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::TcpListener as StdListener,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    thread::JoinHandle,
    time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::{self, Runtime},
    sync::{Notify, Semaphore, mpsc},
    time::{MissedTickBehavior, Sleep, interval, sleep},
};

use super::{Shared, answers::answer, board::MAX_WATCHERS};

/// Connections at once; who comes then is turned away.
const MAX_CONNECTIONS: usize = 4 * MAX_WATCHERS;

/// Bytes of a request's head, at most; also how much of an answer waits inside.
const MAX_HEAD: usize = 16 * 1024;

/// A request has to be here after so long.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// When half of the connections are taken, it has to be here after so long.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// A browser that takes nothing in for so long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(15);

/// Time between two events of the level.
const METER_PERIOD: Duration = Duration::from_millis(200);

/// When the system gives no more connections.
const BREATH: Duration = Duration::from_millis(100);

/// The thread, which ends with this.
pub(super) struct Server {
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(listener: StdListener, shared: Arc<Shared>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let stop = Arc::new(Notify::new());
        let told = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("http".into())
            .spawn(move || serve(&runtime, &listener, &shared, &told))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has said why it ended, if it did.
            let _ = thread.join();
        }
    }
}

fn serve(runtime: &Runtime, listener: &TcpListener, shared: &Arc<Shared>, stop: &Notify) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    runtime.block_on(async {
        let mut meter = interval(METER_PERIOD);
        meter.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.notified() => break,
                _ = meter.tick() => {
                    let (controls, counters) = (&shared.seen.controls, &shared.seen.counters);
                    shared.board.meter(
                        counters.level_dbfs(),
                        controls.hold(),
                        counters.dropped_samples(),
                        counters.load(),
                    );
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
                            let shared = Arc::clone(shared);
                            let patience = if slots.available_permits() > MAX_CONNECTIONS / 2 {
                                HEAD_PATIENCE
                            } else {
                                SHORT_PATIENCE
                            };
                            tokio::spawn(async move {
                                attend(stream, shared, patience).await;
                                drop(slot);
                            });
                        }
                    }
                    // Too many open files: others may end theirs.
                    Err(_) => sleep(BREATH).await,
                },
            }
        }
        shared.board.dismiss();
        // What was said last may still go out.
        sleep(Duration::from_millis(20)).await;
    });
}

/// One request on one connection.
async fn attend(stream: TcpStream, shared: Arc<Shared>, patience: Duration) {
    // Nagle would hold the level back; without this, it is only less smooth.
    let _ = stream.set_nodelay(true);
    let asked = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let answer: Response<Reply> = answer(&shared, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let io = Patient {
        stream,
        stalled: None,
    };
    // One request each: nobody holds a connection for nothing.
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    tokio::select! {
        // Whoever hangs up in the middle knows it.
        _ = &mut connection => return,
        () = sleep(patience) => {}
    }
    if asked.load(Ordering::Relaxed) {
        let _ = connection.await;
    }
}

/// What is sent back.
pub(super) enum Reply {
    /// Once, and whole.
    Whole(Option<Bytes>),
    /// For as long as both are there.
    Events(mpsc::Receiver<Bytes>),
}

impl From<Bytes> for Reply {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes))
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Self::Whole(bytes) => bytes.take(),
            Self::Events(events) => ready!(events.poll_recv(context)),
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Events(_) => SizeHint::default(),
        }
    }
}

/// A connection on which nobody waits for ever to be read.
struct Patient {
    stream: TcpStream,
    /// Ends when the other side has taken nothing in for too long.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(WRITE_PATIENCE)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Read for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [0_u8; 4_096];
        let room = space.len().min(into.remaining());
        let mut read = ReadBuf::new(&mut space[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
        into.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
