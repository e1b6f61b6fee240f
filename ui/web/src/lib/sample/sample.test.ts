import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { Policy } from "../../api/documents";
import laboratory from "../../mock/data/laboratory.results.json";
import { parseCsv } from "./csv";
import { isDate } from "./date";
import { draftPolicy, outward } from "./draft";
import { fromPolicy, notNumbers, toPolicy, toYaml } from "./policy";
import { fitDialect, readSample } from "./read";

const blob = (text: string) => new Blob([text]);
const about = { dataset: "clinic.patients", owner: "clinic", namespaces: ["patient"] };

describe("reading", () => {
  it("finds the delimiter, the header and the rows", async () => {
    const t = await readSample(blob("id; age ;sex\n1;20;f\n2;30;m\n"));
    expect(t).toMatchObject({ format: "csv", dialect: { delimiter: ";" }, columns: ["id", "age", "sex"], whole: true });
    expect(t.rows).toEqual([
      ["1", "20", "f"],
      ["2", "30", "m"],
    ]);
  });

  it("reads quotes, lines within them, Windows line ends and a byte order mark", async () => {
    const t = await readSample(blob('\ufeffa,b\r\n"x ""y""","1\n2"\r\nq"z,3\r\n'));
    expect(t.columns).toEqual(["a", "b"]);
    expect(t.rows).toEqual([
      ['x "y"', "1\n2"],
      ['q"z', "3"],
    ]);
    expect(parseCsv("'a,b',c", { delimiter: ",", quote: "'" }, 9)).toEqual([["a,b", "c"]]);
    expect(parseCsv('"a,b', { delimiter: ",", quote: "" }, 9)).toEqual([['"a', "b"]]);
  });

  it("reads JSON lines, gzip and UTF-16", async () => {
    const t = await readSample(blob('{"id":1,"a":null}\n{"id":2,"b":"x"}\n'));
    expect(t).toMatchObject({ format: "jsonl", columns: ["id", "a", "b"] });
    expect(t.rows).toEqual([
      ["1", "", ""],
      ["2", "", "x"],
    ]);
    expect((await readSample(blob('{"a":1}\n[2]\n{\n{"a":3}\n'))).rows).toEqual([["1"], ["3"]]);
    expect((await readSample(new Blob([gzipSync("id,a\n1,2\n")]))).columns).toEqual(["id", "a"]);
    const wide = new Uint8Array([0xff, 0xfe, ...[..."ü,b\n1,2\n"].flatMap((c) => [c.charCodeAt(0), 0])]);
    expect((await readSample(new Blob([wide]))).columns).toEqual(["ü", "b"]);
    expect(
      (await readSample(new Blob([new Uint8Array([0xfc, 0x2c, 0x62, 0x0a])]), { encoding: "windows-1252" })).columns[0],
    ).toBe("ü");
  });

  it("takes no comma for a decimal one where it may group thousands", async () => {
    const decimal = async (text: string) =>
      fitDialect(await readSample(blob(text)), [], text.match(/\d+[,.]\d+/g) ?? []).dialect.decimal;
    expect(await decimal("id;n\na;1,200\n")).toBeUndefined();
    expect(await decimal("id;n\na;1,200\nb;3,5\n")).toBe(",");
    expect(await decimal("id;n\na;0,200\n")).toBe(",");
    expect(await decimal("id;n\na;1,5\nb;3.5\n")).toBeUndefined();
  });

  it("says why a file is none", async () => {
    await expect(readSample(blob(""))).rejects.toThrow("empty");
    await expect(readSample(blob("{}\n"))).rejects.toThrow("fields");
    await expect(readSample(blob("1,2\n"), { no_header: true }, ["a"])).rejects.toThrow("2 columns");
    await expect(readSample(new Blob([new Uint8Array([0x1f, 0x8b, 1, 2])]))).rejects.toThrow("unpacked");
    await expect(readSample(blob("PK\x03\x04\x14"))).rejects.toThrow("it is a workbook");
    await expect(readSample(new Blob([gzipSync('[{"id":1}]')]))).rejects.toThrow("it is one JSON list");
  });
});

