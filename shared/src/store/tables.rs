//! What the tables are called and how they are keyed.

use aws_sdk_dynamodb::{
    Client,
    operation::create_table::CreateTableError,
    types::{
        AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType, TimeToLiveSpecification,
    },
};

use super::{StoreError, failed, keys};

/// The names of a deployment's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNames {
    /// Subscriptions.
    pub hooks: String,
    /// Their history, and the counter of their ids.
    pub hook_state: String,
    /// What their deliveries look like.
    pub hook_samples: String,
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
            hook_samples: format!("{stack}-hook-samples"),
            hook_errors: format!("{stack}-hook-errors"),
            identities: format!("{stack}-identities"),
            claims: format!("{stack}-claims"),
        }
    }
}

/// The names and types of a key's attributes: the partition's, then perhaps the sort key's.
type Keys = &'static [(&'static str, ScalarAttributeType)];

struct Layout<'a> {
    table: &'a str,
    keys: Keys,
    /// By name. Each holds the keys of the table's items and nothing else of them.
    indexes: &'static [(&'static str, Keys)],
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
            indexes: &[],
            expires: false,
        },
        Layout {
            table: &names.hook_state,
            keys: &[("hook_id", N)],
            indexes: &[],
            expires: false,
        },
        Layout {
            table: &names.hook_samples,
            keys: &[("hook_id", N)],
            indexes: &[],
            expires: false,
        },
        Layout {
            table: &names.hook_errors,
            keys: &[("owner", S), ("error", S)],
            indexes: &[
                (keys::ERRORS_BY_ID, &[("id", N)]),
                (keys::KEPT_BY_HOOK, &[("hook_id", N), ("failed_ms", N)]),
            ],
            expires: true,
        },
        Layout {
            table: &names.identities,
            keys: &[("identity", S)],
            indexes: &[],
            expires: false,
        },
        Layout {
            table: &names.claims,
            keys: &[("publisher", S), ("event_id", S)],
            indexes: &[],
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
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(schema(layout.keys)?));
    for key in layout.keys {
        request = request.attribute_definitions(definition(key)?);
    }
    for (name, keys) in layout.indexes {
        for key in *keys {
            request = request.attribute_definitions(definition(key)?);
        }
        let index = GlobalSecondaryIndex::builder()
            .index_name(*name)
            .set_key_schema(Some(schema(keys)?))
            .projection(keys_only());
        request = request.global_secondary_indexes(index.build()?);
    }
    match request.send().await {
        Err(error)
            if error
                .as_service_error()
                .is_some_and(CreateTableError::is_resource_in_use_exception) =>
        {
            return add_indexes(client, layout).await;
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

/// Gives a table that is there the indexes that it was made without, by an older release.
async fn add_indexes(client: &Client, layout: &Layout<'_>) -> Result<(), StoreError> {
    if layout.indexes.is_empty() {
        return Ok(());
    }
    let request = client.describe_table().table_name(layout.table);
    let table = request.send().await.map_err(failed("describe a table"))?;
    let present = table
        .table
        .map(|table| table.global_secondary_indexes.unwrap_or_default())
        .unwrap_or_default();
    let missing = layout.indexes.iter().filter(|(name, _)| {
        !present
            .iter()
            .any(|index| index.index_name() == Some(*name))
    });
    for (name, keys) in missing {
        let action = CreateGlobalSecondaryIndexAction::builder()
            .index_name(*name)
            .set_key_schema(Some(schema(keys)?))
            .projection(keys_only())
            .build()?;
        let update = GlobalSecondaryIndexUpdate::builder().create(action).build();
        let mut request = client
            .update_table()
            .table_name(layout.table)
            .global_secondary_index_updates(update);
        for key in layout.keys.iter().chain(*keys) {
            request = request.attribute_definitions(definition(key)?);
        }
        request.send().await.map_err(failed("index a table"))?;
    }
    Ok(())
}

fn schema(keys: Keys) -> Result<Vec<KeySchemaElement>, StoreError> {
    let element = |((name, _), role): (&(&str, _), KeyType)| {
        let element = KeySchemaElement::builder().attribute_name(*name);
        Ok(element.key_type(role).build()?)
    };
    let roles = [KeyType::Hash, KeyType::Range];
    keys.iter().zip(roles).map(element).collect()
}

fn definition(
    (name, kind): &(&str, ScalarAttributeType),
) -> Result<AttributeDefinition, StoreError> {
    let definition = AttributeDefinition::builder().attribute_name(*name);
    Ok(definition.attribute_type(kind.clone()).build()?)
}

fn keys_only() -> Projection {
    Projection::builder()
        .projection_type(ProjectionType::KeysOnly)
        .build()
}
