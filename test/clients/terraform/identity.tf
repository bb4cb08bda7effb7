resource "aws_iam_role" "machine" {
  name        = "machine"
  description = "release ${var.release}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
  tags = { Name = "machine" }
}

resource "aws_iam_role_policy" "look" {
  name = "look"
  role = aws_iam_role.machine.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "ec2:DescribeImages", Resource = "*" }]
  })
}

resource "aws_iam_policy" "use" {
  name = "use-golden-key"
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "Release${var.release}", Effect = "Allow", Action = ["kms:Decrypt"], Resource = aws_kms_key.golden.arn }]
  })
  tags = { Name = "use" }
}

resource "aws_iam_role_policy_attachment" "use" {
  role       = aws_iam_role.machine.name
  policy_arn = aws_iam_policy.use.arn
}

resource "aws_iam_instance_profile" "machine" {
  name = "machine"
  role = aws_iam_role.machine.name
}

resource "aws_iam_user" "pipeline" {
  name = "pipeline"
  tags = { Name = "pipeline" }
}

resource "aws_iam_access_key" "pipeline" {
  user = aws_iam_user.pipeline.name
}

resource "aws_iam_user_policy_attachment" "pipeline" {
  user       = aws_iam_user.pipeline.name
  policy_arn = "arn:aws:iam::aws:policy/AdministratorAccess"
}

resource "aws_iam_group" "operators" {
  name = "operators"
}

resource "aws_iam_group_membership" "operators" {
  name  = "operators"
  group = aws_iam_group.operators.name
  users = [aws_iam_user.pipeline.name]
}

data "aws_iam_role" "machine" {
  name = aws_iam_role.machine.name
}
