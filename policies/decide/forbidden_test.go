package decide_test

import (
	"fmt"
	"strings"
	"testing"

	"concordat.dev/policies/decide/decidetest"
)

// forbidden are conditions, items, sources and clauses that no query may hold, whatever stands around them.
var forbidden = struct{ conditions, aggregates, tails, heads []string }{
	conditions: strings.Split(`random() < 0.5 | now() > DATE '2026-01-01' | current_date > DATE '2026-01-01' | current_user = 'root' | current_setting('threads') = '1' | version() = 'v1' |
		error('x') IS NULL | CASE WHEN TRUE THEN error('x') END = 1 | 1 / 0 = (SELECT 1) | (SELECT count(*) FROM $S) > 0 | $U = 'p1' | $U IS NOT NULL AND $U IN ('a', 'b') | hash($U) % 2 = 0 |
		md5($U) < 'a' | length(CAST($U AS VARCHAR)) > 3 | $U LIKE 'p%' | lower($U) = 'x' | regexp_matches('a', 'a+$') | repeat('x', 1000000) = 'y' | list_value(1)[1] = 1 | [1, 2][1] = 1 |
		{'a': 1}.a = 1 | struct_pack(a := 1).a = 1 | json_extract('{}', '$.a') IS NULL | list_filter([1], x -> x > 0) IS NULL | list_transform([1], lambda x: x) IS NULL |
		EXISTS (SELECT 1 FROM $S) | EXISTS (SELECT 1 FROM $S z WHERE z.id <> $U) | $U NOT IN (SELECT id FROM $S) | $U = ANY (SELECT id FROM $S WHERE id = 'a') | $U < ALL (SELECT id FROM $S) |
		5 IN (SELECT level FROM $S) | ROW(1, 2) = ROW(1, 2) | 'a' COLLATE NOCASE = 'A' | 'a' SIMILAR TO 'a' | 'a' GLOB 'a*' | 'a' ~ 'a' | 'a' ILIKE 'A%' | 'a' LIKE 'a_' | 1 IS DISTINCT FROM 2 |
		? = 1 | $1 = 1 | nextval('s') = 1 | getenv('HOME') = '' | read_text('/etc/passwd') IS NULL | getvariable('x') = 1 | try(1 / 0) IS NULL | COLUMNS(*) IS NOT NULL | rowid = 1 | $A.rowid = 1 |
		$A IS NOT NULL | UNNEST([1]) = 1 | strftime(DATE '2026-01-01', '%Y') = '2026' | epoch(DATE '2026-01-01') > 0 | sqrt(2) > 1 | 2 ** 3 = 8 | 5 % 2 = 1 | 1 // 2 = 0 | 1 & 1 = 1 | 1 << 2 = 4 |
		$U = $U | $A.secret = 'x' | $A.secret IS NULL | $A.code = 'x1' | $A.years = 42 | $A.years < 42 | $A.years + 1 < 45 | $A.years > 44.5 | $A.score > 0 | $A.score IS NULL | $A.amount = $A.years |
		CAST($A.years AS VARCHAR) = '42' | $A.years IN (40, 45) | NOT ($A.years = 42) | $A.years <> 42 | $A.years BETWEEN 41 AND 42 | extract(second FROM $A.at) = 1 | $A.at + INTERVAL 1 SECOND < DATE '2026-01-01' |
		epoch_ms($A.at) > 0 | age($A.at) IS NULL | left($A.code, 3) = 'abc' | upper($A.code) = 'X' | $A.code LIKE 'x%' | $A.level < 2 | round($A.score) = 1`, "|"),
	aggregates: strings.Split(`max($A.years) | min($A.at) | list($U) | string_agg($A.kind, ',') | any_value($A.kind) | first($A.kind) | arg_max($A.kind, $A.years) | mode($A.kind) | histogram($A.kind) |
		count(DISTINCT $A.kind) | count(DISTINCT $A.years) | sum($A.level) | sum(DISTINCT $A.years) | avg($A.secret) | quantile_cont($A.years, 0.01) | quantile_cont($A.years, [0.5]) | quantile_disc($A.years, 0.5) |
		approx_count_distinct($U) | bit_xor($A.level) | entropy($A.kind) | covar_pop($A.years, $A.score) | kurtosis($A.years) | max($A.years, 2) | $U | $A.years | $A.secret | sum(avg($A.years)) |
		sum($A.years ORDER BY $A.years) | count(*) OVER (ORDER BY $U) | rank() OVER (ORDER BY $A.years) | (SELECT 1) | sum(1 / $A.years) | sum($A.years / ($A.years - 42)) | product($A.years) | sum(random()) |
		count($U) | count($A.secret) | count(DISTINCT coalesce($U, 'x')) | sum(length($A.kind)) | unnest([1, 2]) | COLUMNS(*)`, "|"),
	tails: strings.Split(`USING SAMPLE 10% | USING SAMPLE reservoir(5 ROWS) REPEATABLE (1) | LIMIT 10 PERCENT | LIMIT (SELECT 1) | OFFSET random() | ORDER BY (SELECT 1) | QUALIFY 1 = 1 | UNION SELECT 1 |
		UNION ALL SELECT 1 | EXCEPT SELECT 1 | INTERSECT SELECT 1 | ; SELECT 1 | ; DROP TABLE x | FOR UPDATE | INTO x`, "|"),
	heads: strings.Split(`EXPLAIN | EXPLAIN ANALYZE | CREATE TABLE x AS | CREATE MACRO m() AS TABLE | COPY ( | PREPARE q AS | DESCRIBE | SUMMARIZE | PIVOT ( | WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT * FROM r) |
		PRAGMA threads=1; | SET threads = 1; | ATTACH 'x' AS y; | CALL pragma_version(); | LOAD json; | INSERT INTO x | SELECT * FROM query('SELECT 1') WHERE 1 IN ( | VALUES (1) UNION ALL `, "|"),
}

