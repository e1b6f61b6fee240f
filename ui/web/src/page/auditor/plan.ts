/** A query's plan that owners approved, or are asked to (ListPlansResponse). */
export interface PendingPlan {
  readonly plan: string;
  readonly state: "approved" | "pending";
  readonly at: string;
  readonly person?: string;
  readonly sql?: string;
  readonly approved: Readonly<Record<string, string>>;
  readonly missing: readonly string[];
}
