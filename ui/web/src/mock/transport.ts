// A made-up mesh in the browser's memory, for `npm run dev` and for tests of components: the demo's collaboration with one stored
// answer. It is not part of the build.
import { Code, ConnectError, createRouterTransport, type Transport } from "@connectrpc/connect";
import { AdminService, AnalystService, AuditorService, ParticipantService } from "../gen/concordat/v1/concordat_pb";
import { DocumentService } from "../gen/concordat/v1/document_pb";
import { SavedService } from "../gen/concordat/v1/saved_pb";
import { SessionService } from "../gen/concordat/v1/session_pb";
import { analyst, savedQueries } from "./analyst";
import clinic from "./data/clinic.patients.json";
import datasets from "./data/datasets.json";
import laboratory from "./data/laboratory.results.json";
import manifest from "./data/manifest.json";
import receipt from "./data/receipt.json";
import registry from "./data/registry.events.json";
import { documents } from "./participant";

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const collaboration = "nafld-outcomes";

const roles = {
  ana: { person: "ana@clinic.example", participant: "clinic", roles: ["analyst"] },
  dana: { person: "dana@clinic.example", participant: "clinic", roles: ["steward"] },
  otto: { person: "otto@registry.example", participant: "registry", roles: ["auditor"] },
} as const;

/** Who is signed in: ?as=ana, dana, otto or nobody in the address of the page. */
function persona() {
  const name = new URLSearchParams(globalThis.location?.search ?? "").get("as") ?? "ana";
  return name in roles ? roles[name as keyof typeof roles] : undefined;
}

function session() {
  const who = persona();
  return {
    mode: "local",
    simulation: true,
    signedIn: Boolean(who),
    person: who?.person ?? "",
    participant: who?.participant ?? "",
    memberships: who ? [{ collaboration, state: "active", ...who, roles: [...who.roles], keys: ["ed25519:AAAA"] }] : [],
    signing: "local_key",
    keys: ["ed25519:AAAA"],
    ledger: "00112233445566778899aabbccddeeff",
    now: "2026-11-23T18:00:00Z",
    signIn: [
      { label: "Ana (analyst of clinic)", url: "/signin/start?persona=ana", persona: true },
      { label: "Dana (steward of clinic)", url: "/signin/start?persona=dana", persona: true },
    ],
  };
}

function status() {
  return {
    documents: { manifest: bytes(manifest), policies: [clinic, laboratory, registry].map(bytes), approvals: [] },
    digest: "sha256:024c88433570f49744b0caa88cc351485825ead980d6c4c19ff8c1816f2e9642",
    state: "active",
    signed: ["clinic", "laboratory", "registry"],
  };
}

export function mockTransport(): Transport {
  return createRouterTransport(({ service }) => {
    service(SessionService, {
      get: session,
      signOut: () => ({}),
      sign: () => {
        throw new ConnectError("the made-up mesh signs nothing", Code.Unimplemented);
      },
    });
    service(AnalystService, analyst);
    service(ParticipantService, {
      getManifest: status,
      listDatasets: () => ({ datasets: bytes(datasets) }),
      listPlans: () => ({ plans: bytes([]) }),
    });
    service(AuditorService, { receipt: () => ({ receipt: bytes(receipt) }), entries: () => ({ entries: bytes([]) }) });
    service(AdminService, {
      status: () => ({
        mode: "simulation",
        ledger: "00112233445566778899aabbccddeeff",
        node: "coordinator-1",
        leader: "coordinator-1",
        nodes: [1, 2, 3].map((n) => ({
          id: `coordinator-${n}`,
          address: `127.0.0.1:2000${n}`,
          voter: true,
          reachable: true,
        })),
        workers: [1, 2].map((n) => ({ id: `worker-${n}`, address: `127.0.0.1:2100${n}`, ready: true, loaded: [] })),
        collaborations: [collaboration],
      }),
    });
    service(SavedService, savedQueries);
    service(DocumentService, documents);
  });
}
