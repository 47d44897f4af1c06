//! Answers that are a line of JSON for each event, for as long as the work takes.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Client;
use crate::cli::failure::Failure;

/// How long an answer in lines may take: a year. Terabytes take days.
const LONGEST_ANSWER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long the next line of an answer may take. The server tells once a second how far it is.
const LINE_TIME: Duration = Duration::from_secs(60);

/// Bytes in a line of an answer, at most: more than the problems of the largest source.
const MAX_LINE: usize = 64 * 1024 * 1024;

impl Client {
    /// Posts to a resource that answers with a line of JSON for each event, for as long as it takes.
    pub(in crate::cli) async fn post_for_lines<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
        mut take: impl FnMut(T),
    ) -> Result<(), Failure> {
        let mut request = self
            .http
            .post(format!("{}{path}", self.base))
            .timeout(LONGEST_ANSWER);
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut answer = self.ask(request).await?;
        let status = answer.status();
        if !status.is_success() {
            let body = answer.bytes().await;
            return Err(self.refusal(status, &body.map_err(|error| self.unreachable(&error))?));
        }
        let (mut begun, mut searched) = (Vec::new(), 0);
        loop {
            let chunk = tokio::time::timeout(LINE_TIME, answer.chunk())
                .await
                .map_err(|silence| self.unreachable(&silence))?
                .map_err(|error| self.unreachable(&error))?;
            let Some(chunk) = chunk else { return Ok(()) };
            begun.extend_from_slice(&chunk);
            while let Some(end) = line_end(&begun, searched) {
                let line: Vec<u8> = begun.drain(..=end).collect();
                take(serde_json::from_slice(&line).map_err(|_| self.strange(status))?);
                searched = 0;
            }
            searched = begun.len();
            if begun.len() > MAX_LINE {
                return Err(self.strange(status));
            }
        }
    }
}

/// Where the first line ends, of which so many bytes were searched before.
fn line_end(text: &[u8], searched: usize) -> Option<usize> {
    let mut rest = text.iter().skip(searched);
    rest.position(|byte| *byte == b'\n').map(|at| searched + at)
}
