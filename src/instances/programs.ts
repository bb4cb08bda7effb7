/** Kinds of the jobs of this folder. They stand in the database and never change once released. */
export const LAUNCH = 'instances.launch';
export const START = 'instances.start';
export const STOP = 'instances.stop';
export const TERMINATE = 'instances.terminate';
export const REBOOT = 'instances.reboot';
export const FORGET = 'instances.forget';
export const REPLACE_ROOT = 'instances.replace-root';