describe("drafting", () => {
  const rows = Array.from({ length: 100 }, (_, i) =>
    [
      `p${i}`,
      20 + (i % 60),
      i % 2 === 0 ? "f" : "m",
      (i * 1.5).toFixed(1),
      `2024-0${1 + (i % 9)}-11`,
      `Ann ${i}`,
      "yes",
    ].join(","),
  );
  const file = blob(`patient_id,age,sex,weight,seen,name,consent\n${rows.join("\n")}\n`);

  it("guesses types, roles, domains, bounds and the unit", async () => {
    const { policy, skipped } = draftPolicy(await readSample(file), about);
    expect(skipped).toEqual([]);
    expect(policy.unit).toMatchObject({ column: "patient_id", namespace: "patient", unique: true });
    expect(policy.columns.map((c) => [c.name, c.type, c.role])).toEqual([
      ["patient_id", "varchar", "identifier"],
      ["age", "integer", "measure"],
      ["sex", "varchar", "dimension"],
      ["weight", "double", "measure"],
      ["seen", "date", "time"],
      ["name", "varchar", "hidden"],
      ["consent", "boolean", "dimension"],
    ]);
    const [, age, sex, weight] = policy.columns;
    expect([age?.low, age?.high, age?.grain]).toEqual(["20", "78", "1"]);
    expect(sex?.domain).toBe("f\nm");
    expect([weight?.low, weight?.high, weight?.scale]).toEqual(["0", "150", "0.1"]);
    expect(policy.columns.filter((c) => c.note !== "").map((c) => c.name)).not.toContain("consent");
  });

  it("counts rows of a unit, and says when dates can be read in two ways", async () => {
    const many = Array.from({ length: 90 }, (_, i) => `${i % 30},0${1 + (i % 9)}/0${1 + (i % 8)}/2024`);
    const { policy, ambiguous } = draftPolicy(await readSample(blob(`person,day\n${many.join("\n")}`)), about);
    expect(policy.release.rows).toBe("3");
    expect(policy.unit.unique).toBe(false);
    expect(ambiguous).toEqual(["DD/MM/YYYY", "MM/DD/YYYY"]);
  });

  it("reads decimal commas, keeps leading zeros as names, and leaves out names that no column has", async () => {
    const t = await readSample(blob("id;x;zip;1bad;X\n1;1,5;01234;a;b\n2;2,25;04567;a;b\n"));
    const { policy, dialect, skipped } = draftPolicy(t, about);
    expect(dialect.decimal).toBe(",");
    expect(policy.columns.map((c) => c.type)).toEqual(["integer", "double", "varchar"]);
    expect(skipped).toEqual(["1bad", "X"]);
  });

  it("rounds outward", () => {
    expect(outward(18.3, 97.2)).toEqual([18, 98]);
    expect(outward(-7665, 7300)).toEqual([-7700, 7300]);
    expect(outward(5, 5)).toEqual([4, 6]);
    expect(outward(0.0012, 0.0198)).toEqual([0.001, 0.02]);
  });

  it("knows dates", () => {
    expect(isDate("YYYY-MM-DD", "2024-02-29")).toBe(true);
    expect(isDate("YYYY-MM-DD", "2023-02-29")).toBe(false);
    expect(isDate("DD.MM.YYYY", "01.12.1999 10:00")).toBe(true);
    expect(isDate("YYYYMMDD", "20241301")).toBe(false);
    expect(isDate("YYYY-MM-DD", "2024-1-01x")).toBe(false);
  });
});

describe("policies", () => {
  it("come back as they were", () => {
    const policy = laboratory as unknown as Policy;
    const { anti_overlap, ...rest } = toPolicy(fromPolicy(policy)) as Record<string, unknown>;
    expect(anti_overlap).toBeUndefined();
    const { anti_overlap: _, ...want } = policy;
    expect(rest).toEqual({ ...want, budget: { ...want.budget, delta: 1e-6 } });
  });

  it("say which fields are no numbers", () => {
    const d = fromPolicy(laboratory as unknown as Policy);
    expect(notNumbers(d)).toEqual([]);
    const value = d.columns.find((c) => c.name === "value");
    if (!value) throw new Error("no column value");
    Object.assign(value, { high: "many", low: "-1e3" });
    d.budget.rho = "a half";
    expect(notNumbers(d)).toEqual([
      { path: "budget.rho", text: "a half" },
      { path: "columns.value.bounds", text: "many" },
    ]);
  });

  it("are written as YAML, with what to check beside", () => {
    const d = fromPolicy(laboratory as unknown as Policy);
    const column = d.columns.find((c) => c.name === "test");
    if (!column) throw new Error("no column test");
    Object.assign(column, { note: "all\nvalues?", domain: "no\nit's: {x}\n<null>" });
    expect(toYaml(d)).toContain(
      '  test: {type: varchar, role: dimension, domain: ["no", "it\'s: {x}", null]} # check me: all values?\n',
    );
    expect(toYaml(d)).toContain("unit: {column: id, namespace: patient}\n");
  });
});
