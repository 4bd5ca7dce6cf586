//! Two people text each other through a Flowroute number that belongs to neither.
//!
//! ```text
//! http ──► service ──┬──► store    (traits) ◄── store::sqlite, store::dynamodb
//!                    └──► provider (trait)  ◄── provider::flowroute, provider::sandbox
//! main     picks          domain    used by all, uses none
//! ```
//!
//! Each module and those that it uses (`tests/it/layers.rs` checks this table):
//!
//! | module | uses | holds |
//! |---|---|---|
//! | [`domain`] | – | values and pure rules: numbers, sessions, messages and their lifecycle |
//! | [`store`] | aws, domain, limits, telemetry | the traits of a store, and its two backends |
//! | [`provider`] | domain, limits, net | the trait of a provider, Flowroute, the sandbox |
//! | [`service`] | domain, limits, provider, store, telemetry | what the service does: relay, outbox, maintenance, sessions, pool |
//! | [`http`] | domain, limits, provider, service, telemetry | the HTTP API; reads Flowroute's posts, shows the sandbox's messages; the console |
//! | [`runtime`] | http, limits, service, telemetry | the router in the Lambda runtime, and as a local server; limits and rights of the process |
//! | [`settings`] | aws, domain, http, limits, provider, service, store | every setting, and the configuration of the other modules |
//! | [`snapshot`] | domain, store | export and import: all records as a file of JSON lines |
//! | [`telemetry`] | domain, limits | log and metrics |
//! | [`aws`] | limits, net | the AWS SDK over our HTTP client; Secrets Manager |
//! | [`limits`] | – | the limits of time and size that are not settings |
//! | [`doctor`] | aws, domain, limits, provider, settings, store | checks what the service needs, and says what to mend |
//! | `cli` | – | of the binary: the command line |
//! | `progress` | store | of the binary: how far an export or import is |
//! | `store_commands` | limits, progress, runtime, settings, snapshot, store | of the binary: export, import, create-table |
//! | `net` | – | the HTTP client for Flowroute and AWS |
//!
//! A text arrives in [`http`], is parsed by [`provider::flowroute`], relayed by [`service::relay`] and sent by
//! [`service::outbox`]: docs/architecture.md.

pub mod aws;
pub mod doctor;
pub mod domain;
pub mod http;
pub mod limits;
mod net;
pub mod provider;
pub mod runtime;
pub mod service;
pub mod settings;
pub mod snapshot;
pub mod store;
pub mod telemetry;
