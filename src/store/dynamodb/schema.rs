//! The schema of the table.

use super::{
    keys::{BY_PAIR, BY_PENDING, BY_PROVIDER, Index, PENDING_ATTRIBUTES, TABLE},
    retry::unavailable,
};
use aws_sdk_dynamodb::{
    Client,
    error::{BuildError, ProvideErrorMetadata},
    operation::create_table::builders::CreateTableFluentBuilder,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
        ProjectionType, ScalarAttributeType,
    },
};

/// Creates the table in an emulator; in AWS the template does.
///
/// # Errors
/// With the engine's message, for example that the table exists.
pub async fn create_table(client: &Client, table: &str) -> Result<(), String> {
    let request = request(client, table).map_err(|error| error.to_string())?;
    let Err(error) = request.send().await else { return Ok(()) };
    Err(match error.message() {
        Some(message) => message.to_owned(),
        None => format!(
            "{}; check AWS_REGION, the AWS credentials and AWS_ENDPOINT_URL_DYNAMODB",
            unavailable(error)
        ),
    })
}

fn request(client: &Client, table: &str) -> Result<CreateTableFluentBuilder, BuildError> {
    let mut request = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for Index { name, pk, sk } in [TABLE, BY_PENDING, BY_PAIR, BY_PROVIDER] {
        let mut keys = Vec::new();
        for (attribute, kind) in [(pk, KeyType::Hash), (sk, KeyType::Range)] {
            if !attribute.is_empty() {
                let definition = AttributeDefinition::builder().attribute_name(attribute);
                let definition = definition.attribute_type(ScalarAttributeType::S).build()?;
                request = request.attribute_definitions(definition);
                keys.push(KeySchemaElement::builder().attribute_name(attribute).key_type(kind).build()?);
            }
        }
        request = match name {
            None => request.set_key_schema(Some(keys)),
            Some(name) => {
                let index = GlobalSecondaryIndex::builder().index_name(name).set_key_schema(Some(keys));
                request.global_secondary_indexes(index.projection(projection(name)).build()?)
            }
        };
    }
    Ok(request)
}

fn projection(index: &str) -> Projection {
    let projection = Projection::builder();
    if Some(index) == BY_PENDING.name {
        let attributes = PENDING_ATTRIBUTES.map(String::from).into();
        projection.projection_type(ProjectionType::Include).set_non_key_attributes(Some(attributes)).build()
    } else {
        projection.projection_type(ProjectionType::KeysOnly).build()
    }
}
