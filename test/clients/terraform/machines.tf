data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

data "aws_subnet" "first" {
  id = sort(data.aws_subnets.default.ids)[0]
}

resource "aws_security_group" "machines" {
  name        = "machines"
  description = "rules inside"
  vpc_id      = data.aws_vpc.default.id
  ingress {
    from_port   = 22
    to_port     = 22 + var.release
    protocol    = "tcp"
    cidr_blocks = ["10.0.0.0/8"]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
  tags = { Name = "machines" }
}

resource "aws_security_group" "ruled" {
  name_prefix = "ruled-"
  description = "rules outside"
}

resource "aws_security_group_rule" "https" {
  type              = "ingress"
  security_group_id = aws_security_group.ruled.id
  from_port         = 443
  to_port           = 443
  protocol          = "tcp"
  cidr_blocks       = ["10.0.0.0/8"]
}

resource "aws_vpc_security_group_ingress_rule" "each_other" {
  security_group_id            = aws_security_group.ruled.id
  referenced_security_group_id = aws_security_group.machines.id
  ip_protocol                  = "-1"
  description                  = "from the machines"
  tags                         = { Name = "from the machines" }
}

resource "aws_default_security_group" "closed" {
  vpc_id = data.aws_vpc.default.id
}

resource "aws_key_pair" "operator" {
  key_name   = "operator"
  public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKvY1yD4bF7eO3p7Rr7mJvM0F2v9g0S9t5dPZxkE9mQx operator@example.com"
  tags       = { Name = "operator" }
}

resource "aws_launch_template" "machine" {
  name                   = "machine"
  description            = "from the golden image, release ${var.release}"
  image_id               = data.aws_ami.golden.id
  instance_type          = "t3.micro"
  key_name               = aws_key_pair.operator.key_name
  vpc_security_group_ids = [aws_security_group.machines.id]
  update_default_version = true
  user_data              = base64encode("#!/bin/sh\necho release ${var.release}\n")
  iam_instance_profile {
    name = aws_iam_instance_profile.machine.name
  }
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      encrypted             = true
      kms_key_id            = aws_kms_key.golden.arn
      volume_size           = 3
      volume_type           = "gp3"
      delete_on_termination = true
    }
  }
  tag_specifications {
    resource_type = "volume"
    tags          = { Name = "machine" }
  }
  tags = { Name = "machine" }
}

resource "aws_instance" "machine" {
  launch_template {
    id      = aws_launch_template.machine.id
    version = "1"
  }
  subnet_id = data.aws_subnet.first.id
  tags      = { Name = "machine", release = var.release }

  lifecycle {
    # The provider hashes the hash of the template's user data at every plan (its issue 30825).
    ignore_changes = [user_data]
  }
}

resource "aws_instance" "direct" {
  ami                    = aws_ami.golden.id
  instance_type          = "t3.small"
  subnet_id              = data.aws_subnet.first.id
  vpc_security_group_ids = [aws_security_group.ruled.id]
  key_name               = aws_key_pair.operator.key_name
  iam_instance_profile   = aws_iam_instance_profile.machine.name
  user_data              = "#!/bin/sh\necho direct\n"
  metadata_options {
    http_tokens = "required"
  }
  root_block_device {
    encrypted             = true
    kms_key_id            = aws_kms_key.golden.arn
    volume_size           = 4
    delete_on_termination = true
    tags                  = { Name = "direct" }
  }
  ebs_block_device {
    device_name = "/dev/sdg"
    volume_size = 1
    encrypted   = true
  }
  tags = { Name = "direct" }
}

resource "aws_ec2_instance_state" "direct" {
  instance_id = aws_instance.direct.id
  state       = var.release == 1 ? "stopped" : "running"
}

resource "aws_ebs_volume" "data" {
  availability_zone = data.aws_subnet.first.availability_zone
  size              = 1
  tags              = { Name = "data" }
}

resource "aws_volume_attachment" "data" {
  device_name = "/dev/sdf"
  volume_id   = aws_ebs_volume.data.id
  instance_id = aws_instance.machine.id
}

resource "aws_ami_from_instance" "again" {
  name                    = "from-instance"
  source_instance_id      = aws_instance.direct.id
  snapshot_without_reboot = true
}
