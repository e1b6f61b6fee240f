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

/** The newest manifest of one collaboration with its policies, shared by the pages below it. */
class CurrentRoom {
  collaboration = $state("");
  room: Room | undefined = $state.raw();
  fault: unknown = $state.raw();

  async load(collaboration: string): Promise<void> {
    if (collaboration !== this.collaboration) {
      this.room = undefined;
      this.collaboration = collaboration;
    }
    try {
      const status = await api.participant.getManifest({ collaboration });
      if (this.collaboration !== collaboration) return;
      this.room = readRoom(status);
      this.fault = undefined;
    } catch (cause) {
      if (this.collaboration === collaboration) this.fault = cause;
    }
  }
}

export const room = new CurrentRoom();
