resource "aws_kms_key" "multi" {
  multi_region            = true
  deletion_window_in_days = 7
}

resource "aws_kms_replica_key" "multi" {
  provider                = aws.second
  primary_key_arn         = aws_kms_key.multi.arn
  deletion_window_in_days = 7
}

resource "aws_kms_key" "signing" {
  customer_master_key_spec = "ECC_NIST_P256"
  key_usage                = "SIGN_VERIFY"
  deletion_window_in_days  = 7
}

data "aws_kms_public_key" "signing" {
  key_id = aws_kms_key.signing.arn
}

resource "aws_kms_ciphertext" "hello" {
  key_id    = aws_kms_key.multi.key_id
  plaintext = "hello"
  context   = { purpose = "test" }
}

data "aws_kms_secrets" "hello" {
  secret {
    name    = "hello"
    payload = aws_kms_ciphertext.hello.ciphertext_blob
    context = { purpose = "test" }
  }

  lifecycle {
    postcondition {
      condition     = self.plaintext["hello"] == "hello"
      error_message = "What was encrypted is not what is decrypted."
    }
  }
}
