// The pages, each loaded when it is first shown. A page of a collaboration takes the property `collaboration`.
import type { Component } from "svelte";
import type { PageName } from "../route";

export type PageComponent = Component<{ collaboration: string }>;
type Loader = () => Promise<{ default: PageComponent }>;

export const loaders: Readonly<Record<PageName, Loader>> = {
  query: () => import("../page/analyst/Query.svelte"),
  saved: () => import("../page/analyst/Saved.svelte"),
  history: () => import("../page/analyst/History.svelte"),
  start: () => import("../page/participant/Start.svelte"),
  policy: () => import("../page/participant/PolicyBuilder.svelte"),
  upload: () => import("../page/participant/Upload.svelte"),
  data: () => import("../page/participant/Datasets.svelte"),
  budget: () => import("../page/participant/Budget.svelte"),
  review: () => import("../page/auditor/Review.svelte"),
  evidence: () => import("../page/auditor/Evidence.svelte"),
  activity: () => import("../page/auditor/Activity.svelte"),
  receipt: () => import("../page/auditor/Receipt.svelte"),
};
