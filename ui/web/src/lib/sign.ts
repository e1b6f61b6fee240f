// What people sign, and by which key. Signing in is never enough: local pages ask the key on the person's own machine
// (SessionService.Sign), hosted ones a passkey or the command line.
//
// How a page lets somebody sign (see part/SignDialog.svelte):
//
//   const signer = new Signer();
//   const envelope = await signer.ask({ kind: "statement", title: "Pause the collaboration", meaning: ["No query runs until …"],
//     payload: statement("pause", { ledger, collaboration, version, subject: digest }, { reason, now: session.now }), command: "concordat manifest pause" });
//   if (envelope) await api.participant.submitStatement({ collaboration, statement: envelope });
//   …
//   <SignDialog {signer} signing={session.current.signing} keys={signingKeys(collaboration)} />
import { api } from "../api/clients";
import { equalBytes, toHex } from "./base64";
import type { Digest } from "./canon";
import { canonical, canonicalText } from "./canon";
import { parseEnvelope, payloadTypes } from "./dsse";
import { signWithPasskey } from "./passkey";

export type Action =
  | "propose"
  | "approve"
  | "reject"
  | "pause"
  | "resume"
  | "revoke"
  | "delete"
  | "offboard"
  | "leave"
  | "approve_plan";

/** What a statement is about: subject is the manifest's digest, for delete that of the sealed dataset, for approve_plan the plan's. */
export interface About {
  readonly ledger: string;
  readonly collaboration: string;
  readonly version: number;
  readonly subject: Digest;
}

export interface Statement extends About {
  readonly type: "concordat.dev/statement/v1";
  readonly action: Action;
  readonly reason?: string;
  readonly nonce?: string;
  readonly issued?: string;
  readonly person?: string;
}

interface Said {
  readonly reason?: string;
  /** Of offboard alone. */
  readonly person?: string;
  /** RFC 3339, the server's clock where it is known. */
  readonly now?: string;
}

const maxReason = 2000; // bytes

/** A statement as protocol/statement has it: propose and approve say nothing else, so that all signers sign the same bytes. */
export function statement(action: Action, about: About, { reason = "", person, now }: Said = {}): Statement {
  const head = { type: "concordat.dev/statement/v1", action, ...about } as const;
  if (action === "propose" || action === "approve") return head;
  if (new TextEncoder().encode(reason).length > maxReason) throw new Error(`A reason has at most ${maxReason} bytes.`);
  if (action === "reject" && !reason) throw new Error("Say why it is rejected.");
  return {
    ...head,
    ...(reason ? { reason } : {}),
    ...(person ? { person } : {}),
    nonce: toHex(crypto.getRandomValues(new Uint8Array(16))),
    issued: wholeSeconds(now),
  };
}

/** RFC 3339 in UTC with whole seconds. */
export function wholeSeconds(now?: string): string {
  const at = now ? Date.parse(now) : Number.NaN;
  return new Date(Number.isNaN(at) ? Date.now() : at).toISOString().replace(/\.\d+Z$/, "Z");
}

export interface ToSign {
  readonly kind: "statement" | "upload" | "enrolment";
  /** Of the dialog, for instance "Approve version 2". */
  readonly title: string;
  /** What signing does, in sentences. */
  readonly meaning: readonly string[];
  readonly payload: object;
  /** That does the same at the command line, where there is one. */
  readonly command?: string;
}

/** A text as one word of a shell's command: in single quotes, each of them in the text closed and opened again. */
export const shellWord = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** The text that is signed, as a person may compare it. */
export const signedText = (what: ToSign): string => canonicalText(what.payload);

/** Signs as this session does: with the key of `concordat web`, or with one of the person's passkeys. */
export function sign(what: ToSign, signing: string, keys: readonly string[]): Promise<Uint8Array<ArrayBuffer>> {
  if (signing !== "passkey") return signLocally(what);
  return signWithPasskey(keys, payloadTypes[what.kind], canonical(what.payload));
}

/** Signs with the key of `concordat web`, and makes sure that it signed these bytes. Returns the DSSE envelope. */
export async function signLocally(what: ToSign): Promise<Uint8Array<ArrayBuffer>> {
  const payload = canonical(what.payload);
  const response = await api.session.sign({ kind: what.kind, payload });
  const envelope = Uint8Array.from(response.envelope);
  if (!equalBytes(parseEnvelope(envelope).payload, payload))
    throw new Error("The signature that came back is over something else.");
  return envelope;
}
