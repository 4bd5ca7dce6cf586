//! Keys, tokens and addresses that would let the wrong people in.

use super::{AUTH, EMULATOR, FLOWROUTE, KEY, LAMBDA, TOKEN, complaint, good, read};

#[test]
fn an_api_key_may_have_a_name_and_may_be_its_hash() {
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    for written in [
        "0123456789abcdef".to_owned(),
        "dispatch=0123456789abcdef".to_owned(),
        "night.shift-2 = 0123456789abcdef , day=fedcba9876543210".to_owned(),
        format!("sha256:{hash}"),
        format!("sha256:{}", hash.to_uppercase()),
        format!("dispatch=sha256:{hash}"),
    ] {
        assert!(read(&[("API_KEYS", &written)], None).is_ok(), "{written}");
    }
    for written in [
        "sha256:".to_owned(),
        format!("sha256:{}", &hash[1..]),
        format!("sha256:{hash}0"),
        format!("sha256:{}x", &hash[1..]),
        format!("SHA256:{hash}"),
        "sha256:hush-hush-hush-hush".to_owned(),
        "=hush-hush-hush-hush".to_owned(),
        "hush=".to_owned(),
        "hush-hush-hush-hush=".to_owned(),
        "hush-hush-hush-hush==".to_owned(),
        "hush hush=0123456789abcdef".to_owned(),
        format!("{}=0123456789abcdef", "hush-".repeat(7)),
        "a=b=0123456789abcdef".to_owned(),
        "aaaaaaaaaaaaaaaaaaaa".to_owned(),
        "hush=aaaaaaaaaaaaaaaaaaaa".to_owned(),
    ] {
        let what = complaint("API_KEYS", &[("API_KEYS", &written)], None);
        assert!(!what.contains("hush"), "{written}: {what}");
    }
    complaint("WEBHOOK_TOKEN", &[("WEBHOOK_TOKEN", "aaaaaaaaaaaaaaaaaaaa")], None);
}

#[test]
fn a_key_that_is_the_webhooks_token_too_is_refused() {
    let hash = sms_proxy::http::Hash::of(TOKEN);
    for keys in
        [TOKEN.to_owned(), format!("dispatch={TOKEN}"), format!("sha256:{hash}"), format!("{KEY},{TOKEN}")]
    {
        let what = complaint("WEBHOOK_TOKEN", &[("API_KEYS", &keys), ("WEBHOOK_TOKEN", TOKEN)], None);
        assert!(what.contains("API_KEYS") && !what.contains(TOKEN), "{what}");
    }
}

#[test]
fn the_keys_of_the_documentation_are_warned_of() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["README.md", "docs/api.md", "docs/operations.md", "docs/aws.md", "settings.example.toml"];
    let mut found = 0;
    for page in pages {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_=.~".contains(c)));
        let samples = words.map(|word| word.rsplit('=').next().unwrap()).filter(|word| {
            let is_hex = word.len() == 20 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hex || (word.starts_with("example-") && word.len() >= 16)
        });
        for sample in samples {
            for (name, written) in [
                ("API_KEYS", sample.to_owned()),
                ("API_KEYS", format!("{KEY},dispatch={sample}")),
                ("WEBHOOK_TOKEN", sample.to_owned()),
            ] {
                let warnings = good(&[(name, &written)]).warnings;
                assert!(
                    warnings.len() == 1 && warnings[0].starts_with(name),
                    "{page}: {sample}: {warnings:?}"
                );
                assert!(!warnings[0].contains(sample), "{warnings:?}");
            }
            found += 1;
        }
    }
    assert!(found > 5, "{found}");
    assert!(good(&AUTH).warnings.is_empty());
}

