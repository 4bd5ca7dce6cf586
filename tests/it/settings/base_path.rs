//! The path under which others reach the service.

use super::{AUTH, complaint, good};

#[test]
fn the_base_path_is_that_of_the_public_url_unless_it_is_set() {
    for (environment, path) in [
        (&[][..], None),
        (&[("PUBLIC_URL", "https://example.com")], None),
        (&[("PUBLIC_URL", "https://example.com/")], None),
        (&[("PUBLIC_URL", "https://example.com/a/b/")], Some("/a/b")),
        (&[("PUBLIC_URL", "https://example.com/a"), ("BASE_PATH", "b")], Some("/b")),
        (&[("BASE_PATH", "https://example.com/c")], Some("/c")),
        (&[("BASE_PATH", "https://example.com")], None),
        (&[("BASE_PATH", "/")], None),
    ] {
        assert_eq!(good(&[environment, &AUTH].concat()).base_path.as_deref(), path, "{environment:?}");
    }
}

#[test]
fn a_base_path_is_a_path() {
    for bad in
        ["/a b", "/sämü", "\"/sms\"", "/a?b", "/a#b", "https://user@example.com/a", "https://example.com/a b"]
    {
        complaint("BASE_PATH", &[("BASE_PATH", bad)], None);
    }
}
