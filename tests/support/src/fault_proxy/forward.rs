//! Calls that reach the engine, and their cost.

use super::Shared;
use axum::body::Bytes;
use hyper::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::io;

impl Shared {
    /// The engine's response. A call that was begun is applied even if the client disconnects.
    pub(super) async fn forward(
        &self,
        operation: &str,
        headers: &HeaderMap,
        body: &str,
    ) -> io::Result<(StatusCode, Bytes)> {
        let mut body: Value = serde_json::from_str(body)?;
        if operation == "CreateTable" {
            self.state().table = body["TableName"].as_str().expect("a name").to_owned();
        } else {
            body["ReturnConsumedCapacity"] = json!("TOTAL");
        }
        let mut request = self.client.post(&self.engine);
        for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        let call = tokio::spawn(async move {
            let response = request.body(body.to_string()).send().await?;
            Ok::<_, reqwest::Error>((response.status(), response.bytes().await?))
        });
        let (status, body) = call.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        self.add_units(operation, &body);
        Ok((status, body))
    }

    fn add_units(&self, operation: &str, response: &[u8]) {
        let Ok(response) = serde_json::from_slice::<Value>(response) else { return };
        let consumed = &response["ConsumedCapacity"];
        let tables = consumed.as_array().map_or(std::slice::from_ref(consumed), Vec::as_slice);
        let units: f64 = tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum();
        let spent = &mut self.state().spent;
        match operation {
            "GetItem" | "BatchGetItem" | "Query" => spent.read_units += units,
            _ => spent.write_units += units,
        }
    }
}
