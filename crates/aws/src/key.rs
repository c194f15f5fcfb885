//! Refusals that are about a key of the customer's, not about what it encrypts.

/// What to do about one.
pub(crate) const ALLOW: &str = "This role lacks the use of the KMS key: allow it kms:Decrypt, Encrypt, GenerateDataKey, DescribeKey and ReEncrypt* on it (docs/deploy.md, Permissions in AWS), and see that the key is enabled";

/// Says whether a service refuses because whoever asks may not use the key: DynamoDB and Secrets Manager use it in their
/// name.
pub(crate) fn is_refused(code: &str, message: &str) -> bool {
    match code {
        "KMSAccessDeniedException" => true,
        // Of a role whose name only sounds like it, the action is another one.
        "AccessDeniedException" => message.contains("kms:") || message.contains("Access to KMS"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_is_told_from_a_refused_table_or_secret() {
        for (code, message) in [
            (
                "AccessDeniedException",
                "User: arn:aws:sts::123456789012:assumed-role/ops/ann is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-central-1:123456789012:key/0a1b",
            ),
            ("AccessDeniedException", "Access to KMS is not allowed"),
            ("KMSAccessDeniedException", ""),
        ] {
            assert!(is_refused(code, message), "{code}: {message}");
        }
        for (code, message) in [
            (
                "AccessDeniedException",
                "User: arn:aws:sts::123456789012:assumed-role/KMS-ops/ann is not authorized to perform: dynamodb:GetItem on resource: arn:aws:dynamodb:eu-central-1:123456789012:table/tandem",
            ),
            ("ThrottlingException", "kms:Decrypt"),
        ] {
            assert!(!is_refused(code, message), "{code}: {message}");
        }
    }
}
