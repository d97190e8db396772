//! A stream that its writers neither wait for nor fail at: a terminal that is held, a pipe whose reader has ended
//! or does not read.

use std::{
    fmt,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// How many lines may wait to be taken.
const WAITING: usize = 4096;

/// A stream with a thread of its own that writes what others hand over, each time a line or more. What the stream
/// does not take is lost, and counted: the next line that it does take stands below the number.
#[derive(Clone, Debug)]
pub struct Lossy {
    entries: SyncSender<Entry>,
    lost: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Entry {
    Text(Vec<u8>),
    /// So many have been lost here.
    Lost(usize),
    /// Dropped when all that came before it has been written.
    Flush(#[expect(dead_code, reason = "its drop tells")] SyncSender<()>),
}

impl Lossy {
    /// Starts to write to a stream. An error means that there can be no thread.
    pub fn new(stream: impl Write + Send + 'static) -> io::Result<Self> {
        let (entries, received) = sync_channel(WAITING);
        thread::Builder::new()
            .name("lossy".to_owned())
            .spawn(move || write_all(stream, &received))?;
        Ok(Self {
            entries,
            lost: Arc::default(),
        })
    }

    /// Writes a line.
    pub fn line(&self, line: impl fmt::Display) {
        self.put(format!("{line}\n").into_bytes());
    }

    /// Waits until what has been handed over is written, for no longer than this.
    pub fn flush(&self, patience: Duration) {
        let (written, is_written) = sync_channel(0);
        // Where there is no room for this nothing is taken at present.
        if self.entries.try_send(Entry::Flush(written)).is_ok() {
            // An error is what is waited for, or the end of the patience.
            let _ = is_written.recv_timeout(patience);
        }
    }

    fn put(&self, text: Vec<u8>) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let told = lost == 0 || self.try_put(Entry::Lost(lost));
        if !told {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        if !told || !self.try_put(Entry::Text(text)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn try_put(&self, entry: Entry) -> bool {
        match self.entries.try_send(entry) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

fn write_all(mut stream: impl Write, received: &Receiver<Entry>) {
    for entry in received {
        // A stream that is broken takes nothing any more: that is no reason to end anything.
        let _ = match entry {
            Entry::Text(text) => stream.write_all(&text).and_then(|()| stream.flush()),
            Entry::Lost(lines) => {
                writeln!(stream, "… {lines} lines are missing: they were not taken …")
            }
            Entry::Flush(_) => Ok(()),
        };
    }
}

impl Write for &Lossy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lossy {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc::channel};

    use super::*;

    /// How long a test waits for what has to come.
    const PATIENCE: Duration = Duration::from_mins(1);

    /// A stream that takes nothing until it is told to, and then all.
    struct Held {
        began: SyncSender<()>,
        released: Receiver<()>,
        taken: Arc<Mutex<String>>,
    }

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.began.try_send(());
            // An error says that it has been released for good.
            let _ = self.released.recv();
            let text = std::str::from_utf8(bytes).unwrap();
            self.taken.lock().unwrap().push_str(text);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stream_that_takes_nothing_costs_lines_and_no_time() {
        let (began, has_begun) = sync_channel(1);
        let (release, released) = channel();
        let taken = Arc::<Mutex<String>>::default();
        let held = Held {
            began,
            released,
            taken: taken.clone(),
        };
        let lossy = Lossy::new(held).unwrap();
        lossy.line(0);
        has_begun.recv_timeout(PATIENCE).unwrap();
        // The first is in the stream's hands, and the last ones find no room.
        for number in 1..=WAITING + 10 {
            lossy.line(number);
        }
        lossy.flush(PATIENCE);
        drop(release);
        while taken.lock().unwrap().lines().count() <= WAITING {
            thread::yield_now();
        }
        lossy.line("after");
        lossy.flush(PATIENCE);
        let taken = taken.lock().unwrap();
        let lines: Vec<&str> = taken.lines().collect();
        let numbers: Vec<String> = (0..=WAITING).map(|number| number.to_string()).collect();
        assert_eq!(lines[..numbers.len()], numbers);
        let rest = ["… 10 lines are missing: they were not taken …", "after"];
        assert_eq!(lines[numbers.len()..], rest);
    }

    #[test]
    fn a_stream_that_is_broken_fails_nobody() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lossy = Lossy::new(Broken).unwrap();
        for _ in 0..3 {
            (&lossy).write_all(b"x\n").unwrap();
            lossy.flush(PATIENCE);
        }
    }
}
