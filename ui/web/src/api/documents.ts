// The signed documents as pages read them: the manifest and policies of a collaboration, in canonical JSON (protocol/document).
import type { Documents, ManifestStatus } from "../gen/concordat/v1/concordat_pb";
import { readJson } from "./json";

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: "Manifest";
  readonly collaboration: string;
  readonly version: number;
  readonly purpose: string;
  readonly expires: string;
  readonly participants: readonly Participant[];
  readonly people?: readonly Person[];
  readonly namespaces: Readonly<Record<string, { readonly normalize?: string; readonly prehashed?: string }>>;
  readonly datasets: readonly { readonly id: string; readonly owner: string; readonly policy_digest: string }[];
  readonly release: { readonly time_grid?: string };
  readonly witnesses?: { readonly keys: readonly string[]; readonly quorum: number };
  readonly receivers?: { readonly default: string };
  readonly amendments?: { readonly tightening: string; readonly recovery: string };
  readonly review?: string;
  readonly mesh?: Mesh;
}

export interface Participant {
  readonly id: string;
  readonly name: string;
  readonly keys?: readonly string[];
  readonly threshold?: number;
  readonly signers?: readonly string[];
  readonly oidc?: { readonly issuer: string; readonly client_id: string };
}

export interface Person {
  readonly id: string;
  readonly participant: string;
  readonly roles: readonly string[];
  readonly keys?: readonly string[];
  readonly subject?: string;
}

export interface Mesh {
  readonly mode: "simulation" | "sgx";
  readonly marblerun_manifest: string;
  readonly root_certificate: string;
  readonly coordinator: string;
  readonly ledger: string;
  readonly voters?: readonly string[];
}

export type Role = "identifier" | "dimension" | "measure" | "time" | "hidden";
export type Scalar = string | number | boolean | null;

export interface Column {
  readonly type: string;
  readonly role: Role;
  readonly bounds?: readonly [number, number];
  readonly scale?: number;
  readonly grain?: string | number;
  readonly domain?: readonly Scalar[] | { readonly from: number; readonly to: number };
  readonly prefix?: number;
}

export interface Policy {
  readonly apiVersion: string;
  readonly kind: "Policy";
  readonly dataset: string;
  readonly owner: string;
  readonly unit: "none" | { readonly column: string; readonly namespace: string; readonly unique?: boolean };
  readonly columns: Readonly<Record<string, Column>>;
  readonly joins?: "allowed" | "required" | "blocked";
  readonly anti_overlap?: boolean;
  readonly aggregates?: readonly string[];
  readonly release?: {
    readonly mechanism: "differential_privacy" | "threshold";
    readonly min_units: number;
    readonly groups_per_unit: number;
    readonly rows_per_group: number;
    readonly max_groups?: number;
    readonly rho_per_aggregate?: number;
  };
  readonly budget?: {
    readonly rho?: number;
    readonly delta?: number;
    readonly period?: string;
    readonly lifetime_rho?: number;
    readonly queries?: number;
    readonly per_person_share?: number;
  };
  readonly max_rows_per_unit?: number;
  readonly expires?: string;
}

/** A manifest version with its policies, and what is known of its signatures. */
export interface Room {
  readonly manifest: Manifest;
  readonly policies: readonly Policy[];
  readonly documents: Documents;
  readonly status: ManifestStatus;
}

/** Reads the documents of an answer; throws if the collaboration has none. */
export function readRoom(status: ManifestStatus): Room {
  const documents = status.documents;
  if (!documents || documents.manifest.length === 0) throw new Error("The collaboration has no manifest yet.");
  return {
    manifest: readJson<Manifest>(documents.manifest),
    policies: documents.policies.map((p) => readJson<Policy>(p)),
    documents,
    status,
  };
}
