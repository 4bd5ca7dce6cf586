//! The guards of all routes of the real server, those that only some servers have among them.

use crate::guards::{HASHED_KEY, KEY, NAMED_KEY};
use sms_proxy::http::{CONSOLE_ROUTES, Guard, Hash, METRICS_ROUTE, ROUTES, Route, SANDBOX_ROUTE};
use tempfile::TempDir;
use test_support::binary::{Binary, Server, read};

fn all_routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(CONSOLE_ROUTES).chain([&SANDBOX_ROUTE, &METRICS_ROUTE])
}

async fn status(server: &Server, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let request = server.request(method, path);
    read(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await.status
}

#[tokio::test]
async fn every_guarded_route_of_the_server_refuses_all_but_right_keys_below_a_base_path_too() {
    let hash = Hash::of(HASHED_KEY).to_string();
    let keys = format!("{KEY},dispatch={NAMED_KEY},night-shift=sha256:{hash}");
    let token = "a-webhook-token-0123456789";
    let folder = TempDir::new().unwrap();
    let settings = [("API_KEYS", &*keys), ("WEBHOOK_TOKEN", token), ("BASE_PATH", "/sms")];
    let server = Binary::serve(folder.path(), &settings).await;
    let (bearer, name, longer) = (format!("Bearer {KEY}"), "x-api-key", format!("{KEY}0"));
    let wrong: &[&[(&str, &str)]] = &[
        &[],
        &[(name, "")],
        &[(name, "wrong-key-0123456789")],
        &[(name, &KEY[..KEY.len() - 1])],
        &[(name, &longer)],
        &[(name, token)],
        &[(name, &hash)],
        &[(name, KEY), (name, KEY)],
        &[(name, KEY), (name, "wrong")],
        &[(name, "wrong"), ("authorization", &bearer)],
    ];
    let right: &[&[(&str, &str)]] =
        &[&[(name, KEY)], &[(name, NAMED_KEY)], &[(name, HASHED_KEY)], &[("authorization", &bearer)]];
    let mut guarded = 0;
    for route in all_routes() {
        let path =
            route.path.replace("{value}", "12062992129").replace("{id}", "x").replace("{file}", "app.js");
        let is_open = route.guard == Guard::Open;
        let methods = if route.method == "GET" { &["GET", "HEAD"][..] } else { &[route.method] };
        for path in [path.clone(), format!("/sms{path}")] {
            for headers in wrong {
                for method in methods {
                    let status = status(&server, method, &path, headers).await;
                    assert_eq!(status, if is_open { 200 } else { 401 }, "{method} {path} {headers:?}");
                }
            }
            for headers in right.iter().filter(|_| route.guard == Guard::ApiKey) {
                assert_ne!(status(&server, route.method, &path, headers).await, 401, "{path} {headers:?}");
            }
        }
        guarded += usize::from(!is_open);
    }
    assert!(guarded > 15, "{guarded}");
    server.stop().await;
}
