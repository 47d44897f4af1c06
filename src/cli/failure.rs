//! Why a command failed: one sentence on standard error.

use std::fmt;

use crate::api::Problem;

/// What failed, why, what to do.
#[derive(Debug)]
pub(super) struct Failure(Problem);

impl Failure {
    /// A sentence in three parts. `advice` may be empty if `why` says what to do.
    pub(super) fn new(
        what: impl Into<String>,
        why: impl fmt::Display,
        advice: impl Into<String>,
    ) -> Self {
        Self(Problem {
            what: what.into().into(),
            why: why.to_string().into(),
            advice: advice.into().into(),
        })
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever a name in it holds.
        let text = self.0.to_string().replace('\n', " ");
        f.write_str(&super::output::visible(&text))
    }
}
