# The account that the image is shared with takes it over: a copy under its own key, and a machine from it.

provider "aws" {
  alias  = "consumer"
  region = "us-east-1"
  assume_role {
    role_arn = "arn:aws:iam::${var.consumer}:role/OrganizationAccountAccessRole"
  }
}

data "aws_ami" "shared" {
  provider         = aws.consumer
  executable_users = ["self"]
  owners           = [data.aws_caller_identity.me.account_id]
  most_recent      = true
  depends_on       = [aws_ami_launch_permission.consumer]
}

resource "aws_kms_key" "consumer" {
  provider                = aws.consumer
  description             = "images taken over"
  deletion_window_in_days = 7
}

resource "aws_ami_copy" "consumer" {
  provider          = aws.consumer
  name              = "taken-over"
  source_ami_id     = data.aws_ami.shared.id
  source_ami_region = "us-east-1"
  encrypted         = true
  kms_key_id        = aws_kms_key.consumer.arn
}

resource "aws_instance" "consumer" {
  provider      = aws.consumer
  ami           = aws_ami_copy.consumer.id
  instance_type = "t3.micro"
}

output "consumer_root_key" {
  value = [aws_instance.consumer.root_block_device[0].kms_key_id == aws_kms_key.consumer.arn]
}
