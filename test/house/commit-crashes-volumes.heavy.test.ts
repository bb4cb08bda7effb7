/** kill -9 before every commit of the work on volumes and snapshots. */
import { killAtEveryCommit } from './commit-crashes.ts';

killAtEveryCommit(({ name }) => !/Instances|Image|CompleteSnapshot/.test(name));
