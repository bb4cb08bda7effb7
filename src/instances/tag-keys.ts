/** Whether a tag can be a name in the tree of the metadata service. */
export function isMetadataTagKey(key: string): boolean {
  return /^[0-9a-zA-Z\-_+=,.@:]{1,255}$/.test(key) && !['.', '..', '_index'].includes(key);
}
