# What a platform team keeps in Terraform for its golden image: keys, defaults, image, copies, sharing, machines.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region = "us-east-1"
}

provider "aws" {
  alias  = "second"
  region = "eu-central-1"
}

variable "consumer" {
  description = "Account that may launch the image."
  type        = string
}

variable "release" {
  description = "Changes what can be changed in place."
  type        = number
  default     = 1
}

variable "deprecation_year" {
  description = "Year in which the image is deprecated: at most ten from now."
  type        = number
}

data "aws_caller_identity" "me" {}

data "aws_availability_zones" "here" {
  state = "available"
}

output "account" {
  value = data.aws_caller_identity.me.account_id
}

output "key" {
  value = aws_kms_key.golden.arn
}

output "second_key" {
  value = aws_kms_key.second.arn
}

output "default_key" {
  value = data.aws_ebs_default_kms_key.now.key_arn
}

output "found_image" {
  value = [data.aws_ami.golden.id == aws_ami.golden.id, data.aws_ami.golden.name]
}

output "copied_snapshot_key" {
  value = aws_ebs_snapshot_copy.second.kms_key_id
}

output "copied_image" {
  value = aws_ami_copy.second.id
}

output "root_keys" {
  value = [
    aws_instance.machine.root_block_device[0].kms_key_id,
    aws_instance.direct.root_block_device[0].kms_key_id,
  ]
}
