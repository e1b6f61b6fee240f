import { SQLDialect } from "@codemirror/lang-sql";
import { aggregates, keywords, reserved, scalars, types, windows } from "../../lib/sql/language";

const functions = [...aggregates, ...scalars, ...windows].map((f) => f.name);
const words = [...keywords.join(" ").toLowerCase().split(" "), ...reserved].filter((w) => !functions.includes(w));

/** DuckDB's dialect, as far as colours need it. */
export const dialect = SQLDialect.define({
  keywords: [...new Set(words)].join(" "),
  types: [...types, "int", "float", "text", "string", "timestamptz"].join(" "),
  builtin: functions.join(" "),
  doubleDollarQuotedStrings: true,
  operatorChars: "+-*/<>=~!|%^&:",
  identifierQuotes: '"',
});
