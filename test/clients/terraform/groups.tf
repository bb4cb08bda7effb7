# Nodes from the golden image: the role that launches them is named in the key policy, or they would not come up.

resource "aws_iam_service_linked_role" "nodes" {
  aws_service_name = "autoscaling.amazonaws.com"
  custom_suffix    = "nodes"
}

resource "aws_kms_key" "nodes" {
  description = "volumes of nodes"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.me.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "UseByAutoScaling"
        Effect    = "Allow"
        Principal = { AWS = aws_iam_service_linked_role.nodes.arn }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
      },
      {
        Sid       = "GrantsByAutoScaling"
        Effect    = "Allow"
        Principal = { AWS = aws_iam_service_linked_role.nodes.arn }
        Action    = "kms:CreateGrant"
        Resource  = "*"
        Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
      },
    ]
  })
}

# The image lies under another key, which its own policy does not give to the role.
resource "aws_kms_grant" "nodes" {
  name              = "nodes"
  key_id            = aws_kms_key.golden.key_id
  grantee_principal = aws_iam_service_linked_role.nodes.arn
  operations        = ["DescribeKey", "ReEncryptFrom"]
}

resource "aws_launch_template" "nodes" {
  name          = "nodes"
  image_id      = aws_ami.golden.id
  instance_type = "t3.micro"
  user_data     = base64encode("#!/bin/sh\necho node of release ${var.release}\n")
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      encrypted  = true
      kms_key_id = aws_kms_key.nodes.arn
    }
  }
  network_interfaces {
    device_index    = 0
    security_groups = [aws_security_group.machines.id]
  }
}

resource "aws_autoscaling_group" "nodes" {
  name                    = "nodes"
  min_size                = 1
  max_size                = 3
  desired_capacity        = var.release
  vpc_zone_identifier     = data.aws_subnets.default.ids
  service_linked_role_arn = aws_iam_service_linked_role.nodes.arn
  depends_on              = [aws_kms_grant.nodes]
  launch_template {
    id      = aws_launch_template.nodes.id
    version = aws_launch_template.nodes.latest_version
  }
  tag {
    key                 = "Name"
    value               = "node"
    propagate_at_launch = true
  }
  tag {
    key                 = "release"
    value               = var.release
    propagate_at_launch = false
  }
}

data "aws_instances" "nodes" {
  instance_tags = { "aws:autoscaling:groupName" = aws_autoscaling_group.nodes.name }
}

output "nodes" {
  value = length(data.aws_instances.nodes.ids)
}
