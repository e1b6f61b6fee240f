// The words of the language: what docs/LANGUAGE.md accepts, and nothing else. Pure data.

export interface FunctionWord {
  readonly name: string;
  /** How it is written, with … where something goes. */
  readonly form: string;
  readonly about: string;
}

export const aggregates: readonly FunctionWord[] = [
  { name: "count", form: "count(*)", about: "rows, or values that are not NULL; count(DISTINCT id) counts units" },
  { name: "sum", form: "sum(measure)", about: "sum of a bounded measure" },
  { name: "avg", form: "avg(measure)", about: "mean of a bounded measure" },
  { name: "mean", form: "mean(measure)", about: "the same as avg" },
  { name: "median", form: "median(measure)", about: "the middle value" },
  { name: "quantile_cont", form: "quantile_cont(measure, 0.9)", about: "a quantile from 0.05 to 0.95" },
  { name: "stddev", form: "stddev(measure)", about: "standard deviation of the sample" },
  { name: "stddev_samp", form: "stddev_samp(measure)", about: "the same as stddev" },
  { name: "stddev_pop", form: "stddev_pop(measure)", about: "standard deviation of the population" },
  { name: "variance", form: "variance(measure)", about: "variance of the sample" },
  { name: "var_samp", form: "var_samp(measure)", about: "the same as variance" },
  { name: "var_pop", form: "var_pop(measure)", about: "variance of the population" },
  { name: "min", form: "min(x)", about: "in queries of units and windows only" },
  { name: "max", form: "max(x)", about: "in queries of units and windows only" },
];

export const windows: readonly FunctionWord[] = [
  { name: "row_number", form: "row_number() OVER (PARTITION BY id ORDER BY …)", about: "place of a row" },
  { name: "rank", form: "rank() OVER (…)", about: "place, equal ones share it" },
  { name: "dense_rank", form: "dense_rank() OVER (…)", about: "place without gaps" },
  { name: "lag", form: "lag(x) OVER (…)", about: "the value of the row before" },
  { name: "lead", form: "lead(x) OVER (…)", about: "the value of the row after" },
  { name: "first_value", form: "first_value(x) OVER (…)", about: "the first value" },
];

const scalarForms: Readonly<Record<string, string>> = {
  abs: "abs(x)",
  floor: "floor(column / n)",
  ceil: "ceil(x)",
  ceiling: "ceiling(x)",
  round: "round(x, 1)",
  least: "least(x, 100)",
  greatest: "greatest(x, 0)",
  coalesce: "coalesce(x, 'unknown')",
  left: "left(column, n)",
  lower: "lower(x)",
  lcase: "lcase(x)",
  upper: "upper(x)",
  ucase: "ucase(x)",
  trim: "trim(x)",
  date_trunc: "date_trunc('month', column)",
  datetrunc: "datetrunc('month', column)",
  date_diff: "date_diff('day', a, b)",
  datediff: "datediff('day', a, b)",
  date_part: "date_part('year', column)",
  datepart: "datepart('year', column)",
  extract: "extract(year FROM column)",
  year: "year(column)",
  quarter: "quarter(column)",
  month: "month(column)",
  week: "week(column)",
  day: "day(column)",
  dayofweek: "dayofweek(column)",
  isodow: "isodow(column)",
  hour: "hour(column)",
  cast: "CAST(x AS integer)",
};

export const scalars: readonly FunctionWord[] = Object.entries(scalarForms).map(([name, form]) => ({
  name,
  form,
  about: "",
}));

/** Words that begin or join parts of a query. */
export const keywords =
  "SELECT,FROM,WHERE,GROUP BY,HAVING,ORDER BY,LIMIT,OFFSET,WITH,AS,DISTINCT,JOIN,INNER JOIN,LEFT JOIN,ON,USING,AND,OR,NOT,IN,EXISTS,BETWEEN,LIKE,IS NULL,IS NOT NULL,CASE,WHEN,THEN,ELSE,END,FILTER,OVER,PARTITION BY,QUALIFY,UNION ALL,ASC,DESC,ALL,INTERVAL,DATE,TIMESTAMP,NULL,TRUE,FALSE".split(
    ",",
  );

export const types = "boolean,integer,bigint,double,varchar,date,timestamp".split(",");

/** Words that a name must be quoted to be: those that DuckDB reserves. */
export const reserved: ReadonlySet<string> = new Set(
  "all,analyse,analyze,and,any,array,as,asc,asymmetric,both,case,cast,check,collate,column,constraint,create,default,deferrable,desc,describe,distinct,do,else,end,except,false,fetch,for,foreign,from,group,having,in,initially,intersect,into,lambda,lateral,leading,limit,not,null,offset,on,only,or,order,pivot,placing,primary,qualify,references,returning,select,show,some,summarize,symmetric,table,then,to,trailing,true,union,unique,unpivot,using,variadic,when,where,window,with,inner,left,right,join,is,like,between,exists,interval,filter,over,partition".split(
    ",",
  ),
);

/** A name as it is written in SQL: quoted where it has to be. */
export function writeName(name: string): string {
  if (/^[a-z_][a-z0-9_]*$/i.test(name) && !reserved.has(name.toLowerCase())) return name;
  return `"${name.replaceAll('"', '""')}"`;
}
