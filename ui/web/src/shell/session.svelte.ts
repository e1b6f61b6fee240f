import { api } from "../api/clients";
import { type Room, readRoom } from "../api/documents";
import type { Membership, Session } from "../gen/concordat/v1/session_pb";

const idleCheck = 60_000; // ms between questions whether the session still stands

/** Who uses the page, and where it came from. One for the whole application. */
class CurrentSession {
  current: Session | undefined = $state.raw();
  fault: unknown = $state.raw();

  /** Asks anew. The page before stays while the answer is under way. */
  async load(): Promise<void> {
    try {
      this.current = await api.session.get({});
      this.fault = undefined;
    } catch (cause) {
      this.fault = cause;
    }
  }

  /** Notices an expired session while the page is open, without counting as use. */
  watch(): () => void {
    const timer = setInterval(() => document.visibilityState === "visible" && void this.load(), idleCheck);
    return () => clearInterval(timer);
  }

  membership(collaboration: string): Membership | undefined {
    return this.current?.memberships.find((m) => m.collaboration === collaboration);
  }

  has(collaboration: string, roles: readonly string[]): boolean {
    const m = this.membership(collaboration);
    return m !== undefined && (roles.length === 0 || roles.some((r) => m.roles.includes(r)));
  }
}

export const session = new CurrentSession();

/** The manifest in force of one collaboration with its policies, and a newer one that waits for signatures; shared by the pages below it. */
class CurrentRoom {
  collaboration = $state("");
  /** In force, or that was last; before the first, what is proposed. */
  room: Room | undefined = $state.raw();
  /** The newest version, where it is not yet in force. */
  proposal: Room | undefined = $state.raw();
  fault: unknown = $state.raw();

  async load(collaboration: string): Promise<void> {
    if (collaboration !== this.collaboration) {
      this.room = undefined;
      this.proposal = undefined;
      this.collaboration = collaboration;
    }
    try {
      const newest = await readVersion(collaboration, 0);
      const inForce = await lastInForce(newest);
      if (this.collaboration !== collaboration) return;
      this.room = inForce ?? newest;
      this.proposal = newest.status.state === "proposed" ? newest : undefined;
      this.fault = undefined;
    } catch (cause) {
      if (this.collaboration === collaboration) this.fault = cause;
    }
  }
}

/** One version of a collaboration's manifest; 0 is the newest, proposals included. */
export async function readVersion(collaboration: string, version: number): Promise<Room> {
  return readRoom(await api.participant.getManifest({ collaboration, version }));
}

async function lastInForce(newest: Room): Promise<Room | undefined> {
  let at: Room | undefined = newest;
  while (at && (at.status.state === "proposed" || at.status.state === "rejected")) {
    const before: number = at.manifest.version - 1;
    at = before > 0 ? await readVersion(newest.manifest.collaboration, before) : undefined;
  }
  return at;
}

export const room = new CurrentRoom();

/**
 * The keys that may sign here for who uses the page: their own and their organisation's, those included that a proposed version gives it, since a
 * new key has to sign the version that names it.
 */
export function signingKeys(collaboration: string): string[] {
  const member = session.membership(collaboration);
  if (!member) return [];
  const named = [room.room, room.proposal].flatMap(
    (at) => at?.manifest.participants.find((p) => p.id === member.participant)?.keys ?? [],
  );
  return [...new Set([...member.keys, ...named])];
}
