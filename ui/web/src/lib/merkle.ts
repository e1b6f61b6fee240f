// Proofs about the log's Merkle tree (RFC 6962 section 2.1, verified as RFC 9162 sections 2.1.3.2 and 2.1.4.2 say). Sizes are below 2^53.
import { concatBytes, equalBytes } from "./base64";

type Bytes = Uint8Array<ArrayBuffer>;

const hash = async (...parts: readonly Uint8Array[]): Promise<Bytes> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", concatBytes(...parts)));

/** The hash of a leaf with this record. */
export const leafHash = (record: Uint8Array): Promise<Bytes> => hash(new Uint8Array([0]), record);

export const nodeHash = (left: Uint8Array, right: Uint8Array): Promise<Bytes> => hash(new Uint8Array([1]), left, right);

const half = (n: number) => Math.floor(n / 2);

/** Whether the tree of this size and root has the leaf at index. The proof's hashes go from the leaf upwards. */
export async function includes(
  leaf: Bytes,
  index: number,
  size: number,
  root: Uint8Array,
  proof: readonly Uint8Array[],
): Promise<boolean> {
  if (!(Number.isSafeInteger(index) && index >= 0 && index < size)) return false;
  let fn = index;
  let sn = size - 1;
  let r = leaf;
  for (const p of proof) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      r = await nodeHash(p, r);
      while (fn % 2 === 0 && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    } else {
      r = await nodeHash(r, p);
    }
    fn = half(fn);
    sn = half(sn);
  }
  return sn === 0 && equalBytes(r, root);
}

/** Whether the tree of newSize begins with the tree of oldSize. */
export async function extendsTree(
  oldSize: number,
  oldRoot: Bytes,
  newSize: number,
  newRoot: Uint8Array,
  proof: readonly Bytes[],
): Promise<boolean> {
  if (!Number.isSafeInteger(oldSize) || oldSize < 0 || oldSize > newSize) return false;
  if (oldSize === newSize) return proof.length === 0 && equalBytes(oldRoot, newRoot);
  if (oldSize === 0) return proof.length === 0;
  const path = [...proof];
  if (isPowerOfTwo(oldSize)) path.unshift(oldRoot);
  let fn = oldSize - 1;
  let sn = newSize - 1;
  while (fn % 2 === 1) {
    fn = half(fn);
    sn = half(sn);
  }
  const first = path.shift();
  if (!first) return false;
  let fr = first;
  let sr = first;
  for (const c of path) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      fr = await nodeHash(c, fr);
      sr = await nodeHash(c, sr);
      while (fn % 2 === 0 && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    } else {
      sr = await nodeHash(sr, c);
    }
    fn = half(fn);
    sn = half(sn);
  }
  return sn === 0 && equalBytes(fr, oldRoot) && equalBytes(sr, newRoot);
}

const isPowerOfTwo = (n: number) => n > 0 && Number.isInteger(Math.log2(n));
