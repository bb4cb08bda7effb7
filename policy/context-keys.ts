/** Condition keys that a policy asks for: in conditions, and as variables in resources and condition values. */

/** In the spelling of the document, in order, each once ignoring case. The document must be one that compiles. */
export function contextKeysOf(text: string): string[] {
  const keys = new Map<string, string>();
  const add = (key: string) => {
    if (!keys.has(key.toLowerCase())) keys.set(key.toLowerCase(), key);
  };
  const document = JSON.parse(text) as { readonly Version?: string; readonly Statement: unknown };
  const variables = document.Version === '2012-10-17';
  const scan = (value: unknown) => {
    if (!variables) return;
    for (const [, name] of JSON.stringify(value ?? '').matchAll(/\$\{\s*([^*?$,}\s]+)\s*(?:,[^}]*)?\}/g)) add(name!);
  };
  for (const statement of [document.Statement].flat() as Readonly<Record<string, unknown>>[]) {
    scan(statement.Resource);
    scan(statement.NotResource);
    for (const condition of Object.values((statement.Condition ?? {}) as object)) {
      for (const [key, values] of Object.entries(condition as object)) {
        add(key);
        scan(values);
      }
    }
  }
  return [...keys.values()];
}
