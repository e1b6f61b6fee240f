package sample

import (
	"cmp"
	"slices"
	"strings"
)

// leastShared is how many values two columns have to share before they are taken for the same identifier.
const leastShared = 10

// Shared finds, in the samples of several files, the columns that most likely hold the identifier by which they are joined: of each file the
// one that shares most of its values with a column of another. Values are compared trimmed and in lower case. A file that shares none has "".
func Shared(tables []*Table) []string {
	out := make([]string, len(tables))
	candidates := make([][]candidate, len(tables))
	for i, t := range tables {
		candidates[i] = t.candidates()
	}
	for i := range tables {
		most := leastShared - 1
		for _, c := range candidates[i] {
			for j := range tables {
				if i == j {
					continue
				}
				for _, other := range candidates[j] {
					if n := c.common(other); n > most {
						most, out[i] = n, c.name
					}
				}
			}
		}
	}
	return out
}

// NormalizeOf is the rule of a namespace that fits the values of these columns, one of each table: email where all look like it, else trim.
func NormalizeOf(tables []*Table, columns []string) string {
	seen := false
	for i, t := range tables {
		at := slices.Index(t.Columns, columns[i])
		if at < 0 {
			continue
		}
		for _, v := range t.values(at) {
			if !strings.Contains(v, "@") {
				return "trim"
			}
			seen = true
		}
	}
	if seen {
		return "email"
	}
	return "trim"
}

type candidate struct {
	name   string
	values map[string]bool
}

// candidates are the columns whose values may name units: texts and whole numbers with many values.
func (t *Table) candidates() []candidate {
	var out []candidate
	for i, name := range t.Columns {
		c := t.describe(i)
		if !columnForm.MatchString(name) || len(c.distinct) <= fewValues || !slices.Contains([]string{"varchar", "uuid", "bigint", "integer"}, c.kind) {
			continue
		}
		if c.kind == "integer" && !identifierName.MatchString(name) { // ages and amounts share values too
			continue
		}
		values := make(map[string]bool, len(c.distinct))
		for v := range c.distinct {
			values[strings.ToLower(strings.TrimSpace(v))] = true
		}
		out = append(out, candidate{name, values})
	}
	slices.SortStableFunc(out, func(a, b candidate) int { return cmp.Compare(len(b.values), len(a.values)) })
	return out
}

func (c candidate) common(other candidate) int {
	few, many := c.values, other.values
	if len(few) > len(many) {
		few, many = many, few
	}
	n := 0
	for v := range few {
		if many[v] {
			n++
		}
	}
	return n
}
