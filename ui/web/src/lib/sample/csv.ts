/** The characters that make a text a table. */
export interface Marks {
  readonly delimiter: string;
  readonly quote: string; // one character, or "" where quotes are ordinary characters
}

/** Reads rows of RFC 4180 and its dialects as far as limit, leniently: a quote within a field is a character. */
export function parseCsv(text: string, { delimiter, quote }: Marks, limit: number): string[][] {
  const rows: string[][] = [];
  let at = 0;
  while (at < text.length && rows.length < limit) {
    const row: string[] = [];
    for (;;) {
      const [field, end] =
        quote !== "" && text[at] === quote ? quoted(text, at, delimiter, quote) : bare(text, at, delimiter);
      row.push(field);
      at = end;
      if (text[at] !== delimiter) break;
      at++;
    }
    if (text[at] === "\r") at++;
    at++; // the line feed
    if (row.length > 1 || row[0] !== "") rows.push(row);
  }
  return rows;
}

function bare(text: string, from: number, delimiter: string): [field: string, end: number] {
  let end = from;
  while (end < text.length && text[end] !== delimiter && text[end] !== "\n") end++;
  const stop = text[end] !== delimiter && text[end - 1] === "\r" && end > from ? end - 1 : end;
  return [text.slice(from, stop), stop];
}

function quoted(text: string, from: number, delimiter: string, quote: string): [field: string, end: number] {
  let field = "";
  for (let at = from + 1; ; ) {
    const next = text.indexOf(quote, at);
    if (next < 0) return [field + text.slice(at), text.length]; // the sample ends within the field
    field += text.slice(at, next);
    const after = text[next + 1];
    if (after === quote) {
      field += quote;
      at = next + 2;
    } else if (after === undefined || after === delimiter || after === "\n" || after === "\r") {
      return [field, next + 1];
    } else {
      field += quote;
      at = next + 1;
    }
  }
}