#[test]
fn addresses_that_may_post_and_proxies_are_addresses_and_networks_but_not_all() {
    for name in ["WEBHOOK_ALLOWED_IPS", "TRUSTED_PROXIES"] {
        for good in ["10.0.0.0/8", "192.0.2.7", "192.0.2.7, 2001:db8::/32 ,::1", "198.51.100.7/24"] {
            assert!(read(&[&AUTH[..], &[(name, good)]].concat(), None).is_ok(), "{good}");
        }
        for bad in
            ["flowroute.com", "10.0.0.0/33", "10.0.0", "10.0.0.1-10.0.0.9", "10.0.0.1,", "10.0.0.1 10.0.0.2"]
        {
            complaint(name, &[(name, bad)], None);
        }
        for all in [
            "0.0.0.0/0",
            "::/0",
            "10.0.0.1, 0.0.0.0/0",
            "0.0.0.0/1,128.0.0.0/1",
            "128.0.0.0/2",
            "8.0.0.0/7",
            "::/1",
            "2000::/3",
        ] {
            let what = complaint(name, &[(name, all)], None);
            assert!(what.contains("all addresses"), "{what}");
        }
    }
}

#[test]
fn keys_of_flowroute_are_not_keys_or_token_of_ours() {
    let secret = "a-secret-of-flowroute-0123";
    for flowroute in
        [[("FLOWROUTE_ACCESS_KEY", secret), FLOWROUTE[1]], [FLOWROUTE[0], ("FLOWROUTE_SECRET_KEY", secret)]]
    {
        for name in ["API_KEYS", "WEBHOOK_TOKEN"] {
            let what = complaint(name, &[&flowroute[..], &[(name, secret)]].concat(), None);
            assert!(what.contains("Flowroute's") && !what.contains(secret), "{what}");
        }
    }
}

#[test]
fn a_public_address_needs_keys_and_token_wherever_the_service_listens() {
    for public in ["https://sms.example.com", "https://192.0.2.7/sms", "https://localhost.example.com"] {
        let address = ("PUBLIC_URL", public);
        for runtime in [&[][..], &[EMULATOR]] {
            for (set, missing) in [
                (&AUTH[..0], "API_KEYS and WEBHOOK_TOKEN are not set"),
                (&AUTH[..1], "WEBHOOK_TOKEN is not set"),
                (&AUTH[1..], "API_KEYS is not set"),
            ] {
                let what = complaint("ALLOW_UNAUTHENTICATED", &[runtime, &[address], set].concat(), None);
                assert!(what.contains(missing), "{what}");
            }
            good(&[runtime, &[address], &AUTH].concat());
            good(&[runtime, &[address, ("ALLOW_UNAUTHENTICATED", "true")]].concat());
        }
    }
    for own in ["http://127.0.0.1:8000", "http://localhost/sms", "https://[::1]"] {
        good(&[("PUBLIC_URL", own)]);
    }
}

#[test]
fn a_proxy_in_front_of_a_loopback_address_needs_keys_and_token() {
    let proxy = ("TRUSTED_PROXIES", "127.0.0.1");
    for set in [&AUTH[..0], &AUTH[..1], &AUTH[1..]] {
        let what = complaint("ALLOW_UNAUTHENTICATED", &[&[proxy], set].concat(), None);
        assert!(what.contains("not set"), "{what}");
    }
    good(&[&[proxy], &AUTH[..]].concat());
    good(&[proxy, ("ALLOW_UNAUTHENTICATED", "true")]);
}

#[test]
fn an_address_of_aws_on_the_internet_is_encrypted() {
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER"] {
        for public in [
            "http://dynamodb.us-east-1.amazonaws.com",
            "HTTP://dynamodb.us-east-1.amazonaws.com:80/",
            " http://dynamodb.us-east-1.amazonaws.com",
            "http://localhost.example.com:8000",
            "http://8.8.8.8:8000",
            "http://134744072",
            "http://[2600::1]:8000",
            "http://user:hush@db.example.com",
        ] {
            for environment in [Vec::new(), [LAMBDA, FLOWROUTE, AUTH].concat(), vec![("STORAGE", "dynamodb")]]
            {
                let what = complaint(name, &[&environment[..], &[(name, public)]].concat(), None);
                assert!(what.contains("https://") && !what.contains("hush"), "{what}");
            }
        }
        for private in [
            "https://dynamodb.us-east-1.amazonaws.com",
            "http://127.0.0.1:8000",
            "http://localhost:8000",
            "http://[::1]:8000",
            "http://dynamodb:8000",
            "http://dynamodb.internal:8000",
            "http://10.0.0.7:8000",
            "",
        ] {
            good(&[("STORAGE", "dynamodb"), (name, private)]);
        }
    }
}

