// A mesh of the demo on this machine for browser tests: started from the built binaries, ended by process id.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const patience = 240_000; // ms until a mesh must be up, the machine may be busy

export interface Mesh {
  readonly home: string;
  /** The pages that a coordinator serves. Their certificate is the mesh's own: contexts need ignoreHTTPSErrors. */
  readonly hosted: string;
  /** Serves the pages as a person of the demo (ana, dana, lars, rita, otto); gives the link that opens them once. */
  web(person: string): Promise<string>;
  /**
   * Kills a worker. The demo, which ends the whole mesh as soon as one of its processes ends, is held until stop(), and its identity
   * provider with it: nobody can sign in from then on.
   */
  killWorker(): void;
  /** Runs the command line in this home and gives what it prints. */
  run(person: string, ...args: string[]): string;
  stop(): Promise<void>;
}

/** Starts the demo and waits until its study is done. CONCORDAT_BIN names another folder of binaries. */
export async function startMesh(): Promise<Mesh> {
  const bin = join(process.env["CONCORDAT_BIN"] ?? resolve(import.meta.dirname, "../../../bin"), "concordat");
  const home = mkdtempSync(join(tmpdir(), "concordat-browser-"));
  const processes: ChildProcess[] = [];
  const start = (...args: string[]) => {
    const child = spawn(bin, ["--home", home, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    processes.push(child);
    return child;
  };
  const stop = async () => {
    await Promise.all(processes.map(end));
    rmSync(home, { recursive: true, force: true });
  };
  try {
    const demo = start("demo");
    const said = await output(demo, /The mesh stays up/);
    const key = (person: string) => join(home, "keys", `${person}.key`);
    return {
      home,
      hosted: /^pages\s+(https:\S+)/m.exec(said)?.[1] ?? "",
      async web(person) {
        const printed = await output(start("--key", key(person), "web", "--no-open"), /https?:\/\/\S+token=\S+/);
        return /https?:\/\/\S+token=\S+/.exec(printed)?.[0] ?? "";
      },
      killWorker() {
        const [worker] = children(demo.pid ?? 0, "concordat-worker");
        if (!worker) throw new Error("the mesh has no worker");
        demo.kill("SIGSTOP");
        process.kill(worker, "SIGKILL");
      },
      run: (person, ...args) =>
        execFileSync(bin, ["--home", home, "--key", key(person), ...args], { encoding: "utf8" }),
      stop,
    };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

/** What a process prints until it has printed what is waited for. */
function output(child: ChildProcess, wanted: RegExp): Promise<string> {
  return new Promise((done, fail) => {
    let text = "";
    const late = setTimeout(() => fail(new Error(`waited too long; so far: ${text.slice(-2000)}`)), patience);
    const take = (chunk: Buffer) => {
      text += chunk.toString();
      if (!wanted.test(text)) return;
      clearTimeout(late);
      done(text);
    };
    child.stdout?.on("data", take);
    child.stderr?.on("data", take);
    child.once("error", fail);
    child.once("exit", (code) => fail(new Error(`ended with ${code}: ${text.slice(-2000)}`)));
  });
}

function children(parent: number, name: string): number[] {
  const list = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(parent)], { encoding: "utf8" });
  return list.split("\n").flatMap((line) => {
    const match = /^\s*(\d+)\s+(\S+)/.exec(line);
    return match?.[2]?.endsWith(`/${name}`) ? [Number(match[1])] : [];
  });
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((done) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      done();
      return;
    }
    child.once("exit", () => done());
    child.kill("SIGCONT");
    child.kill("SIGINT"); // by its id; it ends what it started
  });
}
