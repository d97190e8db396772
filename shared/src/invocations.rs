//! The invocations of a function.

use std::task::{Context, Poll};

use lambda_runtime::{Error, LambdaInvocation, Runtime, tower::Service};
use tracing::{Instrument, info_span, instrument::Instrumented};

/// Works invocations for as long as Lambda sends some.
///
/// What is logged meanwhile stands in a span with the request's id, and no more than that: the log is paid for
/// by its length, and with `SystemLogLevel=INFO` Lambda's own lines have the rest beside the same id.
pub async fn run<S>(runtime: Runtime<S>) -> Result<(), Error>
where
    S: Service<LambdaInvocation, Response = (), Error = Error>,
{
    runtime.layer(tower::layer::layer_fn(InSpan)).run().await
}

struct InSpan<S>(S);

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for InSpan<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let span = info_span!("invocation", requestId = invocation.context.request_id);
        let answer = span.in_scope(|| self.0.call(invocation));
        answer.instrument(span)
    }
}
