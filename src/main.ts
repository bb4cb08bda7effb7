/** The server process: gives itself the settings it must have from its first moment, then serves. */
import { settleProcess } from './process-settings.ts';

settleProcess();
// Only now: what is loaded before the settings hold is loaded twice.
await import('./serve.ts');
