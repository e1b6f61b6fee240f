import { describe, expect, it } from "vitest";
import type { Policy } from "../../api/documents";
import { readSample } from "../sample/read";
import { canRename, guessMapping, namesMatch, replaceHeader, sentColumns, wantedColumns } from "./columns";

const policy = {
  // biome-ignore lint/suspicious/noThenProperty: policies name it so
  unit: { column: "id", namespace: "p", then: "phone" },
  columns: {
    id: { type: "varchar", role: "identifier" },
    "patient.age": { type: "integer", role: "measure" },
    sex: { type: "varchar", role: "dimension" },
    phone: { type: "varchar", role: "hidden" },
    note: { type: "varchar", role: "hidden" },
  },
} as unknown as Policy;

describe("columns", () => {
  it("finds those of the policy in a file", () => {
    expect(wantedColumns(policy)).toEqual(["id", "patient.age", "sex", "phone"]);
    const mapping = guessMapping(policy, ["ID", "PatientAge", "gender", "Phone"]);
    expect(mapping).toEqual({ id: "ID", "patient.age": "PatientAge", sex: "", phone: "Phone" });
    expect(namesMatch(mapping)).toBe(false);
    expect(namesMatch({ id: "ID" })).toBe(true);
  });

  it("sends another header, and the rest of the file as it is", async () => {
    const file = new Blob(['\ufeff"the\nid",PatientAge,gender,id\r\n1,2,f,x\r\n']);
    const table = await readSample(file);
    expect(canRename(table, false)).toBe(true);
    expect(canRename(table, true)).toBe(false);
    const columns = sentColumns(table.columns, { id: "the\nid", "patient.age": "PatientAge", sex: "gender" });
    expect(columns).toEqual(["id", "patient.age", "sex", "unused_4"]);
    const { text, skip } = await replaceHeader(file, table, columns);
    expect(await new Blob([text, file.slice(skip)]).text()).toBe("id,patient.age,sex,unused_4\n1,2,f,x\r\n");
  });

  it("leaves a file without header alone", async () => {
    const file = new Blob(["1,2\n3,4\n"]);
    const table = await readSample(file, { no_header: true }, ["a", "b"]);
    expect(await replaceHeader(file, table, ["a", "b"])).toEqual({ text: "", skip: 0 });
  });
});
