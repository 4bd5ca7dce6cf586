//! The table of settings, the only definition of their names, defaults and bounds.

use crate::{domain::AllowedCountries, http::SHORTEST_KEY, service::OptOutWords};

/// One setting: an environment variable, or in lower case a line of `settings.toml`.
#[derive(Debug)]
pub struct Setting {
    /// The name of the variable.
    pub name: &'static str,
    /// The default, as it would be written in the environment.
    pub default: Option<&'static str>,
    /// What may be set.
    pub kind: Kind,
    /// What it means, in one sentence.
    pub meaning: &'static str,
}

/// What may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text but a blank one.
    Text,
    /// Any text; an empty one switches the message off.
    OptionalText,
    /// A whole number between these bounds, both included.
    Number {
        /// The least value.
        least: u32,
        /// The greatest value.
        most: u32,
    },
    /// True or false.
    Switch,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Never shown. Ours have characters that are unreserved in URLs only, Flowroute's any printable ASCII.
    Secret {
        /// The least number of characters.
        shortest: usize,
    },
    /// Something else, described by this.
    Other(&'static str),
}

impl Kind {
    /// What is expected, as the end of `"x" is not …`.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Text | Self::OptionalText => "a text".into(),
            Self::Number { least, most } => format!("a whole number from {least} to {most}"),
            Self::Switch => "true or false".into(),
            Self::OneOf([first @ .., last]) if !first.is_empty() => {
                format!("{} or {last}", first.join(", "))
            }
            Self::OneOf(words) => words.concat(),
            Self::Secret { shortest } => format!("a secret of at least {shortest} characters"),
            Self::Other(expected) => (*expected).into(),
        }
    }
}

const ADDRESS: Kind = Kind::Other("an https:// address");
const SECONDS: Kind = Kind::Number { least: 1, most: 86_400 };
/// A shorter key or token could be guessed.
const OUR_SECRET: Kind = Kind::Secret { shortest: SHORTEST_KEY };
const NETWORKS: Kind = Kind::Other("addresses and networks, such as 198.51.100.0/24");
const FLOWROUTE_SECRET: Kind = Kind::Secret { shortest: 1 };

macro_rules! settings {
    ($($name:ident, $default:expr, $kind:expr, $meaning:literal;)+) => {
        $(
            #[doc = $meaning]
            pub(super) static $name: Setting =
                Setting { name: stringify!($name), default: $default, kind: $kind, meaning: $meaning };
        )+

        /// All settings.
        pub static SETTINGS: &[&Setting] = &[$(&$name),+];
    };
}

