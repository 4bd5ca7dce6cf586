//! The template agrees with the program: rights, settings, routes, the table, alarms.

mod alarms;
mod settings;

use serde_json::{Value, json};
use sms_proxy::{
    http::{CONSOLE_ROUTES, ROUTES, Route},
    limits,
    service::Options,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use test_support::{cloudformation::template, dynamodb};

/// Calls of the operator's commands, with rights of their own: `create-table`, `export` and `import`.
const OPERATORS: [&str; 2] = ["src/store/dynamodb/schema.rs", "src/store/dynamodb/snapshot.rs"];

/// The calls of the SDK, as the source has them, and the right that each needs.
const CALLS: [(&str, &str); 24] = [
    (".batch_execute_statement()", "dynamodb:PartiQL"),
    (".batch_get_item()", "dynamodb:BatchGetItem"),
    (".batch_get_secret_value()", "secretsmanager:BatchGetSecretValue"),
    (".batch_write_item()", "dynamodb:BatchWriteItem"),
    (".create_table()", "dynamodb:CreateTable"),
    (".delete_item()", "dynamodb:DeleteItem"),
    (".describe_table()", "dynamodb:DescribeTable"),
    (".describe_time_to_live()", "dynamodb:DescribeTimeToLive"),
    (".execute_statement()", "dynamodb:PartiQL"),
    (".execute_transaction()", "dynamodb:PartiQL"),
    (".get_item()", "dynamodb:GetItem"),
    (".get_secret_value()", "secretsmanager:GetSecretValue"),
    (".list_tables()", "dynamodb:ListTables"),
    (".put_item()", "dynamodb:PutItem"),
    (".query()", "dynamodb:Query"),
    (".scan()", "dynamodb:Scan"),
    (".transact_get_items()", "dynamodb:GetItem"),
    (".update_item()", "dynamodb:UpdateItem"),
    (".update_table()", "dynamodb:UpdateTable"),
    (".update_time_to_live()", "dynamodb:UpdateTimeToLive"),
    // A transaction needs the rights of its parts.
    ("ConditionCheck::builder()", "dynamodb:ConditionCheckItem"),
    ("Delete::builder()", "dynamodb:DeleteItem"),
    ("Put::builder()", "dynamodb:PutItem"),
    ("Update::builder()", "dynamodb:UpdateItem"),
];

fn resource(name: &str) -> Value {
    let resource = template("template.yaml")["Resources"][name].take();
    assert!(resource.is_object(), "there is no resource {name}");
    resource
}

fn properties(name: &str) -> Value {
    resource(name)["Properties"].take()
}

/// The source files and their text.
fn sources() -> Vec<(String, String)> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    below(&root.join("src"), &mut found);
    let name = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn called_actions() -> BTreeSet<String> {
    let used = sources()
        .into_iter()
        .filter(|(name, text)| text.contains("aws_sdk_") && !OPERATORS.contains(&name.as_str()));
    let code: String = used.map(|(_, text)| text.split_whitespace().collect::<String>()).collect();
    let called = CALLS.iter().filter(|(call, _)| code.contains(call));
    called.map(|(_, action)| (*action).to_owned()).collect()
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        other => panic!("{other} is neither a string nor a list of strings"),
    }
}

/// The rights of a role: `(action, resource)`.
fn rights(role: &str) -> BTreeSet<(String, String)> {
    let role = properties(role);
    assert_eq!(role["ManagedPolicyArns"], Value::Null, "a managed policy may more than the program needs");
    let policies = role["Policies"].as_array().unwrap().iter();
    let statements = policies.flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap());
    let mut rights = BTreeSet::new();
    for statement in statements {
        assert_eq!(statement["Effect"], "Allow");
        assert!(statement.get("NotAction").is_none() && statement.get("NotResource").is_none());
        let resources = match &statement["Resource"] {
            Value::Array(resources) => resources.clone(),
            one => vec![one.clone()],
        };
        for action in strings(&statement["Action"]) {
            rights.extend(resources.iter().map(|resource| (action.clone(), resource.to_string())));
        }
    }
    rights
}

