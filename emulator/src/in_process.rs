//! Requests of this process to its own tables and queues, without a connection in between.
//!
//! They are those that the SDK makes, encoded as for the services, and so are the answers; only the two
//! ends of HTTP and the kernel between them are left out, which would cost more than all the rest. The
//! ports are for other programs.
//!
//! A call gives others their turn before it is answered, as one over a connection would: a task that does
//! nothing but call would otherwise keep its thread to itself.

use std::fmt::{self, Debug, Formatter};

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

use crate::{chain, sqs::Server};

/// What a service answers, unless its answer cannot be read.
type Answer = Result<Response<SdkBody>, ConnectorError>;

/// The transport to these tables.
pub(crate) fn tables(database: Database) -> SharedHttpClient {
    transport(move |request| {
        let database = database.clone();
        async move { Ok(of_tables(&database, &request)) }
    })
}

/// The transport to these queues.
pub(crate) fn queues(server: Server) -> SharedHttpClient {
    transport(move |request| of_queues(server.clone(), request, chain::current()))
}

/// The transport to a service.
fn transport<S, A>(service: S) -> SharedHttpClient
where
    S: Fn(HttpRequest) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let connector = SharedHttpConnector::new(InProcess(service));
    http_client_fn(move |_, _| connector.clone())
}

/// A service that is called as a function.
struct InProcess<S>(S);

impl<S> Debug for InProcess<S> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}

impl<S, A> HttpConnector for InProcess<S>
where
    S: Fn(HttpRequest) -> A + Send + Sync,
    A: Future<Output = Answer> + Send + 'static,
{
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = (self.0)(request);
        HttpConnectorFuture::new(async move {
            yield_now().await;
            HttpResponse::try_from(answer.await?)
                .map_err(|error| ConnectorError::user(error.into()))
        })
    }
}

/// The operation that a request is for, without the service's name.
fn operation(request: &HttpRequest) -> &str {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default()
}

fn body(request: &HttpRequest) -> &[u8] {
    request.body().bytes().unwrap_or_default()
}

async fn of_queues(server: Server, request: HttpRequest, trace: Option<String>) -> Answer {
    let answering = server.answer(operation(&request), trace.as_deref(), body(&request));
    let response = answering.await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX)
        .await
        .map_err(|error| ConnectorError::io(error.into()))?;
    Ok(Response::from_parts(parts, SdkBody::from(body)))
}

fn of_tables(tables: &Database, request: &HttpRequest) -> Response<SdkBody> {
    let (status, body) = match called(tables, operation(request), body(request)) {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => {
            let status = StatusCode::from_u16(error.status_code());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, error.to_json().into_bytes())
        }
    };
    let mut response = Response::new(SdkBody::from(body));
    *response.status_mut() = status;
    response
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
