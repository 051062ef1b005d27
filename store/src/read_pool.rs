//! The one pool of threads that wait for disks, so that nobody else must.

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Reads that may wait for a thread.
pub const READS_WAITING_MAX: usize = 1024;

type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct ReadPool {
    jobs: Mutex<Option<SyncSender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ReadPool {
    pub(crate) fn new(threads: usize) -> Self {
        let (jobs, queue) = sync_channel::<Job>(READS_WAITING_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let thread = |number| {
            let queue = Arc::clone(&queue);
            let builder = std::thread::Builder::new().name(format!("odi-read-{number}"));
            builder.spawn(move || work(&queue)).expect("a thread can be started")
        };
        let threads = (0..threads.max(1)).map(thread).collect();
        Self { jobs: Mutex::new(Some(jobs)), threads: Mutex::new(threads) }
    }

    /// Runs a job on some thread; drops it if too many wait already.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A refused job goes here, and not while the senders are locked: its end may ask for the next read.
        let _refused = jobs.map(|jobs| jobs.try_send(Box::new(job)));
    }

    /// Lets the threads finish their jobs and joins them.
    pub(crate) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The last owner of a store may be a job of this very pool.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a reader thread panicked");
            }
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

impl fmt::Debug for ReadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadPool").finish_non_exhaustive()
    }
}
