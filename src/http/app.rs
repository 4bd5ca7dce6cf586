//! What handlers share.

use super::{auth::Access, document::Document, health::Health, page::Lists, refusals::Refusals};
use crate::{provider::Sandbox, service::Service, telemetry::prometheus::Prometheus};
use axum::extract::FromRef;
use std::sync::Arc;

/// Behind one pointer, since the router copies it several times for each request.
#[derive(Clone)]
pub(super) struct App(pub(super) Arc<Shared>);

macro_rules! shared {
    ($($field:ident: $type:ty,)*) => {
        pub(super) struct Shared {
            $(pub(super) $field: $type,)*
        }

        $(impl FromRef<App> for $type {
            fn from_ref(app: &App) -> Self {
                app.0.$field.clone()
            }
        })*
    };
}

shared! {
    service: Service,
    access: Arc<Access>,
    refusals: Arc<Refusals>,
    health: Arc<Health>,
    lists: Lists,
    document: Document,
    sandbox: Option<Arc<Sandbox>>,
    metrics: Option<Prometheus>,
}
