/** One line of a checklist: what was checked, and how far it is proved. */
export interface Check {
  readonly name: string;
  /** proved: verified here from bytes and keys; claimed: somebody says so; failed: it is not so; open: not checked. */
  readonly state: "proved" | "claimed" | "failed" | "open";
  readonly detail?: string;
}
