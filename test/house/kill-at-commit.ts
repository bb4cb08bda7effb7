/**
 * Loaded into a server before itself (NODE_OPTIONS=--import): ends the process with SIGKILL just before or just after a
 * commit to its database. The file named by INGOT_TEST_KILL says when, as `3 before` or `3 after`; it is looked at anew
 * at every commit, so that a test decides from which moment on commits count.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const file = process.env.INGOT_TEST_KILL ?? '';
const writing = new WeakSet<DatabaseSync>();
const prepare = DatabaseSync.prototype.prepare;

DatabaseSync.prototype.prepare = function (this: DatabaseSync, ...args: Parameters<typeof prepare>) {
  const statement = prepare.apply(this, args);
  const run = statement.run;
  if (args[0] === 'begin immediate') {
    statement.run = (...values) => {
      writing.add(this);
      return Reflect.apply(run, statement, values);
    };
  }
  if (args[0] === 'commit') {
    statement.run = (...values) => {
      const side = writing.delete(this) ? sideToDieOn() : undefined;
      if (side === 'before') process.kill(process.pid, 'SIGKILL');
      const result = Reflect.apply(run, statement, values);
      if (side === 'after') process.kill(process.pid, 'SIGKILL');
      return result;
    };
  }
  return statement;
};

function sideToDieOn(): string | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  const [count, side] = text.split(' ');
  if (Number(count) === 1) return side;
  writeFileSync(file, `${Number(count) - 1} ${side}`);
  return undefined;
}
