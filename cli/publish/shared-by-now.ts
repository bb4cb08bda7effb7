/** Calls on what another account has shared a moment ago. */
import { settling } from '../settling.ts';

/** The storage of an image is not open at once to an account that it was shared with a moment ago, nor the image seen. */
const NOT_SHARED_YET = /^(InvalidAMIID\.NotFound|InvalidAMIID\.Unavailable|InvalidRequest|AuthFailure)$/;

/** What the call gives; asked again for some seconds while it fails as it would for somebody not shared with. */
export async function sharedByNow<Answer>(
  call: () => Promise<Answer>,
  signal: AbortSignal,
  waitsMs?: readonly number[],
): Promise<Answer> {
  const outcome = () =>
    call().then(
      (answer) => ({ answer }),
      (error: unknown) => ({ error }),
    );
  const notYet = (error: unknown) => error instanceof Error && NOT_SHARED_YET.test(error.name);
  const seen = await settling<{ answer: Answer } | { error: unknown }>(
    outcome,
    (one) => 'answer' in one || !notYet(one.error),
    signal,
    waitsMs,
  );
  if ('error' in seen) throw seen.error;
  return seen.answer;
}
