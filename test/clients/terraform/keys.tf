data "aws_iam_policy_document" "key" {
  statement {
    sid       = "Owner"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.me.account_id}:root"]
    }
  }
  statement {
    sid       = "Consumer"
    actions   = ["kms:DescribeKey", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.consumer}:root"]
    }
  }
  statement {
    sid       = "ConsumerGrants"
    actions   = ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.consumer}:root"]
    }
    condition {
      test     = "Bool"
      variable = "kms:GrantIsForAWSResource"
      values   = ["true"]
    }
  }
}

resource "aws_kms_key" "golden" {
  description             = "golden images, release ${var.release}"
  policy                  = data.aws_iam_policy_document.key.json
  enable_key_rotation     = true
  rotation_period_in_days = 180 + var.release
  deletion_window_in_days = 7
  tags                    = { release = var.release }
}

resource "aws_kms_alias" "golden" {
  name          = "alias/golden"
  target_key_id = aws_kms_key.golden.key_id
}

resource "aws_kms_key" "second" {
  provider                = aws.second
  description             = "golden images in the second region"
  deletion_window_in_days = 7
}

resource "aws_kms_key_policy" "second" {
  provider = aws.second
  key_id   = aws_kms_key.second.id
  policy   = data.aws_iam_policy_document.key.json
}

resource "aws_kms_grant" "machine" {
  name              = "machine"
  key_id            = aws_kms_key.golden.key_id
  grantee_principal = aws_iam_role.machine.arn
  operations        = ["Encrypt", "Decrypt", "GenerateDataKey", "DescribeKey"]
  constraints {
    encryption_context_subset = { purpose = "golden" }
  }
}

resource "aws_ebs_encryption_by_default" "on" {
  enabled = true
}

resource "aws_ebs_default_kms_key" "golden" {
  key_arn = aws_kms_key.golden.arn
}

data "aws_ebs_default_kms_key" "now" {
  depends_on = [aws_ebs_default_kms_key.golden]
}

data "aws_ebs_encryption_by_default" "now" {
  depends_on = [aws_ebs_encryption_by_default.on]

  lifecycle {
    postcondition {
      condition     = self.enabled
      error_message = "Encryption by default is off."
    }
  }
}

data "aws_kms_alias" "golden" {
  name = aws_kms_alias.golden.name

  lifecycle {
    postcondition {
      condition     = self.target_key_arn == aws_kms_key.golden.arn
      error_message = "The alias names another key."
    }
  }
}

data "aws_kms_key" "golden" {
  key_id = aws_kms_alias.golden.arn
}

resource "aws_ebs_snapshot_block_public_access" "all" {
  state = "block-all-sharing"
}

resource "aws_ec2_image_block_public_access" "new" {
  state = "block-new-sharing"
}
