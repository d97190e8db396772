//! Requests of this process to its own tables and queues, without a connection in between.
//!
//! They are those that the SDK makes, encoded as for the services, and so are the answers; only the two
//! ends of HTTP and the kernel between them are left out, which would cost more than all the rest. The
//! ports are for other programs.
//!
//! A call gives others their turn before it is answered, as one over a connection would: a task that does
//! nothing but call would otherwise keep its thread to itself.

use aws_smithy_runtime_api::client::{
    http::{
        HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use axum::{
    body::to_bytes,
    http::{Response, StatusCode},
};
use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};
use tokio::task::yield_now;

use crate::sqs::Server;

/// The transport to these tables.
pub(crate) fn tables(database: Database) -> SharedHttpClient {
    http_client_fn(move |_, _| SharedHttpConnector::new(Tables(database.clone())))
}

/// The transport to these queues.
pub(crate) fn queues(server: Server) -> SharedHttpClient {
    http_client_fn(move |_, _| SharedHttpConnector::new(Queues(server.clone())))
}

/// The operation that a request is for, without the service's name.
fn operation(request: &HttpRequest) -> &str {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default()
}

fn body(request: &HttpRequest) -> &[u8] {
    request.body().bytes().unwrap_or_default()
}

fn answer(response: Response<SdkBody>) -> Result<HttpResponse, ConnectorError> {
    HttpResponse::try_from(response).map_err(|error| ConnectorError::user(error.into()))
}

struct Queues(Server);

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queues")
    }
}

impl HttpConnector for Queues {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let server = self.0.clone();
        HttpConnectorFuture::new(async move {
            yield_now().await;
            let response = server.answer(operation(&request), body(&request)).await;
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, usize::MAX)
                .await
                .map_err(|error| ConnectorError::io(error.into()))?;
            answer(Response::from_parts(parts, SdkBody::from(body)))
        })
    }
}

struct Tables(Database);

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tables")
    }
}

impl HttpConnector for Tables {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let tables = self.0.clone();
        HttpConnectorFuture::new(async move {
            yield_now().await;
            let (status, body) = match called(&tables, operation(&request), body(&request)) {
                Ok(body) => (StatusCode::OK, body),
                Err(error) => {
                    let status = StatusCode::from_u16(error.status_code());
                    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                    (status, error.to_json().into_bytes())
                }
            };
            let mut response = Response::new(SdkBody::from(body));
            *response.status_mut() = status;
            answer(response)
        })
    }
}

/// Calls an operation of the tables: one of those that the bundle needs.
fn called(tables: &Database, operation: &str, body: &[u8]) -> Result<Vec<u8>, DynoxideError> {
    match operation {
        "BatchGetItem" => call(body, |request| tables.batch_get_item(request)),
        "CreateTable" => call(body, |request| tables.create_table(request)),
        "DeleteItem" => call(body, |request| tables.delete_item(request)),
        "DeleteTable" => call(body, |request| tables.delete_table(request)),
        "DescribeTable" => call(body, |request| tables.describe_table(request)),
        "DescribeTimeToLive" => call(body, |request| tables.describe_time_to_live(request)),
        "GetItem" => call(body, |request| tables.get_item(request)),
        "PutItem" => call(body, |request| tables.put_item(request)),
        "Query" => call(body, |request| tables.query(request)),
        "Scan" => call(body, |request| tables.scan(request)),
        "TransactWriteItems" => call(body, |request| tables.transact_write_items(request)),
        "UpdateItem" => call(body, |request| tables.update_item(request)),
        "UpdateTable" => call(body, |request| tables.update_table(request)),
        "UpdateTimeToLive" => call(body, |request| tables.update_time_to_live(request)),
        unknown => Err(DynoxideError::ValidationException(format!(
            "{unknown} is not answered in this process: use the port"
        ))),
    }
}

fn call<R: DeserializeOwned, A: Serialize>(
    body: &[u8],
    action: impl FnOnce(R) -> Result<A, DynoxideError>,
) -> Result<Vec<u8>, DynoxideError> {
    let request = serde_json::from_slice(body)
        .map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
    serde_json::to_vec(&action(request)?)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
