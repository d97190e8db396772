//! The Lambda function `manage`.

use manage::Manage;
use shared::{
    aws, config,
    deliver::guard::AddressGuard,
    store::Stores,
    telemetry::{self, Format},
};

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::init(Format::Json, "info");
    let tables = config::tables(&[
        config::HOOKS_TABLE,
        config::HOOK_STATE_TABLE,
        config::HOOK_ERRORS_TABLE,
        config::IDENTITIES_TABLE,
    ])?;
    let guard = AddressGuard::new(config::allow_targets()?);
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws::sdk_config().await);
    let manage = Manage::new(Stores::new(&dynamodb, &tables), guard);
    lambda_http::run(manage::service(manage)).await
}
