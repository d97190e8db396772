//! What the tables are called and how they are keyed.

use aws_sdk_dynamodb::{
    Client,
    operation::create_table::CreateTableError,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        TimeToLiveSpecification,
    },
};

use super::{StoreError, failed};

/// The names of a deployment's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNames {
    /// Subscriptions.
    pub hooks: String,
    /// Their history, and the counter of their ids.
    pub hook_state: String,
    /// HookErrors and failed deliveries.
    pub hook_errors: String,
    /// Academies, users and tokens.
    pub identities: String,
    /// Ids of published events.
    pub claims: String,
}

impl TableNames {
    /// The names that the template gives to the tables of the stack with this name.
    #[must_use]
    pub fn of_stack(stack: &str) -> Self {
        Self {
            hooks: format!("{stack}-hooks"),
            hook_state: format!("{stack}-hook-state"),
            hook_errors: format!("{stack}-hook-errors"),
            identities: format!("{stack}-identities"),
            claims: format!("{stack}-claims"),
        }
    }
}

struct Layout<'a> {
    table: &'a str,
    keys: &'static [(&'static str, ScalarAttributeType)],
    expires: bool,
}

/// Creates the tables that are not there yet: for the laptop and for tests. In a deployment the
/// template makes them, with the same keys (a test holds the two together).
pub async fn create_tables(client: &Client, names: &TableNames) -> Result<(), StoreError> {
    use ScalarAttributeType::{N, S};

    let layouts = [
        Layout {
            table: &names.hooks,
            keys: &[("academy", S), ("event_hook", S)],
            expires: false,
        },
        Layout {
            table: &names.hook_state,
            keys: &[("hook_id", N)],
            expires: false,
        },
        Layout {
            table: &names.hook_errors,
            keys: &[("owner", S), ("error", S)],
            expires: true,
        },
        Layout {
            table: &names.identities,
            keys: &[("identity", S)],
            expires: false,
        },
        Layout {
            table: &names.claims,
            keys: &[("publisher", S), ("event_id", S)],
            expires: true,
        },
    ];
    for layout in &layouts {
        create(client, layout).await?;
    }
    Ok(())
}

async fn create(client: &Client, layout: &Layout<'_>) -> Result<(), StoreError> {
    let mut request = client
        .create_table()
        .table_name(layout.table)
        .billing_mode(BillingMode::PayPerRequest);
    for ((name, kind), role) in layout.keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        request = request
            .attribute_definitions(
                AttributeDefinition::builder()
                    .attribute_name(*name)
                    .attribute_type(kind.clone())
                    .build()?,
            )
            .key_schema(
                KeySchemaElement::builder()
                    .attribute_name(*name)
                    .key_type(role)
                    .build()?,
            );
    }
    match request.send().await {
        Err(error)
            if error
                .as_service_error()
                .is_some_and(CreateTableError::is_resource_in_use_exception) =>
        {
            return Ok(());
        }
        result => result.map_err(failed("create a table"))?,
    };
    if layout.expires {
        client
            .update_time_to_live()
            .table_name(layout.table)
            .time_to_live_specification(
                TimeToLiveSpecification::builder()
                    .attribute_name("expires_at")
                    .enabled(true)
                    .build()?,
            )
            .send()
            .await
            .map_err(failed("set a table's time to live"))?;
    }
    Ok(())
}