// inserted puts something forbidden into a query over one dataset that is accepted without.
func inserted(c *decidetest.Choice, dataset string) string {
	pick := func(list []string) string {
		part := strings.TrimSpace(list[c.Below(len(list))])
		return strings.NewReplacer("$S", dataset, "$U", "t.id", "$A", "t").Replace(part)
	}
	allowed := []string{"t.kind = 'a'", "t.years < 45", "t.level IN (1, 2)", "left(t.code, 2) = 'x1'", "t.at >= DATE '2026-01-01'"}
	items, where, head, tail := "t.kind, count(*) AS n", allowed[c.Below(len(allowed))], "", ""
	switch c.Below(8) {
	case 0:
		items += ", " + pick(forbidden.aggregates)
	case 1:
		head = pick(forbidden.heads) + " "
	case 2:
		tail = pick(forbidden.tails)
	case 3:
		items += ", sum(CASE WHEN " + pick(forbidden.conditions) + " THEN 1 ELSE 0 END)"
	case 4:
		items += ", count(*) FILTER (WHERE " + pick(forbidden.conditions) + ")"
	case 5:
		where = "(" + where + " OR " + pick(forbidden.conditions) + ")"
	case 6:
		where = "t.id IN (SELECT t.id FROM " + dataset + " t WHERE " + pick(forbidden.conditions) + ")"
	default:
		where += " AND NOT (" + pick(forbidden.conditions) + ")"
	}
	return head + "SELECT " + items + " FROM " + dataset + " t WHERE " + where + " GROUP BY t.kind " + tail
}

// TestForbidden inserts what no query may hold into queries that are accepted without: each is refused.
func TestForbidden(t *testing.T) {
	room := decidetest.NewRoom(decidetest.Seed(3))
	j := newJudge(t, room.Policies)
	dataset := room.Datasets[0]
	if d := j.decide(t, "SELECT t.kind, count(*) AS n FROM "+dataset+" t WHERE t.years < 45 GROUP BY t.kind ", 0); d.Release == nil {
		t.Fatalf("refused without anything: %v", d.Refusals)
	}
	c := decidetest.Seed(4)
	for range 2500 {
		if text := inserted(c, dataset); sound(t, j, text).Release != nil {
			t.Errorf("accepted: %s", text)
		}
	}
}

// TestLabelsAreConstants: constants count as such where a CASE gives them, too.
func TestLabelsAreConstants(t *testing.T) {
	room := decidetest.NewRoom(decidetest.Seed(3))
	j := newJudge(t, room.Policies)
	labels := func(n int) string {
		out := "SELECT count(*) FROM " + room.Datasets[0] + " t WHERE t.place = CASE"
		for i := range n {
			out += fmt.Sprintf(" WHEN t.level = %d THEN 'place %d'", i%3, i)
		}
		return out + " ELSE 'none' END"
	}
	if d := j.decide(t, labels(40), 0); d.Release == nil {
		t.Errorf("41 labels: %v", d.Refusals)
	}
	if d := j.decide(t, labels(60), 0); d.Release != nil {
		t.Error("61 labels are accepted")
	}
}
