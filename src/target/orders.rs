//! Orders from one session to another: they never make the giver wait, and never pile up.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use iscsi_proto::Reset;
use tokio::sync::mpsc;

/// What another session makes this one do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The same initiator has logged in again.
    Reinstated,
    /// Tasks end.
    Reset(Reset),
}

/// The end that gives.
#[derive(Debug)]
pub(super) struct Commander {
    doorbell: mpsc::Sender<()>,
    waiting: Arc<Mutex<Vec<Order>>>,
}

/// The end that takes.
#[derive(Debug)]
pub(super) struct Orders {
    doorbell: mpsc::Receiver<()>,
    waiting: Arc<Mutex<Vec<Order>>>,
}

/// Both ends, for one session.
pub(super) fn orders() -> (Commander, Orders) {
    let (ring, doorbell) = mpsc::channel(1);
    let waiting = Arc::new(Mutex::default());
    let commander = Commander {
        doorbell: ring,
        waiting: Arc::clone(&waiting),
    };
    (commander, Orders { doorbell, waiting })
}

impl Commander {
    /// Equal orders that wait count once, so there are at most as many as there are logical units, and two more.
    pub(super) fn give(&self, order: Order) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.contains(&order) {
            waiting.push(order);
        }
        drop(waiting);
        // Full: the bell has been rung and not been answered yet.
        let _ = self.doorbell.try_send(());
    }
}

impl Orders {
    /// Ready when orders have come in; [`Orders::take`] gives them.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.doorbell.poll_recv(cx)) {
            Some(()) => Poll::Ready(()),
            // Nobody can reach this session any more.
            None => Poll::Pending,
        }
    }

    pub(super) fn take(&self) -> Vec<Order> {
        std::mem::take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn equal_orders_count_once_and_none_is_lost() {
        let (commander, mut orders) = orders();
        for _ in 0..1000 {
            commander.give(Order::Reset(Reset::Target));
            commander.give(Order::Reinstated);
        }
        poll_fn(|cx| orders.poll(cx)).await;
        assert_eq!(
            orders.take(),
            [Order::Reset(Reset::Target), Order::Reinstated]
        );
        commander.give(Order::Reinstated);
        poll_fn(|cx| orders.poll(cx)).await;
        assert_eq!(orders.take(), [Order::Reinstated]);
    }
}
