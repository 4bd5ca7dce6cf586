//! What handlers share.

use super::{auth::Auth, health::Health, page::Lists, webhook::Refusals};
use crate::{provider::Sandbox, service::Service};
use axum::extract::FromRef;
use std::sync::Arc;

#[derive(Clone, FromRef)]
pub(super) struct App {
    pub(super) service: Service,
    pub(super) auth: Arc<Auth>,
    pub(super) refusals: Arc<[Refusals; 2]>,
    pub(super) health: Arc<Health>,
    pub(super) lists: Lists,
    pub(super) sandbox: Option<Arc<Sandbox>>,
}
