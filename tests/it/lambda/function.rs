//! The function behind the stand-in for the Runtime API.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::time::Duration;
use test_support::{
    Answer, Backend, Records,
    binary::Binary,
    cloudformation::template,
    events::{Call, Gateway},
    flowroute_standin::FlowrouteStandin,
    runtime_api::RuntimeApi,
};

pub const API_KEY: &str = "an-api-key-of-the-test";
pub const WEBHOOK_TOKEN: &str = "a-token~of_the.test";
/// The variable that tells Lambda from an emulator.
pub const REAL: (&str, &str) = ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");

/// The table and Flowroute that the instances of the function share.
pub struct Cloud {
    pub flowroute: FlowrouteStandin,
    pub records: Records,
    backend: Backend,
}

impl Cloud {
    pub async fn on(backend: Backend) -> Self {
        Self { flowroute: FlowrouteStandin::start().await, records: backend.records().await, backend }
    }

    /// The settings of the function: on DynamoDB as on Lambda, with neither storage nor provider named; on SQLite as in
    /// an emulator.
    pub fn settings(&self) -> Vec<(&str, &str)> {
        let keys = [("API_KEYS", API_KEY), ("WEBHOOK_TOKEN", WEBHOOK_TOKEN)];
        let records = match self.backend {
            Backend::Dynamodb => [&[REAL][..], &self.records.table_settings()].concat(),
            Backend::Sqlite => self.records.settings(),
        };
        self.flowroute.settings(&[&keys[..], &records].concat())
    }

    /// An instance of the function behind this gateway.
    pub async fn instance(&self, gateway: Gateway) -> Function {
        self.instance_with(gateway, &[]).await
    }

    /// An instance without a rate limit, and with an ample limit for each sender.
    pub async fn quick_instance(&self, gateway: Gateway) -> Function {
        let settings = [("FLOWROUTE_MAX_PER_SECOND", "0"), ("SENDER_TEXTS_PER_MINUTE", "1000")];
        self.instance_with(gateway, &settings).await
    }

    /// An instance with further settings.
    pub async fn instance_with(&self, gateway: Gateway, more: &[(&str, &str)]) -> Function {
        let runtime = RuntimeApi::start().await;
        let settings = [&self.settings()[..], more].concat();
        let binary = runtime.function(self.records.folder(), &settings);
        Function { gateway, runtime, binary, on_dynamodb: self.backend == Backend::Dynamodb }
    }
}

/// An instance of the function.
pub struct Function {
    pub gateway: Gateway,
    pub runtime: RuntimeApi,
    pub binary: Binary,
    /// Whether calls that must succeed are repeated when the engine was too slow, as happens on a busy machine.
    pub on_dynamodb: bool,
}

impl Function {
    /// Sends a request through the gateway. The response has the invocation's id.
    pub async fn send(&self, call: &Call<'_>) -> Answer {
        let id = uuid::Uuid::new_v4().to_string();
        let answer = answer(&self.runtime.invoke(&id, &self.gateway.event(call)).await);
        assert_eq!(answer.headers["x-request-id"], id, "{answer:?}");
        answer
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let headers = &[("X-Api-Key", API_KEY), ("Content-Type", "application/json")];
        let headers = &headers[..if body.is_some() { 2 } else { 1 }];
        let body = body.map(|body| body.to_string());
        self.send(&Call { method, path, headers, body, ..Call::default() }).await
    }

    pub async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let mut tries = 1;
        let mut answer = self.call(method, path, body.clone()).await;
        while self.was_too_slow(&answer, tries).await {
            tries += 1;
            answer = self.call(method, path, body.clone()).await;
        }
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer.json()
    }

    /// Whether the store was too slow, and the call should be repeated. Waits a moment then.
    async fn was_too_slow(&self, answer: &Answer, tries: u32) -> bool {
        let slow = answer.status == 503 && self.on_dynamodb && tries < 50;
        if slow {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        slow
    }

    /// The stored messages of a session.
    pub async fn messages(&self, session: &str) -> Vec<Value> {
        let headers = &[("X-Api-Key", API_KEY)];
        let query = &[("session_id", session)];
        let call = Call { method: "GET", path: "/message", query, headers, body: None };
        let mut tries = 1;
        let mut answer = self.send(&call).await;
        while self.was_too_slow(&answer, tries).await {
            tries += 1;
            answer = self.send(&call).await;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["messages"].as_array().unwrap().clone()
    }

    /// Posts to the webhook, as Flowroute does.
    pub async fn post(&self, payload: &Value) -> Answer {
        let headers = &[("Content-Type", "application/vnd.api+json")];
        let query = &[("token", WEBHOOK_TOKEN)];
        let body = Some(payload.to_string());
        self.send(&Call { method: "POST", path: "/", query, headers, body }).await
    }

    /// Posts a text, which must be accepted.
    pub async fn deliver(&self, text: &Value) {
        let mut tries = 1;
        let mut answer = self.post(text).await;
        while self.was_too_slow(&answer, tries).await {
            tries += 1;
            answer = self.post(text).await;
        }
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{answer:?}");
    }

    /// Invokes the function with the schedule's input. Returns what the round did.
    pub async fn maintain(&self) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        let returned = self.runtime.invoke(&id, &maintenance()).await;
        let round = returned["message"].as_str().unwrap_or_else(|| panic!("no round: {returned}"));
        assert!(round.contains("sessions expired"), "{round}");
        round.to_owned()
    }
}

/// The input of the schedule in the template, which starts maintenance.
pub fn maintenance() -> Value {
    let input = &template("template.yaml")["Resources"]["Maintenance"]["Properties"]["Target"]["Input"];
    serde_json::from_str(input.as_str().unwrap()).unwrap()
}

/// The HTTP response that API Gateway makes of a function's output.
pub fn answer(returned: &Value) -> Answer {
    assert_ne!(returned["isBase64Encoded"], true, "{returned}");
    let mut headers = HeaderMap::new();
    for part in ["headers", "multiValueHeaders"] {
        for (name, value) in returned[part].as_object().into_iter().flatten() {
            let value = value.as_str().or_else(|| value[0].as_str()).unwrap();
            let name: HeaderName = name.parse().unwrap();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
    }
    let status = u16::try_from(returned["statusCode"].as_u64().expect("a status")).unwrap();
    Answer { status, headers, body: returned["body"].as_str().unwrap_or_default().to_owned() }
}
