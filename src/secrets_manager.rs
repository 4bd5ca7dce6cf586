//! Fetches the secret that holds the keys from AWS Secrets Manager.

use crate::{aws, settings::SecretArn};
use aws_config::{Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueError,
};
use secrecy::SecretString;
use std::time::Duration;

/// How long everything may take, the look for credentials included, and one try. Lambda's init phase has 10 s.
const LIMIT: Duration = Duration::from_secs(5);
const TRY_LIMIT: Duration = Duration::from_millis(1500);
const TRIES: u32 = 3;

/// Why a secret can't be had, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unobtainable {
    /// We may not read it.
    #[error(
        "access to the secret was denied ({0}); allow secretsmanager:GetSecretValue on it, and kms:Decrypt if it has \
         a key of its own"
    )]
    Denied(String),
    /// There is none.
    #[error("there is no such secret; check the ARN, its region and its account")]
    NotFound,
    /// It is not in a state to be read.
    #[error("the secret cannot be read now; it may be marked for deletion: restore it")]
    NotReadable,
    /// It is there, and it is no text.
    #[error("the secret holds bytes; store it as text, a JSON object")]
    NotText,
    /// Secrets Manager says something else.
    #[error("Secrets Manager answered {0}; check the AWS credentials and the ARN, then start again")]
    Refused(String),
    /// Nothing came back.
    #[error(
        "Secrets Manager did not answer; check the network, the AWS credentials and \
         AWS_ENDPOINT_URL_SECRETS_MANAGER, then start again"
    )]
    NoAnswer,
}

/// The secret's text, as it is now. Credentials and endpoint are the SDK's business; the region is the ARN's.
///
/// # Errors
/// Within 5 s and after several tries.
pub async fn fetch(arn: &SecretArn) -> Result<SecretString, Unobtainable> {
    tokio::time::timeout(LIMIT, ask(arn)).await.unwrap_or(Err(Unobtainable::NoAnswer))
}

async fn ask(arn: &SecretArn) -> Result<SecretString, Unobtainable> {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(TRY_LIMIT).build();
    let retries =
        RetryConfig::standard().with_max_attempts(TRIES).with_initial_backoff(Duration::from_millis(100));
    let config = aws::environment(false)
        .region(Region::new(arn.region().to_owned()))
        .timeout_config(timeouts)
        .retry_config(retries)
        .load()
        .await;
    let answer = Client::new(&config).get_secret_value().secret_id(arn.as_str()).send().await;
    let answer = answer.map_err(|error| why(&error))?;
    answer.secret_string.map(SecretString::from).ok_or(Unobtainable::NotText)
}

/// Only the code of an error is passed on.
fn why<R>(error: &SdkError<GetSecretValueError, R>) -> Unobtainable {
    let Some(refusal) = error.as_service_error() else { return Unobtainable::NoAnswer };
    match (refusal, refusal.code()) {
        (GetSecretValueError::ResourceNotFoundException(_), _) => Unobtainable::NotFound,
        (GetSecretValueError::InvalidRequestException(_), _) => Unobtainable::NotReadable,
        (GetSecretValueError::DecryptionFailure(_), _) => Unobtainable::Denied("DecryptionFailure".into()),
        (_, Some(code @ ("AccessDeniedException" | "AccessDenied"))) => Unobtainable::Denied(code.into()),
        (_, code) => Unobtainable::Refused(code.unwrap_or("an error without a code").to_owned()),
    }
}
