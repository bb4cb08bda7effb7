/** `ingot`: commands that speak to a server by the public AWS API. `serve` is the server itself; see src/main.ts. */
import tab from '@bomb.sh/tab/commander';
import { CliError, describeFailure, EXIT } from './error.ts';
import { printable } from './printable.ts';
import { makeProgram } from './program.ts';

const program = makeProgram(process.exit);
tab(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof Error && error.name === 'AbortError') {
    process.stderr.write('Stopped.\n');
    process.exitCode = EXIT.interrupted;
  } else {
    process.stderr.write(`${printable(describeFailure(error))}\n`);
    process.exitCode = error instanceof CliError ? error.exitCode : EXIT.failed;
  }
}
