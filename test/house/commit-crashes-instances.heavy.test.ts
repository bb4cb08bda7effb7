/** kill -9 before every commit of the work on instances. */
import { killAtEveryCommit } from './commit-crashes.ts';

killAtEveryCommit(({ name }) => /Instances/.test(name));
