//! The template's tables against those that the code makes for itself.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{KeySchemaElement, TableDescription};
use emulator::{LocalAws, Storage};
use shared::store::{TableNames, create_tables};
use yaml_rust2::Yaml;

use super::{TEMPLATE, text};

/// A key's attributes, with their roles and types.
type Keys = Vec<(String, String, String)>;

/// What a table is: its name, its keys, its indexes, what tells when its items end.
type Table = (String, Keys, BTreeMap<String, Keys>, Option<String>);

fn table_of_template(resource: &str) -> Table {
    let table = TEMPLATE.properties(resource);
    let types: BTreeMap<&str, &str> = table["AttributeDefinitions"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|attribute| {
            let (name, kind) = (&attribute["AttributeName"], &attribute["AttributeType"]);
            (text(name), text(kind))
        })
        .collect();
    let keys_of = |described: &Yaml| -> Keys {
        let schema = described["KeySchema"].as_vec().unwrap().iter();
        let keys = schema.map(|key| {
            let name = text(&key["AttributeName"]);
            let kind = types[name].to_owned();
            (name.to_owned(), text(&key["KeyType"]).to_owned(), kind)
        });
        keys.collect()
    };
    let indexes = table["GlobalSecondaryIndexes"]
        .as_vec()
        .into_iter()
        .flatten();
    let indexes = indexes.map(|index| {
        let projected = text(&index["Projection"]["ProjectionType"]);
        assert_eq!(projected, "KEYS_ONLY", "{resource}");
        (text(&index["IndexName"]).to_owned(), keys_of(index))
    });
    let (keys, indexes) = (keys_of(table), indexes.collect::<BTreeMap<_, _>>());
    // DynamoDB takes no definition of an attribute that is no key.
    let used: BTreeSet<&str> = [&keys]
        .into_iter()
        .chain(indexes.values())
        .flatten()
        .map(|(name, ..)| name.as_str())
        .collect();
    assert!(used.into_iter().eq(types.keys().copied()), "{resource}");
    let expiry = &table["TimeToLiveSpecification"];
    let expiry = expiry["Enabled"].as_bool().unwrap_or(false).then(|| {
        let attribute = text(&expiry["AttributeName"]);
        attribute.to_owned()
    });
    let name = text(&table["TableName"]).replace("${AWS::StackName}", "test");
    (name, keys, indexes, expiry)
}

async fn table_of_code(aws: &LocalAws, name: &str) -> Table {
    let client = aws.dynamodb();
    let described = client.describe_table().table_name(name).send().await;
    let table: TableDescription = described.unwrap().table.unwrap();
    let keys_of = |schema: &[KeySchemaElement]| -> Keys {
        let keys = schema.iter().map(|key| {
            let name = key.attribute_name();
            let mut definitions = table.attribute_definitions().iter();
            let definition = definitions.find(|definition| definition.attribute_name() == name);
            (
                name.to_owned(),
                key.key_type().as_str().to_owned(),
                definition.unwrap().attribute_type().as_str().to_owned(),
            )
        });
        keys.collect()
    };
    let indexes = table.global_secondary_indexes().iter();
    let indexes = indexes.map(|index| {
        let name = index.index_name().unwrap();
        (name.to_owned(), keys_of(index.key_schema()))
    });
    let (keys, indexes) = (keys_of(table.key_schema()), indexes.collect());
    let expiry = client.describe_time_to_live().table_name(name).send().await;
    let expiry = expiry.unwrap().time_to_live_description;
    let expiry = expiry.and_then(|expiry| expiry.attribute_name);
    (name.to_owned(), keys, indexes, expiry)
}

#[tokio::test]
async fn the_templates_tables_are_those_of_the_code() {
    let aws = LocalAws::start(&Storage::Memory).await.unwrap();
    let names = TableNames::of_stack("test");
    create_tables(&aws.dynamodb(), &names).await.unwrap();
    // A second time changes nothing.
    create_tables(&aws.dynamodb(), &names).await.unwrap();

    let TableNames {
        hooks,
        hook_state,
        hook_samples,
        hook_errors,
        identities,
        claims,
    } = names;
    let mut of_code = Vec::new();
    let of_them = [
        hooks,
        hook_state,
        hook_samples,
        hook_errors,
        identities,
        claims,
    ];
    for name in of_them {
        of_code.push(table_of_code(&aws, &name).await);
    }
    of_code.sort_unstable();
    let of_template = TEMPLATE.resources("AWS::DynamoDB::Table");
    let mut of_template: Vec<Table> = of_template.into_iter().map(table_of_template).collect();
    of_template.sort_unstable();
    assert_eq!(of_template, of_code);
}