#[test]
fn the_function_may_do_what_the_program_does_and_nothing_else() {
    let table = json!({"Fn::GetAtt": "Table.Arn"}).to_string();
    let secret = json!({"Ref": "SecretArn"}).to_string();
    let log = json!({"Fn::GetAtt": "FunctionLog.Arn"}).to_string();
    let mut needed = BTreeSet::new();
    for action in called_actions() {
        let on = if action.starts_with("dynamodb:") { &table } else { &secret };
        needed.insert((action, on.clone()));
    }
    for index in properties("Table")["GlobalSecondaryIndexes"].as_array().unwrap() {
        let index = format!("${{Table.Arn}}/index/{}", index["IndexName"].as_str().unwrap());
        needed.insert(("dynamodb:Query".into(), json!({"Fn::Sub": index}).to_string()));
    }
    // The runtime writes the log.
    needed.insert(("logs:CreateLogStream".into(), log.clone()));
    needed.insert(("logs:PutLogEvents".into(), log));
    assert_eq!(rights("FunctionRole"), needed);
    assert_eq!(properties("Function")["Role"], json!({"Fn::GetAtt": "FunctionRole.Arn"}));
    assert_eq!(properties("Function")["Policies"], Value::Null);
}

#[test]
fn the_schedule_may_start_the_function_and_nothing_else() {
    let function = json!({"Fn::GetAtt": "Function.Arn"});
    let needed = ("lambda:InvokeFunction".to_owned(), function.to_string());
    assert_eq!(rights("MaintenanceRole"), BTreeSet::from([needed]));
    let schedule = properties("Maintenance");
    assert_eq!(schedule["ScheduleExpression"], "rate(1 minute)");
    assert_eq!(schedule["Target"]["Arn"], function);
    assert_eq!(schedule["Target"]["RoleArn"], json!({"Fn::GetAtt": "MaintenanceRole.Arn"}));
}

#[test]
fn the_function_has_more_time_than_the_program_takes() {
    let Options { send_budget, .. } = Options::default();
    let besides_sending = Duration::from_secs(4);
    let timeout = Duration::from_secs(properties("Function")["Timeout"].as_u64().unwrap());
    assert!(
        timeout > limits::MAINTENANCE_ROUND + send_budget + besides_sending - Duration::from_secs(1),
        "{timeout:?}"
    );
    let integrations = properties("HttpApi")["DefinitionBody"]["components"].take();
    let gateway = &integrations["x-amazon-apigateway-integrations"]["function"]["timeoutInMillis"];
    assert!(Duration::from_millis(gateway.as_u64().unwrap()) > send_budget + besides_sending, "{gateway}");
}

/// The routes that the service has in Lambda, with a console.
fn routes_in_lambda() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(CONSOLE_ROUTES)
}

#[test]
fn the_gateway_knows_the_routers_paths_and_leaves_the_methods_to_it() {
    let paths = properties("HttpApi")["DefinitionBody"]["paths"].take();
    let paths = paths.as_object().unwrap();
    let named: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    assert_eq!(named, routes_in_lambda().map(|route| route.path).collect());
    for (path, methods) in paths {
        let mut named = methods.as_object().unwrap().keys().filter(|key| *key != "parameters");
        assert_eq!(named.next().map(String::as_str), Some("x-amazon-apigateway-any-method"), "{path}");
        assert_eq!(named.next(), None, "{path}");
        let integration =
            &methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]["$ref"];
        assert_eq!(*integration, "#/components/x-amazon-apigateway-integrations/function", "{path}");
    }
    assert_eq!(properties("HttpApi")["CorsConfiguration"], Value::Null);
}

#[test]
fn every_route_is_throttled_and_the_webhook_far_above_what_flowroute_posts() {
    let api = properties("HttpApi");
    assert_eq!(api["DefaultRouteSettings"], Value::Null, "it would throttle texts as much as calls");
    let throttled = api["RouteSettings"].as_object().unwrap();
    let routes: BTreeSet<&str> = throttled.keys().map(String::as_str).collect();
    let expected: BTreeSet<String> = routes_in_lambda().map(|route| format!("ANY {}", route.path)).collect();
    assert_eq!(routes, expected.iter().map(String::as_str).collect());
    for (route, limits) in throttled {
        for limit in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
            match route.as_str() {
                "ANY /" => assert_eq!(limits[limit], json!({"Ref": "WebhookPerSecond"})),
                _ => assert!(limits[limit].as_u64().is_some_and(|limit| limit > 0), "{route}: {limits}"),
            }
        }
    }
    let webhook = template("template.yaml")["Parameters"]["WebhookPerSecond"].take();
    assert_eq!((&webhook["Default"], &webhook["MinValue"]), (&json!(500), &json!(100)));
}

