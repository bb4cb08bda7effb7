/** What launches of the consumers will be sealed under, foreseen from the settings of their accounts. */

import { mapBounded } from '../bounded.ts';
import { type DeviceRequest, effectiveDevices } from '../foresee/devices.ts';
import { findKey, isEbsManagedAlias, keyProblem } from '../foresee/key.ts';
import { encryptionOf } from './image-steps.ts';
import { readDefaults } from './published.ts';
import { type Context, consumersOf, type RegionState } from './region-plan.ts';
import type { Encryption } from './step.ts';

export interface Launch {
  readonly account: string;
  readonly region: string;
  readonly encryption: Encryption;
  /** Why launches there would fail: the account's own key cannot be used. */
  readonly problem?: string;
}

const ACCOUNTS_AT_ONCE = 10;

/** Of accounts whose settings can be seen; `devices` are those of the image as the account sees it. */
export function foreseeLaunches(
  context: Context,
  { site: { region }, views }: RegionState,
  devicesFor: (account: string) => readonly DeviceRequest[],
): Promise<Launch[]> {
  const { sites, signal } = context;
  return mapBounded(consumersOf(context), ACCOUNTS_AT_ONCE, signal, async (account): Promise<Launch> => {
    const defaults = await readDefaults(sites.at(account, region), signal);
    const effective = effectiveDevices(devicesFor(account), defaults);
    const launch = { account, region, encryption: encryptionOf(effective) };
    for (const device of effective) {
      if (device.outcome !== 'encrypted' || device.key === undefined || isEbsManagedAlias(device.key)) continue;
      const key = await findKey(views, device.key, account);
      const problem = key.seen ? keyProblem(key.value, region) : undefined;
      if (problem !== undefined) return { ...launch, problem: `${device.key} is ${problem.replaceAll('-', ' ')}` };
    }
    return launch;
  });
}
