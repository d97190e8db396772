//! Invocations as the services send them.

use axum::http::Method;
use serde_json::{Value, json};

/// A batch of a queue's messages, as the mapping hands them to a function: their bodies.
pub(crate) fn sqs_event(bodies: impl IntoIterator<Item = String>) -> String {
    let record = |(position, body): (usize, String)| {
        json!({
            "messageId": format!("00000000-0000-4000-8000-{position:012}"),
            "receiptHandle": format!("receipt-{position}"),
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1737387000000",
                "SenderId": "AROAEXAMPLEROLE:academy-hooks",
                "MessageGroupId": "1",
                "ApproximateFirstReceiveTimestamp": "1737387000020",
            },
            "messageAttributes": {},
            "md5OfBody": "b96089f3d1ace999db7a703fee609150",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:academy-hooks-deliveries",
            "awsRegion": "us-east-1",
        })
    };
    let records: Vec<Value> = bodies.into_iter().enumerate().map(record).collect();
    json!({"Records": records}).to_string()
}

/// A request to the API, as its gateway hands it to a function.
pub(crate) fn http_event(method: &Method, path: &str, token: &str, body: Option<String>) -> String {
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "accept": "application/json",
            "authorization": format!("Token {token}"),
            "content-type": "application/json",
            "host": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
            "user-agent": "curl/8.5.0",
            "x-amzn-trace-id": "Root=1-678e6d38-00000000000000005a5a000d",
            "x-forwarded-for": "203.0.113.24",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.24",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "EventFile000013=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "20/Jan/2025:15:30:00 +0000",
            "timeEpoch": 1_737_387_000_000_u64,
        },
        "isBase64Encoded": false,
    });
    if let Some(body) = body {
        event["body"] = body.into();
    }
    event.to_string()
}
