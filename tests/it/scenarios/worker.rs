//! A second process of Tandem that can be stopped in its tracks.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use tokio::task::JoinHandle;

/// A run beside the script. While it is frozen, as a function between two calls or a virtual machine that is moved
/// are, it does nothing at all, and then goes on as if no time had passed.
pub(super) struct Worker {
    gate: Rc<RefCell<Gate>>,
    run: JoinHandle<()>,
}

#[derive(Default)]
struct Gate {
    closed: bool,
    waiting: Option<Waker>,
}

impl Worker {
    /// Starts it, on the same thread.
    pub(super) fn start(run: impl Future<Output = ()> + 'static) -> Self {
        let gate = Rc::new(RefCell::new(Gate::default()));
        let at = Rc::clone(&gate);
        let run = tokio::task::spawn_local(async move {
            let mut run = pin!(run);
            poll_fn(|context| {
                let mut gate = at.borrow_mut();
                if gate.closed {
                    gate.waiting = Some(context.waker().clone());
                    return Poll::Pending;
                }
                drop(gate);
                run.as_mut().poll(context)
            })
            .await;
        });
        Self { gate, run }
    }

    pub(super) fn freeze(&self) {
        self.gate.borrow_mut().closed = true;
    }

    pub(super) fn thaw(&self) {
        let mut gate = self.gate.borrow_mut();
        gate.closed = false;
        if let Some(waiting) = gate.waiting.take() {
            waiting.wake();
        }
    }

    /// Waits until it is done.
    pub(super) async fn finish(self) {
        self.thaw();
        self.run.await.unwrap();
    }
}
