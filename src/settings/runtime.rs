//! How the process was started.

/// How the process was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// A local server.
    Local,
    /// In an emulator of Lambda's runtime API, such as `cargo lambda watch`.
    LambdaEmulator,
    /// In AWS Lambda.
    Lambda,
}

impl Runtime {
    /// Reads it from the variables that Lambda sets. Only AWS sets the second one.
    pub(super) fn detect(environment: &dyn Fn(&str) -> Option<String>) -> Self {
        match (environment("AWS_LAMBDA_RUNTIME_API"), environment("AWS_LAMBDA_INITIALIZATION_TYPE")) {
            (None, _) => Self::Local,
            (Some(_), None) => Self::LambdaEmulator,
            (Some(_), Some(_)) => Self::Lambda,
        }
    }
}
