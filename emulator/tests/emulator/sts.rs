//! Who a client is told that it is.

use std::net::{IpAddr, Ipv4Addr};

use aws_sdk_sts::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use aws_smithy_http_client::Builder;
use emulator::{LocalAws, Storage};

use crate::{code, local};

fn client(aws: &LocalAws) -> Client {
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .http_client(Builder::new().build_http())
        .endpoint_url(aws.sts_url())
        .build();
    Client::from_conf(config)
}

#[tokio::test]
async fn every_caller_is_the_account_of_the_queues() {
    let aws = local().await;
    let caller = client(&aws).get_caller_identity().send().await.unwrap();
    assert_eq!(caller.account(), Some("000000000000"));
    assert_eq!(caller.arn(), Some("arn:aws:iam::000000000000:root"));
    assert_eq!(caller.user_id(), Some("000000000000"));
}

#[tokio::test]
async fn another_action_is_refused() {
    let aws = local().await;
    let refused = client(&aws).get_session_token().send().await;
    assert_eq!(code(refused), "InvalidAction");
}

// Elsewhere loopback has one address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn all_services_listen_on_the_address_that_is_given() {
    let address = IpAddr::from([127, 0, 0, 2]);
    let aws = LocalAws::start_on(&Storage::Memory, address).await.unwrap();
    for url in [
        aws.dynamodb_url(),
        aws.sqs_url(),
        aws.eventbridge_url(),
        aws.sts_url(),
    ] {
        assert!(url.starts_with("http://127.0.0.2:"), "{url}");
    }
    let caller = client(&aws).get_caller_identity().send().await.unwrap();
    assert_eq!(caller.account(), Some("000000000000"));
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused() {
    // Of a block that is kept for documentation.
    let elsewhere = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
    let refused = LocalAws::start_on(&Storage::Memory, elsewhere).await;
    let error = refused.err().unwrap().to_string();
    assert_eq!(error, "cannot listen on 192.0.2.1");
}
