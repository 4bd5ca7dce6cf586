//! Tests of the service that run on each backend of the store.

use super::{App, dynamodb::dynamodb, sqlite, unpaced};
use sms_proxy::{http::Auth, service::Options};
use tempfile::TempDir;

/// What keeps the records of a service under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Dynamodb,
}

impl Backend {
    /// A service on an empty store.
    pub async fn app(self) -> App {
        self.app_with(unpaced(), Auth::default()).await
    }

    pub async fn app_with(self, options: Options, auth: Auth) -> App {
        let (store, folder) = match self {
            Self::Sqlite => sqlite(),
            Self::Dynamodb => (dynamodb().await, TempDir::new().expect("a temporary folder")),
        };
        App::on(store, folder, options, auth)
    }

    /// How many rounds or callers there are: fewer on the engine, where each takes longer.
    pub fn many(self, all: u32, fewer: u32) -> u32 {
        if self == Self::Sqlite { all } else { fewer }
    }
}

/// Makes a test of each of these functions on each backend: `name::sqlite` and `name::dynamodb`. One that is left out
/// is a function that nobody calls, which the compiler reports.
macro_rules! on_each_backend {
    (with $threads:tt threads: $($case:ident)*) => {
        on_each_backend! { @ #[tokio::test(flavor = "multi_thread", worker_threads = $threads)] $($case)* }
    };
    (@ #[$test:meta] $($case:ident)*) => {$(
        mod $case {
            #[$test]
            async fn sqlite() {
                super::$case($crate::support::Backend::Sqlite).await;
            }

            #[$test]
            async fn dynamodb() {
                super::$case($crate::support::Backend::Dynamodb).await;
            }
        }
    )*};
    ($($case:ident)*) => {
        on_each_backend! { @ #[tokio::test] $($case)* }
    };
}

pub(crate) use on_each_backend;
