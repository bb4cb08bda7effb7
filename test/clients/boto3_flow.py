"""The main job with boto3, unmodified: prints one JSON object of what it saw. Endpoint and credentials come from the environment."""

import base64
import hashlib
import json
import os
import time
import urllib.error
import urllib.request

import boto3
from botocore.exceptions import ClientError

REGION = os.environ["AWS_REGION"]
BLOCK = 524288


def client(name, region=REGION):
    return boto3.client(name, region_name=region)


def until(probe, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = probe()
        if value:
            return value
        time.sleep(0.1)
    raise TimeoutError(probe)


def refusal(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return [error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]]
    return "accepted"


seen = {}
sts, kms, ebs, ec2 = client("sts"), client("kms"), client("ebs"), client("ec2")
seen["account"] = sts.get_caller_identity()["Account"]

url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
with urllib.request.urlopen(url) as answer:
    seen["presigned"] = seen["account"] in answer.read().decode()
try:
    urllib.request.urlopen(url.replace("GetCallerIdentity", "GetSessionToken"))
except urllib.error.HTTPError as error:
    seen["presigned_changed"] = error.code

key = kms.create_key(Description="boto3")["KeyMetadata"]
context = {"purpose": "test"}
sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hello", EncryptionContext=context)["CiphertextBlob"]
seen["decrypted"] = kms.decrypt(CiphertextBlob=sealed, EncryptionContext=context)["Plaintext"].decode()
seen["wrong_context"] = refusal(kms.decrypt, CiphertextBlob=sealed, EncryptionContext={"purpose": "other"})

started = ebs.start_snapshot(VolumeSize=1, Encrypted=True, KmsKeyArn=key["Arn"])
snapshot = started["SnapshotId"]
block = os.urandom(BLOCK)
digest = hashlib.sha256(block).digest()
checksum = base64.b64encode(digest).decode()
ebs.put_snapshot_block(
    SnapshotId=snapshot, BlockIndex=3, BlockData=block, DataLength=BLOCK, Checksum=checksum, ChecksumAlgorithm="SHA256"
)
seen["bad_checksum"] = refusal(
    ebs.put_snapshot_block,
    SnapshotId=snapshot,
    BlockIndex=4,
    BlockData=block,
    DataLength=BLOCK,
    Checksum=base64.b64encode(bytes(32)).decode(),
    ChecksumAlgorithm="SHA256",
)
ebs.complete_snapshot(
    SnapshotId=snapshot,
    ChangedBlocksCount=1,
    Checksum=base64.b64encode(hashlib.sha256(digest).digest()).decode(),
    ChecksumAlgorithm="SHA256",
    ChecksumAggregationMethod="LINEAR",
)
ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
listed = ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]
seen["indexes"] = [entry["BlockIndex"] for entry in listed]
read = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=3, BlockToken=listed[0]["BlockToken"])
seen["same_bytes"] = read["BlockData"].read() == block

image = ec2.register_image(
    Name="boto3-golden",
    Architecture="x86_64",
    VirtualizationType="hvm",
    RootDeviceName="/dev/xvda",
    BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
)["ImageId"]
ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
found = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["boto3-*"]}])["Images"]
seen["encrypted_image"] = [entry["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] for entry in found]
seen["duplicate_name"] = refusal(
    ec2.register_image,
    Name="boto3-golden",
    RootDeviceName="/dev/xvda",
    BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
)
seen["plain_copy"] = refusal(
    ec2.copy_image, Name="plain", SourceImageId=image, SourceRegion=REGION, Encrypted=False
)
seen["dry_run"] = refusal(ec2.describe_volumes, DryRun=True)
seen["not_implemented"] = refusal(ec2.describe_vpn_gateways)
pages = ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], PaginationConfig={"PageSize": 5})
seen["pages"] = [[each["SnapshotId"] == snapshot for each in page["Snapshots"]] for page in pages]
tagged = boto3.resource("ec2", region_name=REGION).Image(image)
tagged.create_tags(Tags=[{"Key": "Release", "Value": "1"}])
tagged.reload()
seen["resource"] = [tagged.state, tagged.tags, tagged.owner_id == seen["account"]]

instance = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])["Volumes"]
seen["root_volume"] = [[volume["Encrypted"], volume["KmsKeyId"] == key["Arn"]] for volume in volumes]
ec2.terminate_instances(InstanceIds=[instance])
ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 60})

events = until(
    lambda: client("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "GenerateDataKey"}]
    )["Events"]
)
seen["context_of_data_key"] = json.loads(events[0]["CloudTrailEvent"])["requestParameters"]["encryptionContext"] == {
    "aws:ebs:id": snapshot
}
print(json.dumps(seen))
