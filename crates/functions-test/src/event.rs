//! The events that AWS makes of requests and stream records.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tandem_aws::dynamodb::schema::TABLE;
use tandem_sim::{Answered, Delivery};

/// How API Gateway carries a body to a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// As text.
    Text,
    /// In base64, as it does for types that it doesn't know as text.
    Base64,
}

/// A request, made into an event of an HTTP API (payload version 2.0) under its `$default` stage.
pub fn http(
    method: &str,
    path_and_query: &str,
    headers: &[(String, String)],
    body: &[u8],
    carried: Carried,
) -> Value {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut lower = Map::new();
    for (name, value) in headers {
        // An HTTP API writes names in lower case.
        lower.insert(name.to_lowercase(), json!(value));
    }
    lower.insert("host".into(), json!("id.execute-api.eu-central-1.amazonaws.com"));
    lower.insert("x-forwarded-proto".into(), json!("https"));
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": lower,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "id",
            "domainName": "id.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "id",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "Atlassian Webhook HTTP Client",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "10/Mar/2026:05:16:23 +0000",
            "timeEpoch": 1_773_119_783_220_u64,
        },
        "isBase64Encoded": carried == Carried::Base64,
    });
    if !body.is_empty() {
        event["body"] = match carried {
            Carried::Text => json!(String::from_utf8_lossy(body)),
            Carried::Base64 => json!(STANDARD.encode(body)),
        };
    }
    event
}

/// The same event under a stage that has a name, whose path begins with it.
pub fn under_stage(mut event: Value, stage: &str) -> Value {
    let path = format!("/{stage}{}", event["rawPath"].as_str().unwrap_or_default());
    event["requestContext"]["stage"] = json!(stage);
    event["requestContext"]["http"]["path"] = json!(path);
    event["rawPath"] = json!(path);
    event
}

/// A webhook on its way, made into an event.
pub fn delivery(delivery: &Delivery) -> Value {
    let path = delivery.url.splitn(4, '/').nth(3).unwrap_or_default();
    http(
        delivery.method,
        &format!("/{path}"),
        &delivery.headers,
        &delivery.body,
        Carried::Text,
    )
}

/// A function's answer, as API Gateway sends it back.
pub fn answer(answer: &Value) -> Answered {
    let text = answer["body"].as_str().unwrap_or_default();
    let body = match answer["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(text).unwrap_or_default(),
        _ => text.as_bytes().to_vec(),
    };
    Answered {
        status: answer["statusCode"]
            .as_u64()
            .and_then(|status| u16::try_from(status).ok()),
        body,
    }
}

/// Whether the event source mapping lets a record through: `{"dynamodb": {"NewImage": {"hint_at": {"S":
/// [{"exists": true}]}}}}`.
pub fn wakes(record: &Value) -> bool {
    record["dynamodb"]["NewImage"][TABLE.wake].get("S").is_some()
}

/// A batch of stream records.
pub fn batch(records: &[Value]) -> Value {
    json!({"Records": records})
}