#[test]
fn the_access_log_has_no_path_no_query_and_no_address() {
    let format = properties("HttpApi")["AccessLogSettings"]["Format"].take();
    let fields: BTreeMap<String, String> = serde_json::from_str(format.as_str().unwrap()).unwrap();
    let harmless = ["requestId", "routeKey", "status", "responseLatency", "integrationLatency"];
    for (name, value) in fields {
        let variable = value.strip_prefix("$context.").unwrap_or_else(|| panic!("{name}: {value}"));
        assert!(harmless.contains(&variable) || variable == "error.responseType", "{name}: {value}");
    }
}

#[test]
fn the_access_log_has_at_most_80_bytes_for_a_relayed_text() {
    let mut line = properties("HttpApi")["AccessLogSettings"]["Format"].as_str().unwrap().to_owned();
    for (variable, value) in [
        ("$context.requestId", "JKJaXmPLvHcESHA="),
        ("$context.routeKey", "ANY /"),
        ("$context.status", "200"),
        ("$context.error.responseType", "-"),
    ] {
        line = line.replace(variable, value);
    }
    assert!(line.len() <= 80 && !line.contains('$'), "{line}");
}

/// Lambda lets a line of the program pass if it is JSON and of this level, or has no level. The program has a level of its
/// own, so Lambda must let every line pass.
#[test]
fn lambda_writes_each_line_of_the_program_and_of_its_own_only_warnings() {
    assert_eq!(
        properties("Function")["LoggingConfig"],
        json!({
            "LogFormat": "JSON",
            "ApplicationLogLevel": "TRACE",
            "SystemLogLevel": "WARN",
            "LogGroup": {"Ref": "FunctionLog"},
        })
    );
}

/// The compared parts of a table's description, sorted.
fn shape(description: &Value) -> Value {
    let sorted = |list: &Value, by: &str| {
        let mut list = list.as_array().cloned().unwrap_or_default();
        list.sort_by_key(|item| item[by].to_string());
        json!(list)
    };
    let indexes = sorted(&description["GlobalSecondaryIndexes"], "IndexName");
    let indexes = indexes.as_array().unwrap().iter().map(|index| {
        let mut attributes: Vec<_> =
            index["Projection"]["NonKeyAttributes"].as_array().cloned().unwrap_or_default();
        attributes.sort_by_key(Value::to_string);
        json!([index["IndexName"], index["KeySchema"], index["Projection"]["ProjectionType"], attributes])
    });
    json!({
        "attributes": sorted(&description["AttributeDefinitions"], "AttributeName"),
        "keys": description["KeySchema"],
        "indexes": indexes.collect::<Vec<_>>(),
    })
}

#[tokio::test]
async fn the_table_is_the_one_that_create_table_makes() {
    let engine = dynamodb::engine_url();
    let table = dynamodb::Table::create(&engine).await;
    let describe = reqwest::Client::new()
        .post(&engine)
        .header("x-amz-target", "DynamoDB_20120810.DescribeTable")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-date", "20260310T000000Z")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=test/20260310/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
        .body(json!({"TableName": table.name}).to_string());
    let answer = describe.send().await.unwrap().text().await.unwrap();
    let made: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(shape(&properties("Table")), shape(&made["Table"]), "{answer}");
}

#[test]
fn the_table_is_on_demand_retained_and_expires_by_the_programs_attribute() {
    let (table, Value::Object(whole)) = (properties("Table"), resource("Table")) else { panic!("no table") };
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(
        (&whole["DeletionPolicy"], &whole["UpdateReplacePolicy"]),
        (&json!("Retain"), &json!("Retain"))
    );
    assert_eq!(table["DeletionProtectionEnabled"], true);
    assert_eq!(table["PointInTimeRecoverySpecification"], json!({"PointInTimeRecoveryEnabled": true}));
    assert_eq!(table["SSESpecification"], json!({"SSEEnabled": true}));
    let ttl = &table["TimeToLiveSpecification"];
    assert_eq!(ttl["Enabled"], true);
    let written = format!("with(\"{}\", self.ttl(", ttl["AttributeName"].as_str().unwrap());
    assert!(sources().iter().any(|(_, text)| text.contains(&written)), "the program does not write {ttl}");
}