/// Each has one flaw, and nothing else is complained about.
#[test]
fn each_insecure_combination_stops_the_start_with_one_line_that_says_what_to_set() {
    let in_lambda = [&LAMBDA[..], &FLOWROUTE, &AUTH].concat();
    let local = AUTH.to_vec();
    let with_flowroute = [&FLOWROUTE[..], &AUTH].concat();
    let rows = [
        (vec![("BIND_ADDR", "0.0.0.0:8000")], "ALLOW_UNAUTHENTICATED", "API_KEYS and WEBHOOK_TOKEN"),
        (vec![AUTH[0], ("BIND_ADDR", "[::]:8000")], "ALLOW_UNAUTHENTICATED", "WEBHOOK_TOKEN"),
        (vec![AUTH[1], ("BIND_ADDR", "10.0.0.7:80")], "ALLOW_UNAUTHENTICATED", "API_KEYS"),
        (vec![("PUBLIC_URL", "https://sms.example.com")], "ALLOW_UNAUTHENTICATED", "API_KEYS"),
        (vec![AUTH[0], ("PUBLIC_URL", "https://sms.example.com")], "ALLOW_UNAUTHENTICATED", "WEBHOOK_TOKEN"),
        (vec![("TRUSTED_PROXIES", "127.0.0.1")], "ALLOW_UNAUTHENTICATED", "API_KEYS"),
        ([&LAMBDA[..], &FLOWROUTE].concat(), "ALLOW_UNAUTHENTICATED", "API_KEYS"),
        ([&LAMBDA[..], &FLOWROUTE, &[("CONSOLE", "true")]].concat(), "ALLOW_UNAUTHENTICATED", "API_KEYS"),
        ([&in_lambda[..], &[("STORAGE", "sqlite")]].concat(), "STORAGE", "dynamodb"),
        ([&in_lambda[..], &[("SMS_PROVIDER", "sandbox")]].concat(), "SMS_PROVIDER", "Flowroute keys"),
        ([&LAMBDA[..], &AUTH].concat(), "SMS_PROVIDER", "Flowroute keys"),
        ([&local[..], &[("PUBLIC_URL", "http://sms.example.com")]].concat(), "PUBLIC_URL", "https"),
        (
            [&with_flowroute[..], &[("FLOWROUTE_API_URL", "http://api.flowroute.com")]].concat(),
            "FLOWROUTE_API_URL",
            "https",
        ),
        (
            [&in_lambda[..], &[("AWS_ENDPOINT_URL_DYNAMODB", "http://db.example.com")]].concat(),
            "AWS_ENDPOINT_URL_DYNAMODB",
            "https",
        ),
        (vec![("API_KEYS", "short")], "API_KEYS", "fewer than"),
        (vec![("WEBHOOK_TOKEN", "short")], "WEBHOOK_TOKEN", "at least"),
        (vec![("API_KEYS", "aaaaaaaaaaaaaaaaaaaa")], "API_KEYS", "new-key"),
        (vec![("API_KEYS", AUTH[1].1), AUTH[1]], "WEBHOOK_TOKEN", "another value"),
        (
            [&local[..], &[("TRUSTED_PROXIES", "0.0.0.0/1,128.0.0.0/1")]].concat(),
            "TRUSTED_PROXIES",
            "smaller",
        ),
        ([&local[..], &[("WEBHOOK_ALLOWED_IPS", "0.0.0.0/0")]].concat(), "WEBHOOK_ALLOWED_IPS", "smaller"),
    ];
    for (environment, name, says) in rows {
        let what = complaint(name, &environment, None);
        assert!(what.contains(says), "{environment:?}: {what}");
    }
}
