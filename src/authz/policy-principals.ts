/**
 * Principals inside stored policies: user and role ARNs are kept as unique ids, so that a re-created namesake does not
 * inherit access (authorization-and-wire 2.3, kms 14.9). `identity/` implements this; `keys/` and trust policies use it.
 */
export interface PolicyPrincipals {
  /**
   * The policy as it is stored: user and role ARNs become unique ids, account ids become root ARNs (2.2). Throws
   * `PolicyMalformed` with problem `principal` for a principal that does not exist or is a unique id already
   * (kms 14.6), and for a text that is no policy.
   */
  canonicalizePolicy(text: string): Promise<string>;
  /** The policy as it is shown: unique ids become ARNs again, those of deleted principals stay. */
  displayPolicy(stored: string): Promise<string>;
  /** One principal (of a grant, say) as it is stored; `undefined` if it does not exist or cannot be a principal. */
  canonicalizePrincipal(principal: string): Promise<string | undefined>;
  displayPrincipal(stored: string): Promise<string>;
}
