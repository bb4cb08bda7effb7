data "aws_organizations_organization" "this" {}

resource "aws_organizations_organizational_unit" "builders" {
  name      = "builders"
  parent_id = data.aws_organizations_organization.this.roots[0].id
}

resource "aws_organizations_policy" "encrypt" {
  name = "encrypt"
  content = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Release${var.release}"
      Effect    = "Deny"
      Action    = "ec2:CreateVolume"
      Resource  = "*"
      Condition = { Bool = { "ec2:Encrypted" = "false" } }
    }]
  })
}

resource "aws_organizations_policy_attachment" "encrypt" {
  policy_id = aws_organizations_policy.encrypt.id
  target_id = aws_organizations_organizational_unit.builders.id
}
