# A golden image in two regions, each copy under that region's key, shared with another account.

variable "name" {
  type = string
}

variable "source_ami" {
  type = string
}

variable "key" {
  type = string
}

variable "second_key" {
  type = string
}

variable "consumer" {
  type = string
}

variable "endpoint" {
  type = string
}

source "amazon-ebs" "golden" {
  custom_endpoint_ec2     = var.endpoint
  skip_region_validation  = true
  skip_metadata_api_check = true

  region        = "us-east-1"
  source_ami    = var.source_ami
  instance_type = "t3.micro"
  communicator  = "none"
  user_data     = "#!/bin/sh\necho built by Packer\n"

  ami_name           = var.name
  ami_description    = "made by Packer"
  ami_regions        = ["us-east-1", "eu-central-1"]
  ami_users          = [var.consumer]
  snapshot_users     = [var.consumer]
  encrypt_boot       = true
  kms_key_id         = var.key
  region_kms_key_ids = { "us-east-1" = var.key, "eu-central-1" = var.second_key }

  tags            = { Base = var.source_ami }
  snapshot_tags   = { Part = "root" }
  run_tags        = { Name = "builder" }
  run_volume_tags = { Name = "builder" }
}

build {
  sources = ["source.amazon-ebs.golden"]
}
