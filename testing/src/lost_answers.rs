//! Answers that are lost: the service has done what it was asked for, and its client does not learn that.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
        http_client_fn,
    },
    orchestrator::HttpRequest,
    result::ConnectorError,
};
use emulator::LocalAws;
use shared::{
    aws::Unconnected,
    store::{Stores, TableNames},
};

/// Which answers are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// That to the first try of a call, which is then repeated and meets its own first try.
    First,
    /// Those to so many calls: this one and the next, to each try.
    Calls(usize),
    /// That to each try of the call, and of all that follow.
    Rest,
    /// That to the first try of a call, for which no connection can be opened: the service is not asked either.
    Unconnected,
}

/// Loses answers to its clients.
#[derive(Clone, Debug, Default)]
pub struct LostAnswers(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The operations so far, each with the id that all its tries have.
    calls: Vec<(String, String)>,
    /// The position of the call from which on answers are lost, and which.
    lose: Option<(usize, Lost)>,
}

impl LostAnswers {
    /// Loses answers from the call with this position on, from 0 among those to come; a call and its
    /// repetitions by the SDK are one.
    pub fn lose(&self, position: usize, lost: Lost) {
        *self.0.lock().unwrap() = State {
            calls: Vec::new(),
            lose: Some((position, lost)),
        };
    }

    /// Loses no answer, and forgets the calls so far.
    pub fn lose_none(&self) {
        *self.0.lock().unwrap() = State::default();
    }

    /// The operations that have been called, in order.
    pub fn calls(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state.calls.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Stores whose answers it loses.
    pub fn stores(&self, aws: &LocalAws) -> Stores {
        Stores::new(&self.dynamodb(aws), &TableNames::of_stack("test"))
    }

    /// A client of the tables.
    fn dynamodb(&self, aws: &LocalAws) -> aws_sdk_dynamodb::Client {
        let client = aws.dynamodb();
        let inner = client.config().http_client().unwrap();
        let config = client.config().to_builder();
        aws_sdk_dynamodb::Client::from_conf(config.http_client(self.around(inner)).build())
    }

    /// A client of the queues.
    pub fn sqs(&self, aws: &LocalAws) -> aws_sdk_sqs::Client {
        let client = aws.sqs();
        let inner = client.config().http_client().unwrap();
        let config = client.config().to_builder();
        aws_sdk_sqs::Client::from_conf(config.http_client(self.around(inner)).build())
    }

    fn around(&self, inner: SharedHttpClient) -> SharedHttpClient {
        let lost = self.clone();
        http_client_fn(move |settings, components| {
            SharedHttpConnector::new(Connector {
                inner: inner.http_connector(settings, components),
                lost: lost.clone(),
            })
        })
    }

    /// How the answer to this request is lost, if it is.
    fn takes(&self, request: &HttpRequest) -> Option<Lost> {
        let header = |name| request.headers().get(name).unwrap_or_default();
        let operation = header("x-amz-target").rsplit('.').next();
        let operation = operation.unwrap_or_default().to_owned();
        let id = header("amz-sdk-invocation-id").to_owned();
        let mut state = self.0.lock().unwrap();
        let known = state.calls.iter().position(|(_, known)| *known == id);
        let position = known.unwrap_or_else(|| {
            state.calls.push((operation, id));
            state.calls.len() - 1
        });
        let (lose, lost) = state.lose?;
        let is_taken = match lost {
            Lost::First | Lost::Unconnected => lose == position && known.is_none(),
            Lost::Calls(count) => (lose..lose + count).contains(&position),
            Lost::Rest => lose <= position,
        };
        is_taken.then_some(lost)
    }
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    lost: LostAnswers,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let lost = self.lost.takes(&request);
        if lost == Some(Lost::Unconnected) {
            let refused = Unconnected("nobody listens".into());
            return HttpConnectorFuture::ready(Err(ConnectorError::io(refused.into())));
        }
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            if lost.is_some() {
                return Err(ConnectorError::io("the answer was lost".into()));
            }
            Ok(answer)
        })
    }
}
