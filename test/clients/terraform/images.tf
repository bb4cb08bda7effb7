resource "aws_ebs_volume" "source" {
  availability_zone = data.aws_availability_zones.here.names[0]
  size              = 1
  type              = "gp3"
  encrypted         = true
  kms_key_id        = aws_kms_key.golden.arn
  tags              = { Name = "source" }
}

resource "aws_ebs_snapshot" "source" {
  volume_id   = aws_ebs_volume.source.id
  description = "source of the golden image"
  tags        = { Name = "source", release = var.release }
}

resource "aws_ebs_snapshot_copy" "second" {
  provider           = aws.second
  source_snapshot_id = aws_ebs_snapshot.source.id
  source_region      = "us-east-1"
  encrypted          = true
  kms_key_id         = aws_kms_key.second.arn
  tags               = { Name = "copied" }
}

resource "aws_snapshot_create_volume_permission" "consumer" {
  snapshot_id = aws_ebs_snapshot.source.id
  account_id  = var.consumer
}

resource "aws_ami" "golden" {
  name                = "golden"
  description         = "golden image, release ${var.release}"
  architecture        = "x86_64"
  virtualization_type = "hvm"
  root_device_name    = "/dev/xvda"
  ena_support         = true
  imds_support        = "v2.0"
  deprecation_time    = "${var.deprecation_year}-0${var.release}-01T00:00:00Z"
  ebs_block_device {
    device_name = "/dev/xvda"
    snapshot_id = aws_ebs_snapshot.source.id
    volume_size = 2
    volume_type = "gp3"
  }
  tags = { Name = "golden", release = var.release }
}

resource "aws_ami_copy" "second" {
  provider          = aws.second
  name              = "golden-second"
  source_ami_id     = aws_ami.golden.id
  source_ami_region = "us-east-1"
  encrypted         = true
  kms_key_id        = aws_kms_key.second.arn
  tags              = { Name = "golden-second" }
}

resource "aws_ami_launch_permission" "consumer" {
  image_id   = aws_ami.golden.id
  account_id = var.consumer
}

data "aws_ami" "golden" {
  owners      = ["self"]
  most_recent = true
  filter {
    name   = "name"
    values = ["gold*"]
  }
  filter {
    name   = "virtualization-type"
    values = ["hvm"]
  }
  depends_on = [aws_ami.golden]
}

data "aws_ebs_snapshot" "source" {
  snapshot_ids = [aws_ebs_snapshot.source.id]

  lifecycle {
    postcondition {
      condition     = self.encrypted && self.kms_key_id == aws_kms_key.golden.arn
      error_message = "The snapshot is not under the golden key."
    }
  }
}
