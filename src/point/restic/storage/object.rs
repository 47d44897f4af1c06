//! Storage that OpenDAL speaks to: S3 and Azure Blob.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use opendal::services::{Azblob, S3};
use opendal::{Builder, Error, ErrorKind, HttpTransporter, OperationContext, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;

use super::remote::TryFault;
use super::rest::{client, with_cause};
use super::{File, MAX_LISTED, Part};
use crate::point::restic::error::StorageFault;
use crate::point::restic::location::Service;

/// Where buckets are when nobody says so.
const DEFAULT_REGION: &str = "us-east-1";

/// One storage.
pub(super) struct ObjectStore {
    operator: Operator,
}

impl ObjectStore {
    pub(super) fn new(
        service: Service,
        options: &BTreeMap<String, String>,
    ) -> Result<ObjectStore, String> {
        let mut options = options.clone();
        let operator = match service {
            Service::S3 => {
                let region = || {
                    ["AWS_REGION", "AWS_DEFAULT_REGION"]
                        .iter()
                        .find_map(|name| std::env::var(name).ok())
                        .unwrap_or_else(|| DEFAULT_REGION.to_owned())
                };
                options.entry("region".to_owned()).or_insert_with(region);
                operator::<S3>(options)?
            }
            Service::AzureBlob => {
                let account = options.get("account_name").cloned();
                let account = account.or_else(|| std::env::var("AZURE_ACCOUNT_NAME").ok());
                add(&mut options, "account_name", account.as_deref());
                add(
                    &mut options,
                    "account_key",
                    std::env::var("AZURE_ACCOUNT_KEY").ok().as_deref(),
                );
                add(
                    &mut options,
                    "sas_token",
                    std::env::var("AZURE_ACCOUNT_SAS").ok().as_deref(),
                );
                let endpoint =
                    account.map(|account| format!("https://{account}.blob.core.windows.net"));
                add(&mut options, "endpoint", endpoint.as_deref());
                operator::<Azblob>(options)?
            }
        };
        Ok(ObjectStore { operator })
    }

    pub(super) async fn list(&self, folder: &str) -> Result<Vec<String>, TryFault> {
        let path = format!("{folder}/");
        let options = opendal::options::ListOptions::default();
        let mut lister = self
            .operator
            .lister_options(&path, options)
            .await
            .map_err(|error| fault(&error))?;
        let mut names = Vec::new();
        while let Some(entry) = lister.try_next().await.map_err(|error| fault(&error))? {
            names.push(entry.name().to_owned());
            if names.len() > MAX_LISTED {
                break;
            }
        }
        Ok(names)
    }

    pub(super) async fn read(&self, file: File, part: Part) -> Result<Vec<u8>, TryFault> {
        let path = file.to_string();
        let reader = self
            .operator
            .reader(&path)
            .await
            .map_err(|error| fault(&error))?;
        let stream = match part {
            Part::Whole { .. } => reader.into_bytes_stream(..).await,
            Part::Range { offset, length } => {
                let end = offset.saturating_add(length.into());
                reader.into_bytes_stream(offset..end).await
            }
        };
        let mut stream = stream.map_err(|error| fault(&error))?;
        let mut content = Vec::new();
        while let Some(piece) = stream.try_next().await.map_err(|error| broken(&error))? {
            content.extend_from_slice(&piece);
            if content.len() as u64 > part.most() {
                break;
            }
        }
        Ok(content)
    }
}

fn add(options: &mut BTreeMap<String, String>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        options
            .entry(name.to_owned())
            .or_insert_with(|| value.to_owned());
    }
}

fn operator<B: Builder>(options: BTreeMap<String, String>) -> Result<Operator, String> {
    let client = client().build().map_err(|error| error.to_string())?;
    let transport = HttpTransporter::new(ReqwestTransport::new(client));
    let operator = Operator::from_iter::<B>(options).map_err(|error| error.to_string())?;
    Ok(operator.with_context(OperationContext::new().with_http_transport(transport)))
}

fn fault(error: &Error) -> TryFault {
    match error.kind() {
        ErrorKind::NotFound => TryFault::Final(StorageFault::Missing),
        ErrorKind::RangeNotSatisfied => TryFault::Final(StorageFault::Short),
        ErrorKind::PermissionDenied => TryFault::Final(StorageFault::Denied(first_line(error))),
        ErrorKind::ConfigInvalid | ErrorKind::Unsupported => {
            TryFault::Final(StorageFault::Unreachable(first_line(error)))
        }
        _ => TryFault::Passing(first_line(error)),
    }
}

/// Without the context, which may hold a signed URL.
fn first_line(error: &Error) -> String {
    with_cause(error.message(), error)
}

/// A stream reports through `std::io`.
fn broken(error: &std::io::Error) -> TryFault {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(error) => fault(error),
        None => TryFault::Passing(error.kind().to_string()),
    }
}
