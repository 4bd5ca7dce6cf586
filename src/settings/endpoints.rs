//! The addresses of AWS's services, which the AWS SDK reads from the environment itself.

use crate::provider::flowroute::is_public;
use url::Url;

/// The variables with the addresses of the services that are used.
const VARIABLES: [&str; 3] =
    ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER"];

pub(super) const PLAIN: &str = "leads over the internet without encryption, where others could read texts and keys; use an https:// address";

/// Those of them that name a public host without encryption. An emulator in one's own network needs none.
pub(super) fn plain(environment: &dyn Fn(&str) -> Option<String>) -> Vec<&'static str> {
    let is_plain = |name: &&str| {
        let url = environment(name).and_then(|address| Url::parse(address.trim()).ok());
        url.is_some_and(|url| url.scheme() != "https" && is_public(&url))
    };
    VARIABLES.into_iter().filter(is_plain).collect()
}
