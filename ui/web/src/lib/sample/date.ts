import { dateForms } from "../upload/statement";

/** The ways of writing dates in which all values are dates, or dates with a time. */
export function dateFormsOf(values: readonly string[]): string[] {
  return dateForms.filter((form) => values.every((v) => isDate(form, v)));
}

/** Whether a value begins with a date of this form and ends there, or goes on with a time. */
export function isDate(form: string, value: string): boolean {
  const after = value[form.length];
  if (value.length < form.length || (after !== undefined && after !== " " && after !== "T")) return false;
  const part = (letter: string): number => {
    const from = form.indexOf(letter);
    const digits = value.slice(from, form.lastIndexOf(letter) + 1);
    return /^\d+$/.test(digits) ? Number(digits) : Number.NaN;
  };
  for (const [i, c] of [...form].entries()) if (!/[YMD]/.test(c) && value[i] !== c) return false;
  const [year, month, day] = [part("Y"), part("M"), part("D")];
  const at = new Date(Date.UTC(year, month - 1, day));
  at.setUTCFullYear(year); // years below 100 are not of the 20th century
  return at.getUTCMonth() === month - 1 && at.getUTCDate() === day;
}
