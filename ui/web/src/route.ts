// Which page an address means. Pure: nothing here reads or changes the browser's address, see shell/navigation.svelte.ts.

export type Face = "analyst" | "participant" | "auditor" | "operator";

/** A page of the application. Pages below a collaboration carry its id in the address: /c/ID/PAGE. */
export interface PageInfo {
  readonly name: string;
  readonly label: string;
  readonly face: Face;
  /** Roles of the manifest of which one is needed to see the page in the navigation; empty: everybody. */
  readonly roles: readonly string[];
}

export const pages = [
  { name: "query", label: "Query", face: "analyst", roles: ["analyst"] },
  { name: "saved", label: "Saved queries", face: "analyst", roles: ["analyst", "steward"] },
  { name: "history", label: "History", face: "analyst", roles: ["analyst", "steward", "organisation"] },
  { name: "start", label: "Start here", face: "participant", roles: ["steward", "organisation"] },
  { name: "policy", label: "Policies", face: "participant", roles: ["steward", "organisation"] },
  { name: "upload", label: "Upload", face: "participant", roles: ["steward"] },
  { name: "data", label: "Datasets", face: "participant", roles: ["steward", "organisation", "auditor"] },
  { name: "budget", label: "Budget", face: "participant", roles: [] },
  { name: "review", label: "Review", face: "auditor", roles: ["auditor", "steward", "organisation"] },
  { name: "evidence", label: "Evidence", face: "auditor", roles: [] },
  { name: "activity", label: "Activity", face: "auditor", roles: ["auditor", "steward", "organisation"] },
  { name: "receipt", label: "Check a receipt", face: "auditor", roles: [] },
] as const satisfies readonly PageInfo[];

export type PageName = (typeof pages)[number]["name"];

export type Route =
  | { readonly page: "home" }
  | { readonly page: "signin" }
  | { readonly page: "mesh" }
  | { readonly page: "keys" }
  | { readonly page: "receipt-file" } // a receipt checked without any collaboration or session
  | { readonly page: PageName; readonly collaboration: string }
  | { readonly page: "missing"; readonly path: string };

const plain: Readonly<Record<string, Route>> = {
  "/": { page: "home" },
  "/signin": { page: "signin" },
  "/mesh": { page: "mesh" },
  "/keys": { page: "keys" },
  "/receipt": { page: "receipt-file" },
};

/** Reads the path of an address, for instance "/c/nafld-outcomes/query". */
export function parseRoute(path: string): Route {
  const known = plain[path.replace(/(.)\/$/, "$1")];
  if (known) return known;
  const [, c, collaboration, name, ...rest] = path.split("/");
  const page = pages.find((p) => p.name === name);
  if (c === "c" && collaboration && page && rest.length === 0) {
    return { page: page.name, collaboration: decodeURIComponent(collaboration) };
  }
  return { page: "missing", path };
}

/** The address of a page of a collaboration. */
export function pagePath(page: PageName, collaboration: string): string {
  return `/c/${encodeURIComponent(collaboration)}/${page}`;
}
