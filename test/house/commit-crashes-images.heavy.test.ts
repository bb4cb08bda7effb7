/** kill -9 before every commit of the work on images, and of the end of an upload. */
import { killAtEveryCommit } from './commit-crashes.ts';

killAtEveryCommit(({ name }) => /Image|CompleteSnapshot/.test(name));
