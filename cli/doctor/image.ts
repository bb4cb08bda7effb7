/** Whether the launching account sees an image, and may use it (fault 21); then the devices of a launch from it. */
import { GetAllowedImagesSettingsCommand, type Image } from '@aws-sdk/client-ec2';
import { enableImageMend, shareImageMend } from '../foresee/image-mends.ts';
import { imageIn, launchPermissions } from '../foresee/images.ts';
import { mendOf } from '../foresee/mend.ts';
import type { Case } from './diagnosis.ts';

function notSeenAs({ task }: Case, id: string): string {
  if (task === 'copy-image') return 'CopyImage answers InvalidAMIID.NotFound.';
  return `RunInstances answers AuthFailure: Not authorized for images: [${id}]; Auto Scaling shows the same.`;
}

/** The image as the launch will find it, or nothing once a fault is told. `usable` is false where that could not be seen. */
export async function usableImage(found: Case, imageId: string): Promise<Image | undefined> {
  const { ledger, views, principal } = found;
  const seen = await imageIn(views, principal.account, imageId);
  if (seen.seen && seen.value !== 'missing') return inState(found, seen.value);
  const owned = await bySomeOwner(found, imageId);
  if (!seen.seen) {
    // Nobody's eyes are in the launching account: what the owner shares is told by the owner.
    if (!owned) {
      ledger.notSeen(seen);
      return undefined;
    }
    return (await sharedBy(found, owned)) ? inState(found, owned) : undefined;
  }
  if (!owned) {
    ledger.fault({
      fault: 'F21',
      title: `account ${principal.account} does not see ${imageId} in ${views.region}`,
      symptom: notSeenAs(found, imageId),
      details: [
        'It is not there, or its owner does not share it with the account, or it is in another region.',
        'With --owner-profile the doctor looks with the eyes of the owner, too.',
      ],
      mends: [byOwner(imageId, principal.account, views.region)],
    });
    return undefined;
  }
  const { OwnerId: owner = '' } = owned;
  const place = { region: views.region, account: owner };
  if (owned.State === 'disabled') {
    const share = owner === principal.account ? [] : [shareImageMend(place, imageId, principal.account)];
    disabled(found, owned, share);
    return undefined;
  }
  if (!(await sharedBy(found, owned))) return undefined;
  const settings = await views.look(
    { what: 'the allowed images of the account', wants: 'ec2:GetAllowedImagesSettings', account: principal.account },
    (aws) => aws.ec2.send(new GetAllowedImagesSettingsCommand({})),
  );
  const rules = settings.seen && settings.value.State === 'enabled';
  ledger.fault({
    fault: 'F21',
    title: `account ${principal.account} does not see ${imageId}, though it is shared with it`,
    symptom: notSeenAs(found, imageId),
    details: rules ? ['The account allows some images only (Allowed AMIs), and this is none of them.'] : [],
  });
  return undefined;
}

/** The image by the eyes of an owner whose credentials were given. */
async function bySomeOwner({ views, principal }: Case, imageId: string): Promise<Image | undefined> {
  for (const account of views.accounts) {
    if (account === principal.account) continue;
    const seen = await imageIn(views, account, imageId);
    if (seen.seen && seen.value !== 'missing' && seen.value.OwnerId === account) return seen.value;
  }
  return undefined;
}

/** Tells a fault unless the owner's list has the account, or everybody. */
async function sharedBy(found: Case, image: Image): Promise<boolean> {
  const { views, principal, ledger } = found;
  const { ImageId: id = '', OwnerId: owner = '' } = image;
  if (image.Public) return true;
  const listed = await launchPermissions(views, owner, id);
  if (!listed.seen) {
    ledger.notSeen(listed);
    return true;
  }
  if (listed.value.some(({ UserId, Group }) => UserId === principal.account || Group === 'all')) return true;
  const organizations = listed.value.flatMap(({ OrganizationArn, OrganizationalUnitArn }) =>
    [OrganizationArn, OrganizationalUnitArn].filter(Boolean),
  );
  ledger.fault({
    fault: 'F21',
    title: `${id} is not shared with account ${principal.account}`,
    symptom: notSeenAs(found, id),
    details:
      organizations.length > 0
        ? [`It is shared with ${organizations.join(', ')}; account ${principal.account} is not seen to be in it.`]
        : [],
    mends: [shareImageMend({ region: views.region, account: owner }, id, principal.account)],
  });
  return false;
}

function inState(found: Case, image: Image): Image | undefined {
  const { ledger, principal } = found;
  const { ImageId: id = '', State: state = 'available', OwnerId: owner = '' } = image;
  if (state === 'disabled') {
    disabled(found, image, []);
    return undefined;
  }
  if (state !== 'available') {
    ledger.fault({
      fault: 'image-unavailable',
      title: `${id} is ${state}${image.StateReason?.Message ? `: ${image.StateReason.Message}` : ''}`,
      symptom: 'RunInstances answers InvalidAMIID.Unavailable.',
      details: state === 'pending' ? ['Wait until it is available.'] : [],
    });
    return undefined;
  }
  const whose =
    owner === principal.account ? 'its own' : `of account ${owner}${image.Public ? ', public' : ', shared with it'}`;
  ledger.ok(`${id} (${image.Name}) is available; account ${principal.account} sees it: ${whose}`);
  return image;
}

function disabled({ ledger, views }: Case, image: Image, more: readonly ReturnType<typeof shareImageMend>[]): void {
  const { ImageId: id = '', OwnerId: account = '' } = image;
  ledger.fault({
    fault: 'F21',
    title: `${id} is disabled`,
    symptom:
      'RunInstances answers InvalidAMIID.Unavailable; accounts it was shared with get Not authorized for images.',
    mends: [enableImageMend({ region: views.region, account }, id), ...more],
  });
}

/** Who owns it is not known: the command is for the owner. */
function byOwner(imageId: string, consumer: string, region: string) {
  const mend = shareImageMend({ region, account: '' }, imageId, consumer);
  return mendOf({
    ...mend,
    account: "the image's owner",
    calls: [],
    note: 'The owner runs it; --owner-profile names credentials of theirs, so that the doctor can look and mend.',
  });
}
