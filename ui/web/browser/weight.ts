import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { gzipSync } from "node:zlib";

const dist = resolve(import.meta.dirname, "../dist");

/** Bytes, by gzip, of what the browser loads to show a page: the shell, the page's chunk, and whatever they import at once; lazy parts not. */
export function weightOf(page: string): number {
  const index = readFileSync(join(dist, "index.html"), "utf8");
  const files = new Set<string>(["index.html"]);
  for (const match of index.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)) gather(match[1] ?? "", files);
  const shell = [...files].filter((f) => f.endsWith(".js")).map((f) => readFileSync(join(dist, f), "utf8"));
  for (const text of shell) {
    // The page's chunk and styles, as Vite names what a dynamic import needs.
    const chunk = new RegExp(`assets/${page}-[\\w-]+\\.(?:js|css)`, "g");
    for (const match of text.matchAll(chunk)) gather(match[0], files);
    const local = new RegExp(`\\./(${page}-[\\w-]+\\.js)`, "g");
    for (const match of text.matchAll(local)) gather(`assets/${match[1]}`, files);
  }
  if (![...files].some((f) => f.includes(`/${page}-`)))
    throw new Error(`the build has no page ${page}: run make build`);
  return [...files].reduce((sum, f) => sum + gzipSync(readFileSync(join(dist, f)), { level: 9 }).length, 0);
}

/** A file with what it imports statically. */
function gather(file: string, files: Set<string>): void {
  if (!file || files.has(file)) return;
  files.add(file);
  if (!file.endsWith(".js")) return;
  const text = readFileSync(join(dist, file), "utf8");
  for (const match of text.matchAll(/(?:from|import)\s*["'](\.\/[^"']+\.js)["']/g))
    gather(join(dirname(file), match[1] ?? ""), files);
}
