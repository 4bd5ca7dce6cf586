//! What handlers share.

use super::{auth::Access, document::Document, health::Health, page::Lists, refusals::Refusals};
use crate::{provider::Sandbox, service::Service, telemetry::prometheus::Prometheus};
use axum::extract::FromRef;
use std::sync::Arc;

#[derive(Clone, FromRef)]
pub(super) struct App {
    pub(super) service: Service,
    pub(super) access: Arc<Access>,
    pub(super) refusals: Arc<Refusals>,
    pub(super) health: Arc<Health>,
    pub(super) lists: Lists,
    pub(super) document: Document,
    pub(super) sandbox: Option<Arc<Sandbox>>,
    pub(super) metrics: Option<Prometheus>,
}
