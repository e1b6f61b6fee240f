// The calls of the pages: generated Connect clients over one transport to this page's own origin. Nothing here leaves the origin.
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { AdminService, AnalystService, AuditorService, ParticipantService } from "../gen/concordat/v1/concordat_pb";
import { DocumentService } from "../gen/concordat/v1/document_pb";
import { SavedService } from "../gen/concordat/v1/saved_pb";
import { SessionService } from "../gen/concordat/v1/session_pb";

/** Without this header no session counts: pages of other origins cannot send it. */
export const pageHeader = ["Concordat-Page", "1"] as const;

const fromPage: Interceptor = (next) => (request) => {
  request.header.set(...pageHeader);
  return next(request);
};

export interface Clients {
  readonly session: Client<typeof SessionService>;
  readonly analyst: Client<typeof AnalystService>;
  readonly participant: Client<typeof ParticipantService>;
  readonly auditor: Client<typeof AuditorService>;
  readonly admin: Client<typeof AdminService>;
  readonly document: Client<typeof DocumentService>;
  readonly saved: Client<typeof SavedService>;
}

export function createClients(transport: Transport): Clients {
  return {
    session: createClient(SessionService, transport),
    analyst: createClient(AnalystService, transport),
    participant: createClient(ParticipantService, transport),
    auditor: createClient(AuditorService, transport),
    admin: createClient(AdminService, transport),
    document: createClient(DocumentService, transport),
    saved: createClient(SavedService, transport),
  };
}

function originTransport(): Transport {
  return createConnectTransport({
    baseUrl: location.origin,
    interceptors: [fromPage],
    fetch: (input, init) => fetch(input, { ...init, credentials: "same-origin", redirect: "error" }),
  });
}

/** The clients of this page. `npm run dev` answers them from src/mock unless it is told of a mesh. */
export const api: Clients = await connect();

async function connect(): Promise<Clients> {
  if (import.meta.env.DEV && !import.meta.env["VITE_MESH"]) {
    const { mockTransport } = await import("../mock/transport");
    return createClients(mockTransport());
  }
  return createClients(originTransport());
}
