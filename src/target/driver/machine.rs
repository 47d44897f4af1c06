//! The protocol machine of one connection, counted to its end.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use iscsi_proto::Connection;

use crate::metrics::Metrics;

/// A machine whose counts are added up however its connection ends, also if its task is ended to make room for another.
pub(super) struct Machine {
    connection: Connection,
    metrics: Arc<Metrics>,
}

impl Machine {
    pub(super) fn new(connection: Connection, metrics: Arc<Metrics>) -> Self {
        Self {
            connection,
            metrics,
        }
    }

    /// Adds up what was counted since this was last done.
    pub(super) fn fold(&mut self) {
        let metrics = &self.metrics;
        self.connection
            .take_counts(|counted| metrics.counted(counted));
    }
}

impl Deref for Machine {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Machine {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.connection.end_counts();
        self.fold();
    }
}
