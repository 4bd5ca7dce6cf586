//! The console: how its page and the files that it loads are served, and what is in them. What it does in a browser is
//! tested in `tests/console`.

use axum::{body::Body, http::Request};
use sms_proxy::{
    http::{Auth, Parts, router},
    runtime::lambda,
};
use std::{collections::BTreeSet, fs, path::Path};
use tempfile::TempDir;
use test_support::{
    Answer, App,
    binary::Binary,
    events::{Call, GATEWAYS},
    parts, unpaced,
};

/// The names and texts of the files in `src/http/console/`, without the icon.
fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/console");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = entries.filter(|path| path.extension().is_some_and(|extension| extension != "png"));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files: Vec<_> = texts.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect();
    assert!(files.len() > 5, "{}", files.len());
    files
}

/// The quoted words after this one, such as the values of an attribute.
fn quoted_after<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
    text.split(before).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect()
}

async fn get(app: &App, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request =
        headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    app.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn the_page_and_all_that_it_loads_are_served_without_a_key_as_what_they_are() {
    let auth = Auth { api_keys: vec!["an-api-key-0123456789".into()], ..Auth::default() };
    let app = App::with(unpaced(), auth);
    let page = get(&app, "/console", &[]).await;
    assert_eq!(
        (page.status, &page.headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    let mut loaded: BTreeSet<String> = BTreeSet::new();
    for attribute in [" src=\"", "<link rel=\"icon\" href=\"", "<link rel=\"stylesheet\" href=\""] {
        loaded.extend(quoted_after(&page.body, attribute).into_iter().map(str::to_owned));
    }
    for (_, text) in files().iter().filter(|(name, _)| name.ends_with(".js")) {
        loaded.extend(quoted_after(text, " from \"./").into_iter().map(|name| format!("console/{name}")));
    }
    let there: BTreeSet<String> = files().into_iter().map(|(name, _)| format!("console/{name}")).collect();
    let expected =
        there.into_iter().filter(|name| name != "console/index.html").chain(["console/icon.png".into()]);
    assert_eq!(loaded, expected.collect());
    for path in loaded {
        let file = app.call("HEAD", &format!("/{path}"), None).await;
        let media_type = match path.rsplit_once('.').unwrap().1 {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            _ => "image/png",
        };
        assert_eq!(
            (file.status, file.headers["content-type"].to_str().unwrap()),
            (200, media_type),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_browser_may_load_and_call_this_service_only_and_asks_for_new_files_each_time() {
    let app = App::new();
    for path in ["/console", "/console/app.js", "/console/style.css", "/console/icon.png"] {
        let headers = app.call("HEAD", path, None).await.headers;
        let policy = headers["content-security-policy"].to_str().unwrap();
        let rules: BTreeSet<&str> = policy.split(';').map(str::trim).collect();
        let expected = [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ];
        assert_eq!(rules, expected.into(), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["cache-control"], "no-cache", "{path}");
    }
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let app = App::new();
    let mut tags = BTreeSet::new();
    for path in ["/console", "/console/app.js", "/console/style.css"] {
        let whole = get(&app, path, &[]).await;
        let tag = whole.headers["etag"].to_str().unwrap().to_owned();
        let (weak, among) = (format!("W/{tag}"), format!("\"another\", {tag}"));
        for known in [&tag, &weak, &among, "*"] {
            let answer = get(&app, path, &[("if-none-match", known)]).await;
            assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{path}: {known}");
            assert_eq!(answer.headers["etag"], tag, "{path}: {known}");
        }
        for unknown in ["\"another\"", "", &tag[..5]] {
            assert_eq!(get(&app, path, &[("if-none-match", unknown)]).await.status, 200, "{path}: {unknown}");
        }
        assert!(tags.insert(tag), "{path} has the tag of another file");
    }
}

#[tokio::test]
async fn other_paths_and_methods_of_the_console_are_refused() {
    let app = App::new();
    for path in [
        "/console/",
        "/console/index.html",
        "/console/nope.js",
        "/console/app.js/",
        "/console/../Cargo.toml",
        "/console/..%2fCargo.toml",
        "/console/%FF",
        "/consol",
        "/console.html",
        "/Console",
    ] {
        get(&app, path, &[]).await.assert_error(404, "not_found");
    }
    for (method, path) in [("POST", "/console"), ("DELETE", "/console"), ("PUT", "/console/app.js")] {
        app.call(method, path, None).await.assert_error(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn the_console_is_served_behind_every_gateway_and_base_path() {
    for base in [None, Some("/sms"), Some("/v1/sms")] {
        let app = App::new();
        let parts = Parts { console: true, base_path: base.map(str::to_owned), ..parts(&app.service) };
        let app = App { router: router(parts), ..app };
        for path in ["/console", "/console/app.js"] {
            for gateway in GATEWAYS {
                let event = gateway.event(&Call { method: "GET", path, ..Call::default() });
                let event = lambda_http::request::from_str(&event.to_string()).unwrap();
                assert_eq!(app.send(lambda::request(event)).await.status, 200, "{path} {base:?} {gateway:?}");
            }
            let below = format!("{}{path}", base.unwrap_or_default());
            assert_eq!(get(&app, &below, &[]).await.status, 200, "{below}");
        }
    }
}

#[tokio::test]
async fn the_local_server_has_a_console_unless_it_is_switched_off() {
    for (settings, status) in [
        (&[][..], 200),
        (&[("CONSOLE", "true")][..], 200),
        (&[("CONSOLE", "")][..], 200),
        (&[("CONSOLE", "false")][..], 404),
        (&[("CONSOLE", "0")][..], 404),
    ] {
        let folder = TempDir::new().unwrap();
        let settings = [&[("BASE_PATH", "/sms")], settings].concat();
        let server = Binary::serve(folder.path(), &settings).await;
        for path in ["/console", "/console/app.js", "/sms/console", "/sms/console/app.js"] {
            assert_eq!(server.call("GET", path, None).await.status, status, "{settings:?}: {path}");
        }
        server.ok("GET", "/sms/tn", None).await;
        let log = server.stop().await;
        assert_eq!(log.contains("console: http://"), status == 200, "{settings:?}: {log}");
    }
}

#[test]
fn the_page_has_no_inline_script_no_inline_style_and_no_foreign_address() {
    for (name, text) in files() {
        for foreign in ["http:", "https:", "//cdn", "ws:", "wss:", "data:", "\"//", "'//", "url(", "@import"]
        {
            assert!(!text.contains(foreign), "{name} has {foreign}");
        }
    }
    let (_, page) = files().into_iter().find(|(name, _)| name == "index.html").unwrap();
    for script in page.split("<script").skip(1) {
        let (attributes, content) = script.split_once('>').unwrap();
        assert!(attributes.contains(" src=\"console/"), "{attributes}");
        assert!(content.starts_with("</script>"), "{attributes} has a script inside");
    }
    assert!(!page.contains("<style") && !page.contains(" style="));
    let handlers = page.split([' ', '\n']).filter(|word| word.starts_with("on") && word.contains("=\""));
    assert_eq!(handlers.collect::<Vec<_>>(), [""; 0]);
    // Relative, so that they work below a base path.
    for attribute in [" src=\"", " href=\"", " action=\""] {
        let absolute = quoted_after(&page, attribute).into_iter().find(|address| address.starts_with('/'));
        assert_eq!(absolute, None);
    }
}

#[test]
fn the_scripts_put_what_they_get_into_the_page_as_text_only() {
    for (name, text) in files().iter().filter(|(name, _)| name.ends_with(".js")) {
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "setHTML",
            "document.write",
            "createContextualFragment",
            "DOMParser",
            "parseFromString",
            "srcdoc",
            "eval(",
            "new Function",
            "javascript:",
            "import(",
            "localStorage",
            "document.cookie",
        ] {
            assert!(!text.contains(way), "{name} has {way}");
        }
        let calls = text.matches("fetch(").count();
        assert_eq!(calls, usize::from(name == "api.js"), "{name} calls {calls} times");
    }
}
