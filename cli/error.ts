/** Something the user can set right; the message says how, and no stack is shown. */
export class CliError extends Error {
  override readonly name = 'CliError';
}
