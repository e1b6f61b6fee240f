// Charts by Observable Plot, loaded when one is shown.
import * as Plot from "@observablehq/plot";
import type { Answer } from "../../api/json";
import { type ChartChoice, describe, type Point, pointsOf } from "../../lib/sql/chart";

export interface Drawn {
  readonly svg: Element;
  /** The series, each with its colour, in the order of the legend; none where there is one series alone. */
  readonly legend: readonly { readonly name: string; readonly colour: string }[];
}

const short = new Intl.NumberFormat(navigator.language, { notation: "compact", maximumFractionDigits: 2 });
const colours = [1, 2, 3, 4, 5, 6].map((n) => `var(--series-${n})`);

export function draw(answer: Answer, choice: ChartChoice, width: number): Drawn {
  const points = pointsOf(answer, choice);
  const series = [...new Set(points.map((p) => p.series))];
  const colour = (name: string) => colours[series.indexOf(name) % colours.length] ?? "";
  const name = (i: number) => answer.columns[i]?.name ?? "";
  const places = [...new Set(points.map((p) => String(p.x)))];
  const crowded = choice.kind === "bar" && places.join("").length * 7 + places.length * 12 > width - 60;
  const grouped = choice.kind === "bar" && choice.series >= 0;
  const ends = { y1: "low", y2: "high" };
  const many = points.length > 60;
  const band = (width - 104) / Math.max(1, places.length * (grouped ? series.length : 1));
  const marks = choice.kind === "line" ? lines(points, choice, colour) : bars(points, grouped, colour);
  if (choice.intervals) {
    const stroke = choice.kind === "line" ? (p: Point) => colour(p.series) : "var(--ink)";
    const along = grouped ? { fx: "x", x: "series" } : { x: "x" };
    marks.push(Plot.ruleX(bounded(points), { ...along, ...ends, stroke, strokeWidth: many ? 1 : 1.5 }));
    if (!many && choice.kind === "bar") marks.push(...caps(bounded(points), along, band * 0.32));
  }
  const axis = { label: name(choice.x), tickRotate: crowded ? -35 : 0 };
  const svg = Plot.plot({
    width,
    height: Math.max(260, Math.min(420, width * 0.5)) + (crowded ? 60 : 0),
    marginTop: 30,
    marginBottom: crowded ? 100 : 46,
    marginLeft: 64,
    style: {
      background: "transparent",
      color: "var(--ink)",
      fontFamily: "var(--font)",
      fontSize: "12px",
      overflow: "visible",
    },
    ariaLabel: describe(answer, choice),
    color: { type: "identity" },
    y: {
      grid: true,
      label: name(choice.y),
      zero: choice.kind === "bar",
      nice: true,
      tickFormat: (v: number) => short.format(v),
    },
    ...(grouped
      ? { fx: axis, x: { axis: null, label: null, domain: series } }
      : {
          x:
            choice.kind === "bar" ? { ...axis, domain: [...new Set(points.map((p) => p.x))] } : { ...axis, nice: true },
        }),
    marks,
  });
  bare(svg);
  return { svg, legend: choice.series < 0 ? [] : series.map((s) => ({ name: s, colour: colour(s) })) };
}

const bounded = (points: readonly Point[]) => points.filter((p) => p.low !== undefined && p.high !== undefined);

function bars(points: readonly Point[], grouped: boolean, colour: (s: string) => string): Plot.Markish[] {
  const along = grouped ? { fx: "x", x: "series" } : { x: "x" };
  return [
    Plot.barY(points, { ...along, y: "y", fill: (p: Point) => colour(p.series), insetLeft: 1, insetRight: 1 }),
    Plot.ruleY([0]),
  ];
}

function lines(points: readonly Point[], choice: ChartChoice, colour: (s: string) => string): Plot.Markish[] {
  const sorted = [...points].sort((a, b) => Number(a.x) - Number(b.x));
  const stroke = (p: Point) => colour(p.series);
  const data = typeof points[0]?.x === "string" ? points : sorted;
  return [
    Plot.lineY(data, { x: "x", y: "y", z: "series", stroke, strokeWidth: 1.75, curve: "linear" }),
    Plot.dot(data, { x: "x", y: "y", fill: stroke, r: choice.intervals ? 2.5 : 3 }),
  ];
}

function caps(points: readonly Point[], along: object, inset: number): Plot.Markish[] {
  return (["low", "high"] as const).map((y) =>
    Plot.tickY(points, { ...along, y, stroke: "var(--ink)", strokeWidth: 1.5, insetLeft: inset, insetRight: inset }),
  );
}

// Plot puts a style element into each chart, which the policy of the page forbids; its rules stand in Chart.svelte.
function bare(svg: Element): void {
  for (const style of svg.querySelectorAll("style")) style.remove();
  svg.setAttribute("role", "img");
  for (const child of svg.querySelectorAll("[aria-label]")) child.removeAttribute("aria-label");
}
