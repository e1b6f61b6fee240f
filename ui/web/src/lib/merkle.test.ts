import { describe, expect, it } from "vitest";
import { extendsTree, includes, leafHash, nodeHash } from "./merkle";

type Bytes = Uint8Array<ArrayBuffer>;
const most = 24;
const split = (n: number) => 2 ** Math.ceil(Math.log2(n) - 1); // the largest power of two below n

// The definitions of RFC 6962 section 2.1, as they stand there.
async function root(leaves: readonly Bytes[]): Promise<Bytes> {
  if (leaves.length === 1) return leaves[0] as Bytes;
  const k = split(leaves.length);
  return nodeHash(await root(leaves.slice(0, k)), await root(leaves.slice(k)));
}

async function path(m: number, leaves: readonly Bytes[]): Promise<Bytes[]> {
  if (leaves.length === 1) return [];
  const k = split(leaves.length);
  if (m < k) return [...(await path(m, leaves.slice(0, k))), await root(leaves.slice(k))];
  return [...(await path(m - k, leaves.slice(k))), await root(leaves.slice(0, k))];
}

async function subproof(m: number, leaves: readonly Bytes[], whole: boolean): Promise<Bytes[]> {
  if (m === leaves.length) return whole ? [] : [await root(leaves)];
  const k = split(leaves.length);
  if (m <= k) return [...(await subproof(m, leaves.slice(0, k), whole)), await root(leaves.slice(k))];
  return [...(await subproof(m - k, leaves.slice(k), false)), await root(leaves.slice(0, k))];
}

const leaves = await Promise.all(Array.from({ length: most }, (_, i) => leafHash(new Uint8Array([i]))));
const other = await leafHash(new Uint8Array([255]));

describe("proofs of inclusion", () => {
  it("hold for each leaf of each size, and for no other place, leaf, size or proof", async () => {
    for (let size = 1; size <= most; size++) {
      const tree = leaves.slice(0, size);
      const r = await root(tree);
      for (let i = 0; i < size; i++) {
        const leaf = tree[i] as Bytes;
        const proof = await path(i, tree);
        expect(await includes(leaf, i, size, r, proof), `${i} of ${size}`).toBe(true);
        expect(await includes(other, i, size, r, proof)).toBe(false);
        expect(await includes(leaf, i, size, r, [...proof, other])).toBe(false);
        if (proof.length > 0) expect(await includes(leaf, i, size, r, proof.slice(1))).toBe(false);
        if (size > 1) expect(await includes(leaf, (i + 1) % size, size, r, proof)).toBe(false);
        expect(await includes(leaf, size, size, r, proof)).toBe(false);
      }
    }
  });
});

describe("proofs of consistency", () => {
  it("hold between all pairs of sizes, and not for another root or proof", async () => {
    for (let size = 1; size <= most; size++) {
      const tree = leaves.slice(0, size);
      const r = await root(tree);
      for (let old = 1; old <= size; old++) {
        const before = await root(tree.slice(0, old));
        const proof = await subproof(old, tree, true);
        expect(await extendsTree(old, before, size, r, proof), `${old} in ${size}`).toBe(true);
        expect(await extendsTree(old, other, size, r, proof)).toBe(false);
        expect(await extendsTree(old, before, size, other, proof)).toBe(false);
        expect(await extendsTree(old, before, size, r, [...proof, other])).toBe(false);
      }
      expect(await extendsTree(size + 1, r, size, r, [])).toBe(false);
    }
  });
});
