//! The name of a secret in AWS Secrets Manager.

use std::str::FromStr;

/// The ARN of a secret in AWS Secrets Manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretArn {
    arn: String,
    region: String,
}

/// A text is not the ARN of a secret. It is not quoted: it may be the secret itself.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("is not the ARN of a secret, such as arn:aws:secretsmanager:us-east-1:123456789012:secret:sms-proxy")]
pub struct InvalidArn;

impl SecretArn {
    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// The region of the secret.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }
}

impl FromStr for SecretArn {
    type Err = InvalidArn;

    fn from_str(arn: &str) -> Result<Self, InvalidArn> {
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        match parts[..] {
            ["arn", partition, "secretsmanager", region, account, "secret", name]
                if [partition, region, account, name].iter().all(|part| !part.is_empty())
                    && arn.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Ok(Self { arn: arn.to_owned(), region: region.to_owned() })
            }
            _ => Err(InvalidArn),
        }
    }
}
