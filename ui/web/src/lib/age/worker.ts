// The Web Worker that encrypts: it reads a piece of the chosen file and hands back ciphertext. Rows never leave this worker.
import { type PartHeader, type SealedPart, sealPart } from "./part";

export interface SealRequest {
  readonly id: number;
  readonly piece: Blob;
  readonly recipient: string;
  readonly header: PartHeader;
}

export type SealAnswer = { readonly id: number } & ({ readonly sealed: SealedPart } | { readonly fault: string });

self.addEventListener("message", async (event: MessageEvent<SealRequest>) => {
  const { id, piece, recipient, header } = event.data;
  try {
    const sealed = await sealPart(recipient, header, new Uint8Array(await piece.arrayBuffer()));
    self.postMessage({ id, sealed } satisfies SealAnswer, { transfer: [sealed.ciphertext.buffer] });
  } catch (cause) {
    self.postMessage({ id, fault: cause instanceof Error ? cause.message : String(cause) } satisfies SealAnswer);
  }
});
