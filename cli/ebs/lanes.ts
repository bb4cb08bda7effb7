/** Work side by side: the first failure, or an interruption, stops every lane before the error is thrown. */
export async function inLanes(
  count: number,
  signal: AbortSignal,
  lane: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  let first: { readonly error: unknown } | undefined;
  const guarded = async () => {
    try {
      await lane(either);
    } catch (error) {
      first ??= { error };
      failure.abort();
    }
  };
  await Promise.all(Array.from({ length: count }, guarded));
  if (first) throw first.error;
}