settings! {
    ORG_NAME, Some("Your Org Name"), Kind::Text,
        "The name that begins every message of the service, in capitals and brackets.";
    SESSION_START_MSG, Some("Your new session has started, send a message!"), Kind::Text,
        "The message to both participants when a session starts.";
    SESSION_END_MSG, Some("This session has ended, talk to you again soon!"), Kind::Text,
        "The message to both participants when a session is ended.";
    SESSION_EXPIRED_MSG, Some("This session has expired."), Kind::OptionalText,
        "The message to both participants when a session expires; empty: none is sent.";
    NO_SESSION_MSG, Some("An active session was not found. Please contact support@yourorg.com"), Kind::Text,
        "The reply to a sender who has no session.";
    NO_SESSION_MSG_PER_HOUR, Some("3"), Kind::Number { least: 0, most: 1000 },
        "How many of these replies one sender gets on one TN in an hour; 0: none.";
    // One item of the DynamoDB table lists the replies of a minute: its size bounds the quota.
    NO_SESSION_MSG_PER_MINUTE, Some("30"), Kind::Number { least: 0, most: 1000 },
        "How many of these replies all senders together get in a minute; 0: none.";
    NO_SESSION_MSG_PER_DAY, Some("1000"), Kind::Number { least: 0, most: 100_000 },
        "How many of these replies all senders together get in 24 hours; 0: none.";
    SENDER_TEXTS_PER_MINUTE, Some("30"), Kind::Number { least: 1, most: 1000 },
        "How many texts of one participant are relayed in a minute; further ones wait for their turn.";
    // For each text the earlier ones of its sender are counted, up to twice as many: this bounds the time.
    SENDER_TEXTS_PER_DAY, Some("1000"), Kind::Number { least: 1, most: 5000 },
        "How many texts of one participant are relayed in 24 hours; further ones fail, and the sender is told.";
    MEDIA_MISSING_MSG, Some("A picture could not be passed on."), Kind::OptionalText,
        "Added to a relayed text if one of its pictures cannot be passed on; empty: nothing is added.";
    NOT_DELIVERED_MSG, Some("Your message could not be delivered."), Kind::OptionalText,
        "The message to a participant whose text could not be delivered; empty: none is sent.";
    OPT_OUT_WORDS, Some(OptOutWords::DEFAULT), Kind::Text,
        "The words that opt out as STOP does, separated by commas.";
    ALLOWED_COUNTRIES, Some(AllowedCountries::DEFAULT), Kind::Text,
        "The countries, separated by commas, whose numbers may be TNs and participants, and are answered as strangers.";
    SESSIONS_PER_TN, Some("1"), Kind::Number { least: 1, most: 10_000 },
        "How many live sessions a TN carries; nobody is in two of them.";
    TN_COOL_OFF_MINUTES, Some("60"), Kind::Number { least: 0, most: 43_200 },
        "Minutes after the end of a session in which its TN is the last choice for its participants with others.";
    TN_COOL_OFF_STRICT, Some("false"), Kind::Switch,
        "True: in that time it is not chosen at all.";
    STORAGE, Some("sqlite"), Kind::OneOf(&["sqlite", "dynamodb"]),
        "The store; in AWS Lambda the default is dynamodb, and sqlite is refused.";
    SQLITE_PATH, Some("local-sqlite/sms-proxy.db"), Kind::Other("the path of a file"),
        "The SQLite database.";
    DYNAMODB_TABLE, Some("sms-proxy"), Kind::Other("3 to 255 letters, digits, _ . or -"),
        "The DynamoDB table.";
    MESSAGE_RETENTION_DAYS, Some("30"), Kind::Number { least: 2, most: 3650 },
        "How many days settled messages and the ids of received texts are kept.";
    SMS_PROVIDER, None, Kind::OneOf(&["flowroute", "sandbox"]),
        "The provider; the sandbox records messages and sends none; without it Flowroute if both keys are set, else the sandbox.";
    FLOWROUTE_ACCESS_KEY, None, FLOWROUTE_SECRET,
        "Flowroute's API access key.";
    FLOWROUTE_SECRET_KEY, None, FLOWROUTE_SECRET,
        "Flowroute's API secret key.";
    FLOWROUTE_API_URL, Some("https://api.flowroute.com"), ADDRESS,
        "The address of Flowroute's API.";
    FLOWROUTE_API_VERSION, Some("v2.1"), Kind::OneOf(&["v2.1", "v2.2", "v2"]),
        "The version of Flowroute's API.";
    FLOWROUTE_MAX_PER_SECOND, Some("5"), Kind::Number { least: 0, most: 1000 },
        "How many messages this process sends in any second; 0: no limit.";
    PUBLIC_URL, None, ADDRESS,
        "The address at which Flowroute reaches this service; with it delivery receipts are requested.";
    BASE_PATH, None, Kind::Other("a path, such as /sms, or an address with one"),
        "The path under which others reach this service, and which is taken off; without it that of PUBLIC_URL.";
    API_KEYS, None, OUR_SECRET,
        "The API keys of the management calls, separated by commas: key, sha256:hash, and either with a name, as name=key.";
    WEBHOOK_TOKEN, None, OUR_SECRET,
        "The token that Flowroute's callback URL must contain.";
    WEBHOOK_ALLOWED_IPS, None, NETWORKS,
        "The only addresses and networks that may post to the webhook, separated by commas; without it all may.";
    TRUSTED_PROXIES, None, NETWORKS,
        "The addresses and networks of proxies whose X-Forwarded-For says where a call comes from, separated by commas.";
    SECRETS_ARN, None, Kind::Other("the ARN of a secret"),
        "The secret of AWS Secrets Manager with the two Flowroute keys, API_KEYS and WEBHOOK_TOKEN, as a JSON object.";
    ALLOW_UNAUTHENTICATED, Some("false"), Kind::Switch,
        "True: starts without API_KEYS or WEBHOOK_TOKEN even if others can reach the service.";
    RECEIPTS_BY_PROVIDER_ID, Some("true"), Kind::Switch,
        "False, on DynamoDB: a receipt must name our id, as those do that are requested; a text costs a write unit less.";
    CONSOLE, Some("true"), Kind::Switch,
        "True: GET /console is a page that shows the service and calls its API; in AWS Lambda the default is false.";
    BIND_ADDR, Some("127.0.0.1:8000"), Kind::Other("an address with a port, such as 127.0.0.1:8000"),
        "The address on which the local server listens.";
    MAINTENANCE_INTERVAL, Some("5"), SECONDS,
        "Seconds between two rounds of maintenance of the local server.";
    LOG_LEVEL, Some("info"),
        Kind::OneOf(&["trace", "debug", "info", "warn", "error", "10", "20", "30", "40", "50"]),
        "The least severe level that is logged; at least debug in DEBUG_MODE.";
    DEBUG_MODE, Some("false"), Kind::Switch,
        "True: uses the database local-sqlite/test.db, which each start empties, and logs at debug level.";
    SEND_BUDGET_SECONDS, Some("8"), SECONDS,
        "Seconds from the start of a request to the end of its last send.";
    LEASE_SECONDS, Some("30"), SECONDS,
        "Seconds for which a message is leased to the task that sends it; more than SEND_BUDGET_SECONDS + 4.";
    LOOKUP_SETTLE_SECONDS, Some("300"), SECONDS,
        "Seconds after an attempt before the provider's message list is complete; more than LEASE_SECONDS.";
}
