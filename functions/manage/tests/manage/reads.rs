//! What a request costs in reads where there is nothing to show: somebody else's id costs what a missing one
//! does, so that no clock tells the two apart.

use axum::http::Method;
use manage::Manage;
use serde_json::json;
use shared::{
    clock,
    deliver::{client::DeliveryClient, guard::AddressGuard},
    store::{Stores, TableNames},
};
use testing::{Api, DOWNTOWN, MIAMI, Spy};

use super::{
    function::{ADDED, CREATED, Function, function, hook},
    http::letter,
};

/// The function on the tables of another, with its requests watched.
async fn watched(function: &Function) -> (Spy, Api) {
    let (spy, aws) = (Spy::default(), &function.world.aws);
    let stores = Stores::new(&spy.dynamodb(aws), &TableNames::of_stack("test"));
    let guard = AddressGuard::new(Vec::new());
    let client = DeliveryClient::new(guard.clone()).unwrap();
    let deliveries = function.world.queue("watched").await;
    let api = Api::new(manage::service(Manage::new(
        stores, guard, client, deliveries,
    )));
    (spy, api)
}

#[tokio::test]
async fn a_foreign_id_costs_the_requests_of_a_missing_and_of_a_deleted_one() {
    let function = function().await;
    let foreign = hook(8, MIAMI, ADDED, None);
    let superadmins = hook(9, testing::ROOT, ADDED, None);
    let deleted = hook(7, DOWNTOWN, CREATED, None);
    let at = clock::now();
    let errors = &function.world.stores.errors;
    errors.record(&letter(&foreign.0, 1, at), at).await.unwrap();
    let hooks = &function.world.stores.hooks;
    function
        .store(&[foreign, superadmins, deleted.clone()])
        .await;
    assert!(hooks.delete(&deleted.0).await.unwrap());

    let (spy, api) = watched(&function).await;
    let body = json!({"event": ADDED, "target": "https://a.com"}).to_string();
    for (method, path, ids) in [
        (Method::GET, "hook/subscribe/{}", ["8", "9", "7", "99"]),
        (Method::PUT, "hook/subscribe/{}", ["8", "9", "7", "99"]),
        (Method::DELETE, "hook/subscribe/{}", ["8", "9", "7", "99"]),
        (
            Method::GET,
            "hook/subscribe/{}/health",
            ["8", "9", "7", "99"],
        ),
        (
            Method::GET,
            "hook/subscribe/{}/secret",
            ["8", "9", "7", "99"],
        ),
        (
            Method::POST,
            "hook/subscribe/{}/secret/rotate",
            ["8", "9", "7", "99"],
        ),
        (Method::GET, "hook/{}/sample", ["8", "9", "7", "99"]),
        (Method::GET, "hook/{}/attempts", ["8", "9", "7", "99"]),
        (Method::POST, "hook/{}/ping", ["8", "9", "7", "99"]),
        (
            Method::POST,
            "hook/{}/redeliver?since=2025-01-01T00:00:00Z",
            ["8", "9", "7", "99"],
        ),
        (
            Method::POST,
            "hook/error/{}/redeliver",
            ["1", "1", "2", "99"],
        ),
        (Method::DELETE, "hook/error/{}", ["1", "1", "2", "99"]),
    ] {
        let mut seen = Vec::new();
        for id in ids {
            spy.forget();
            let path = path.replace("{}", id);
            let answer = api
                .of(DOWNTOWN)
                .call(method.clone(), &path, body.clone())
                .await;
            let text = String::from_utf8_lossy(answer.0.body()).replace(id, "{}");
            seen.push((answer.0.status(), text, spy.operations()));
        }
        assert!(!seen[0].2.is_empty(), "nothing is watched");
        for other in &seen[1..] {
            assert_eq!(*other, seen[0], "{method} {path}");
        }
    }
    assert_eq!(function.ids(MIAMI, "").await, [8]);
}
