//! Stands between a function and a service, passes everything on, and counts what would be charged for:
//! DynamoDB says itself how many units a request consumes, which the proxy has it say; SQS charges for
//! each 64 KiB that a request sends or gets.

use std::time::Duration;

use anyhow::{Context, Result};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Response, StatusCode, header},
};
use reqwest::Client;
use serde_json::Value;
use tokio::net::TcpListener;

use super::traffic::{Charged, Traffic};

/// What SQS charges a request for.
const CHUNK_BYTES: usize = 64 * 1024;

/// Starts a proxy before a service, each answer of which takes so much longer; its URL.
pub(crate) async fn proxy(service: &str, traffic: &Traffic, delay: Duration) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (service, traffic) = (service.to_owned(), traffic.clone());
    let client = Client::builder().no_proxy().build()?;
    let router = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
        let (service, client, traffic) = (service.clone(), client.clone(), traffic.clone());
        async move {
            let under_way = traffic.begin();
            let passed = pass(&client, &service, headers, body, &traffic).await;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            drop(under_way);
            passed.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

async fn pass(
    client: &Client,
    service: &str,
    mut headers: HeaderMap,
    body: Bytes,
    traffic: &Traffic,
) -> Result<Response<Body>> {
    let target = headers.get("x-amz-target").context("no operation")?;
    let target = target.to_str()?.to_owned();
    let (of, operation) = target.rsplit_once('.').context("no operation")?;
    let mut request: Value = serde_json::from_slice(&body)?;
    let is_table = of.starts_with("DynamoDB");
    if is_table {
        request["ReturnConsumedCapacity"] = "TOTAL".into();
    }
    for name in [header::HOST, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    let sent = client.post(service).headers(headers);
    let answer = sent.body(serde_json::to_vec(&request)?).send().await?;
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await?;
    traffic.charge(|charged| {
        charged.request(operation);
        let answer = serde_json::from_slice(&body).unwrap_or_default();
        if is_table {
            charge_table(charged, operation, &answer);
        } else {
            charged.queue_units += queue_units(&request, &answer);
        }
    });
    for name in [header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Adds what an answer says that its request has consumed: on one table, or on several. A condition that
/// does not hold is charged as a write of one unit, which its answer does not say.
fn charge_table(charged: &mut Charged, operation: &str, answer: &Value) {
    let consumed = &answer["ConsumedCapacity"];
    let units = |table: &Value| table["CapacityUnits"].as_f64().unwrap_or(0.0);
    let tables = consumed.as_array().map(|tables| tables.iter().map(units));
    let units = tables.map_or_else(|| units(consumed), Iterator::sum);
    if ["GetItem", "BatchGetItem", "Query", "Scan"].contains(&operation) {
        charged.read_units += units;
    } else {
        charged.write_units += if units > 0.0 { units } else { 1.0 };
    }
}

/// The requests that one counts as, by the messages in it or in its answer.
pub(crate) fn queue_units(request: &Value, answer: &Value) -> f64 {
    let body = |message: &Value| {
        let bodies = ["MessageBody", "Body"].map(|name| message[name].as_str());
        bodies.into_iter().flatten().map(str::len).sum::<usize>()
    };
    let of = |list: &Value| {
        list.as_array()
            .into_iter()
            .flatten()
            .map(body)
            .sum::<usize>()
    };
    let bytes = of(&request["Entries"]) + of(&answer["Messages"]) + body(request);
    crate::figures::number(bytes.div_ceil(CHUNK_BYTES).max(1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_to_a_queue_is_charged_by_its_messages() {
        let of = |bytes: usize| json!({"MessageBody": "x".repeat(bytes)});
        let units = |request: &Value, answer: &Value| {
            let units = queue_units(request, answer);
            format!("{units}")
        };
        assert_eq!(units(&json!({}), &json!({})), "1");
        assert_eq!(units(&of(CHUNK_BYTES), &json!({})), "1");
        let entries = json!({"Entries": [of(CHUNK_BYTES), of(1)]});
        assert_eq!(units(&entries, &json!({})), "2");
        let messages = json!({"Messages": [{"Body": "x".repeat(3 * CHUNK_BYTES)}]});
        assert_eq!(units(&json!({}), &messages), "3");
    }

    #[test]
    fn a_table_says_what_a_request_has_consumed() {
        let mut charged = Charged::default();
        let one = json!({"ConsumedCapacity": {"TableName": "a", "CapacityUnits": 0.5}});
        charge_table(&mut charged, "Query", &one);
        let many = json!({"ConsumedCapacity": [{"CapacityUnits": 1.0}, {"CapacityUnits": 2.0}]});
        charge_table(&mut charged, "BatchGetItem", &many);
        charge_table(&mut charged, "PutItem", &many);
        charge_table(
            &mut charged,
            "UpdateItem",
            &json!({"__type": "a condition"}),
        );
        let units = [charged.read_units, charged.write_units].map(|units| format!("{units}"));
        assert_eq!(units, ["3.5", "4"]);
    }
}
