// The calls of an upload to the mesh, and which of their failures may pass.
import { Code, ConnectError } from "@connectrpc/connect";
import { api, pageHeader } from "../../api/clients";
import type { Sealer } from "../../lib/age/sealer";
import { headerFor, verifyOffer } from "../../lib/upload/statement";
import type { UploadStore } from "../../lib/upload/store";
import { type Calls, PassingError } from "../../lib/upload/transfer";

const passing = new Set([Code.Unavailable, Code.DeadlineExceeded, Code.ResourceExhausted, Code.Aborted]);

/** What may pass as PassingError, else what it was. */
export function judge(cause: unknown): unknown {
  if (cause instanceof ConnectError) {
    const lost = cause.code === Code.Unknown && /fetch|network/i.test(cause.rawMessage);
    return lost || passing.has(cause.code)
      ? new PassingError(lost ? "the connection is lost" : cause.rawMessage)
      : cause;
  }
  return cause instanceof TypeError ? new PassingError("the connection is lost") : cause;
}

async function judged<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (cause) {
    throw judge(cause);
  }
}

interface About {
  readonly collaboration: string;
  readonly dataset: string;
  readonly pinnedRoot: string;
  readonly root: Uint8Array<ArrayBuffer>;
  readonly sealer: Sealer;
  readonly store: Pick<UploadStore, "save">;
  readonly onrecipient: (recipient: string) => void;
}

export function meshCalls(about: About): Calls {
  const { collaboration, dataset } = about;
  return {
    open: async (key) => judged(api.participant.openUpload({ collaboration, dataset, idempotencyKey: key })),
    status: async (uploadId) => judged(api.participant.uploadStatus({ uploadId })),
    put: async (uploadId, number, sealed, signal) => {
      const response = await judged(
        fetch(`/upload/${encodeURIComponent(uploadId)}/parts/${number}`, {
          method: "PUT",
          body: sealed.ciphertext,
          signal,
          credentials: "same-origin",
          redirect: "error",
          headers: {
            "Content-Type": "application/octet-stream",
            "Concordat-Digest": sealed.part.digest,
            [pageHeader[0]]: pageHeader[1],
          },
        }),
      );
      if (response.ok) return;
      const said = (await response.text()).slice(0, 500).trim() || `status ${response.status}`;
      if (response.status === 401) throw new ConnectError(said, Code.Unauthenticated);
      if (response.status === 429 || response.status >= 500) throw new PassingError(said);
      throw new Error(said);
    },
    seal: (piece, recipient, target, number) => about.sealer.seal(piece, recipient, headerFor(target, number)),
    verify: async (offer, target) => {
      const recipient = await verifyOffer(offer, about.pinnedRoot, about.root, target);
      about.onrecipient(recipient);
      return recipient;
    },
    save: (state) => about.store.save(state),
    wait: (ms, signal) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, ms);
        signal.addEventListener("abort", () => {
          clearTimeout(timer);
          reject(signal.reason);
        });
      }),
  };
}
