//! Fetches the secret with the keys from AWS Secrets Manager.

use super::{SecretArn, environment};
use crate::limits;
use aws_config::{Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueError,
};
use secrecy::SecretString;
use std::time::Duration;

/// Why a secret cannot be read, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Reading it is not allowed.
    #[error(
        "access to the secret was denied ({0}); allow secretsmanager:GetSecretValue on it, and kms:Decrypt if it has \
         a key of its own"
    )]
    Denied(String),
    /// It does not exist.
    #[error("there is no such secret; check the ARN, its region and its account")]
    NotFound,
    /// Its state does not allow reading it.
    #[error("the secret cannot be read now; it may be scheduled for deletion: restore it")]
    NotReadable,
    /// It is not text.
    #[error("the secret holds bytes; store it as text, a JSON object")]
    NotText,
    /// Secrets Manager returned another error.
    #[error("Secrets Manager answered {0}; check the AWS credentials and the ARN, then start again")]
    Refused(String),
    /// No response.
    #[error(
        "Secrets Manager did not answer; check the network, the AWS credentials and \
         AWS_ENDPOINT_URL_SECRETS_MANAGER, then start again"
    )]
    NoAnswer,
}

/// Reads the secret's text. Credentials and endpoint come from the SDK's environment, the region from the ARN.
///
/// # Errors
/// After at most 5 s, and after several attempts where they may help.
pub async fn fetch(arn: &SecretArn) -> Result<SecretString, SecretError> {
    tokio::time::timeout(limits::SECRET, read_secret(arn)).await.unwrap_or(Err(SecretError::NoAnswer))
}

async fn read_secret(arn: &SecretArn) -> Result<SecretString, SecretError> {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(limits::SECRET_ATTEMPT).build();
    let retries = RetryConfig::standard()
        .with_max_attempts(limits::SECRET_ATTEMPTS)
        .with_initial_backoff(Duration::from_millis(100));
    let config = environment(false)
        .region(Region::new(arn.region().to_owned()))
        .timeout_config(timeouts)
        .retry_config(retries)
        .load()
        .await;
    let response = Client::new(&config).get_secret_value().secret_id(arn.as_str()).send().await;
    let response = response.map_err(|error| why(&error))?;
    response.secret_string.map(SecretString::from).ok_or(SecretError::NotText)
}

/// Keeps only the code of an error: its text may hold private data.
fn why<R>(error: &SdkError<GetSecretValueError, R>) -> SecretError {
    let Some(refusal) = error.as_service_error() else { return SecretError::NoAnswer };
    match (refusal, refusal.code()) {
        (GetSecretValueError::ResourceNotFoundException(_), _) => SecretError::NotFound,
        (GetSecretValueError::InvalidRequestException(_), _) => SecretError::NotReadable,
        (GetSecretValueError::DecryptionFailure(_), _) => SecretError::Denied("DecryptionFailure".into()),
        (_, Some(code @ ("AccessDeniedException" | "AccessDenied"))) => SecretError::Denied(code.into()),
        (_, code) => SecretError::Refused(code.unwrap_or("an error without a code").to_owned()),
    }
}
