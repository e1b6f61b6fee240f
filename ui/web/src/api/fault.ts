import { Code, ConnectError } from "@connectrpc/connect";

/** What a person is told of a failed call: what went wrong, and what to do. */
export interface Said {
  readonly message: string;
  readonly advice: string;
}

const advice: Partial<Record<Code, string>> = {
  [Code.Unauthenticated]: "Sign in again; what you wrote on this page stays.",
  [Code.PermissionDenied]:
    "Ask the steward of your organisation whether the manifest gives you the role that this needs.",
  [Code.Unavailable]: "The mesh cannot answer at this moment. Wait a few seconds and try again.",
  [Code.DeadlineExceeded]: "It took too long. Try again; a query that was reserved is not charged twice.",
  [Code.ResourceExhausted]: "Too many requests in a short time. Wait a little and try again.",
};

export function explainFault(cause: unknown): Said {
  if (cause instanceof ConnectError) {
    if (cause.code === Code.Unknown && /fetch|network/i.test(cause.rawMessage)) return lost;
    return { message: cause.rawMessage || Code[cause.code], advice: advice[cause.code] ?? "" };
  }
  if (cause instanceof TypeError && /fetch|network/i.test(cause.message)) return lost;
  return { message: cause instanceof Error ? cause.message : String(cause), advice: "" };
}

const lost: Said = {
  message: "The connection to the mesh is lost.",
  advice:
    "Check that the mesh, or concordat web, is running and that you are online. What you wrote on this page stays.",
};

/** Whether a call failed because nobody is signed in any more. */
export function isSignedOut(cause: unknown): boolean {
  return cause instanceof ConnectError && cause.code === Code.Unauthenticated;
}

/** Whether a call failed because it was cancelled by whoever made it. */
export function isCancelled(cause: unknown): boolean {
  return (
    (cause instanceof ConnectError && cause.code === Code.Canceled) ||
    (cause instanceof DOMException && cause.name === "AbortError")
  );
}
