package sample

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"concordat.dev/protocol/upload"
)

// Draft names what a drafted policy is for. Empty fields are guessed.
type Draft struct {
	Dataset, Owner, Namespace string
	Unit                      string // the identifier's column
}

const (
	fewValues = 30 // of a column that is proposed as a dimension with a domain
	mark      = "check me"
)

var (
	uuidForm       = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	clockForm      = regexp.MustCompile(`^[ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|z|[+-]\d\d:\d\d)?$`)
	columnForm     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_. -]{0,63}$`)
	identifierName = regexp.MustCompile(`(?i)(^|[_. -])(id|uid|uuid|guid|key|email|e-?mail|mail|phone|msisdn|ssn|mrn|nhs|insurance|patient|person|user|customer|member|subscriber|household|device)($|[_. -])|(Id|ID)$`)
	strongName     = regexp.MustCompile(`(?i)^(id|(patient|person|user|customer|member|subscriber|unit)([_. -]?(id|key|no|number))?|e-?mail|phone)$`)
	personalName   = regexp.MustCompile(`(?i)(name|street|address|zip|postal|postcode|phone|mail|birth|dob|iban|passport|comment|note|remark|text|description|url|ip$)`)
)

// column is what the sample tells of one column.
type column struct {
	name     string
	kind     string
	values   []string // that are there
	distinct map[string]int
	numbers  []float64 // sorted, of numeric columns
	nulls    int
	digits   int    // most digits after the point
	trouble  string // why the worker would not read it as its kind, or which kind it would have
}

// Policy drafts a policy: types and roles guessed from names and values, domains of columns with few values, bounds from quantiles rounded outward.
// Every guess that a steward has to confirm is marked "check me". The text is YAML.
func (t *Table) Policy(d Draft) (string, error) {
	if len(t.Columns) == 0 || len(t.Rows) == 0 {
		return "", fmt.Errorf("%w: a policy is drafted from rows: give a CSV or JSON lines file that has some", ErrUnread)
	}
	var all, dates, numbers []string
	for i := range t.Columns {
		values := t.values(i)
		if len(datesOf(values)) > 0 && len(values) > 0 {
			dates = append(dates, values...)
		}
		if len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return !commaForm.MatchString(v) && !wholeForm.MatchString(v) }) {
			numbers = append(numbers, values...)
		}
		all = append(all, values...)
	}
	if len(all) == 0 {
		return "", fmt.Errorf("%w: all its values are empty", ErrUnread)
	}
	if err := t.fit(dates, numbers); err != nil {
		return "", err
	}
	var columns []*column
	var skipped []string
	for i, name := range t.Columns {
		if !columnForm.MatchString(name) || slices.ContainsFunc(columns, func(c *column) bool { return strings.EqualFold(c.name, name) }) {
			skipped = append(skipped, name)
			continue
		}
		columns = append(columns, t.describe(i))
	}
	unit := unitOf(columns, d.Unit)
	if unit == nil && len(t.Columns) == 1 {
		return "", fmt.Errorf("%w: its first line is one field, %.40q; say --delimiter if it is one of , ; | tab", ErrUnread, t.Columns[0])
	}
	if unit == nil {
		return "", fmt.Errorf("%w: no column looks like an identifier; name it with --unit", ErrUnread)
	}
	d.Dataset = cmp.Or(d.Dataset, "owner.dataset")
	owner, _, dotted := strings.Cut(d.Dataset, ".")
	if d.Owner == "" && dotted {
		d.Owner = owner
	}
	d.Owner, d.Namespace = cmp.Or(d.Owner, "owner"), cmp.Or(d.Namespace, namespaceOf(unit.name))
	return t.write(d, columns, unit, skipped), nil
}

var wholeForm = regexp.MustCompile(`^\s*[+-]?\d+\s*$`)

func (t *Table) describe(i int) *column {
	c := &column{name: t.Columns[i], values: t.values(i), distinct: map[string]int{}}
	c.nulls = len(t.Rows) - len(c.values)
	for _, v := range c.values {
		c.distinct[v]++
	}
	c.kind = t.kindOf(c)
	c.trouble = t.troubleOf(c)
	for v := range c.distinct {
		if c.kind != "integer" && c.kind != "bigint" && c.kind != "double" {
			break
		}
		text := strings.TrimSpace(v)
		if t.Dialect.Decimal == "," {
			text = strings.Replace(text, ",", ".", 1)
		}
		if _, fraction, ok := strings.Cut(text, "."); ok {
			c.digits = max(c.digits, len(strings.TrimRight(fraction, "0")))
		}
		if n, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
			c.numbers = append(c.numbers, slices.Repeat([]float64{n}, c.distinct[v])...)
		}
	}
	slices.Sort(c.numbers)
	return c
}

// missingWord is what programs write for a value that is missing.
var missingWord = regexp.MustCompile(`(?i)^(null|none|nil|n/?a|#n/a|nan|-+|\.|\?|\\N|missing|unknown)$`)

// troubleOf says what the rows have to be rid of.
func (t *Table) troubleOf(c *column) string {
	if c.kind != "varchar" {
		return ""
	}
	rest := &column{distinct: map[string]int{}}
	for v, n := range c.distinct {
		if t.Format == upload.JSONLines && (strings.HasPrefix(v, "{") || strings.HasPrefix(v, "[")) {
			return "objects or lists, which no column holds"
		}
		if !missingWord.MatchString(v) {
			rest.distinct[v] = n
		}
	}
	if kind := t.kindOf(rest); len(rest.distinct) < len(c.distinct) && kind != "varchar" {
		return "it would be " + kind + " but for words that stand for missing values; leave those empty in the file"
	}
	return ""
}

// kindOf is the narrowest type that all values have.
func (t *Table) kindOf(c *column) string {
	every := func(ok func(string) bool) bool {
		for v := range c.distinct {
			if !ok(v) {
				return false
			}
		}
		return len(c.distinct) > 0
	}
	integer := func(bits int) func(string) bool {
		return func(v string) bool {
			_, err := strconv.ParseInt(strings.TrimPrefix(v, "+"), 10, bits)
			return err == nil && (len(v) < 2 || v[0] != '0') // leading zeros are names, not numbers
		}
	}
	number := pointForm
	if t.Dialect.Decimal == "," {
		number = commaForm
	}
	pattern := cmp.Or(t.Dialect.Date, upload.ISODate)
	switch {
	case every(func(v string) bool {
		low := strings.ToLower(v)
		return low == "true" || low == "false" || low == "yes" || low == "no" || low == "t" || low == "f"
	}):
		return "boolean"
	case every(integer(32)):
		return "integer"
	case every(integer(64)):
		return "bigint"
	case every(func(v string) bool { return number.MatchString(v) || integer(64)(v) }):
		return "double"
	case every(func(v string) bool { _, ok := date(pattern, v); return ok && len(v) == len(pattern) }):
		return "date"
	case every(func(v string) bool { _, ok := date(pattern, v); return ok && clockForm.MatchString(v[len(pattern):]) }):
		return "timestamp"
	case every(uuidForm.MatchString):
		return "uuid"
	}
	return "varchar"
}

// unitOf is the column that most likely names the privacy unit.
func unitOf(columns []*column, named string) *column {
	var best *column
	score := func(c *column) float64 {
		s := float64(len(c.distinct)) / float64(max(len(c.values), 1)) * 0.9
		switch {
		case strongName.MatchString(c.name):
			s += 2
		case identifierName.MatchString(c.name):
			s++
		}
		return s
	}
	for _, c := range columns {
		if named != "" {
			if strings.EqualFold(c.name, named) {
				return c
			}
			continue
		}
		fits := c.kind == "varchar" || c.kind == "uuid" || c.kind == "integer" || c.kind == "bigint"
		if fits && identifierName.MatchString(c.name) && (best == nil || score(c) > score(best)) {
			best = c
		}
	}
	return best
}

func namespaceOf(unit string) string {
	low := strings.ToLower(unit)
	for _, n := range []string{"patient", "household", "customer", "user", "member", "device"} {
		if strings.Contains(low, n) {
			return n
		}
	}
	return "person"
}

func (t *Table) write(d Draft, columns []*column, unit *column, skipped []string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	how := "all of its"
	if !t.Whole {
		how = "its first"
	}
	line("# Drafted from a file of %d columns and %s %d rows, on this machine. Whatever is marked %q is a guess: the policy", len(t.Columns), how, len(t.Rows), mark)
	line("# protects what you say here, not what the sample showed. Then: concordat policy lint")
	line("apiVersion: concordat.dev/v1\nkind: Policy\ndataset: %s\nowner: %s", quoted(d.Dataset), quoted(d.Owner))
	unique := len(unit.distinct) == len(unit.values)
	extra, why := "", "whom does the dataset protect? one row or many per unit?"
	if unique {
		extra, why = ", unique: true", "whom does the dataset protect? unique: each unit had one row in the sample"
	}
	line("unit: {column: %s, namespace: %s%s} # %s: %s", quoted(unit.name), quoted(d.Namespace), extra, mark, why)
	line("columns:")
	for _, c := range columns {
		line("  %s: %s", quoted(c.name), c.rule(c == unit))
	}
	for _, name := range skipped {
		line("  # left out, its name is not a column's or there twice: %.60q", name)
	}
	line("joins: allowed\naggregates: [count, count_distinct, sum, avg]")
	line("release:\n  mechanism: differential_privacy\n  min_units: 10")
	if !unique {
		rows := rowsOf(unit)
		line("  groups_per_unit: 1 # %s: in how many groups of one result a unit may count", mark)
		line("  rows_per_group: %d # %s: 95 %% of the units of the sample had no more rows; fewer give less noise", rows, mark)
	}
	line("budget: {rho: 0.5, delta: 1e-6, period: 30d, lifetime_rho: 3} # %s: how much may be learnt", mark)
	return b.String()
}

// rowsOf is the 95 % quantile of a unit's rows.
func rowsOf(unit *column) int {
	counts := slices.Sorted(maps.Values(unit.distinct))
	return min(max(counts[min(len(counts)-1, len(counts)*95/100)], 1), 1000)
}

// rule is a column's entry, with what to check.
func (c *column) rule(unit bool) string {
	numeric := c.kind == "integer" || c.kind == "bigint" || c.kind == "double"
	switch few := len(c.distinct) > 0 && len(c.distinct) <= fewValues && len(c.distinct)*5 <= len(c.values); {
	case unit:
		kind := c.kind
		if kind == "double" || kind == "boolean" || kind == "date" || kind == "timestamp" {
			kind = "varchar"
		}
		return fmt.Sprintf("{type: %s, role: identifier}", kind)
	case len(c.values) == 0:
		return "{type: varchar, role: hidden} # empty in the sample"
	case c.trouble != "":
		return fmt.Sprintf("{type: varchar, role: hidden} # %s: %s", mark, c.trouble)
	case identifierName.MatchString(c.name) && !few:
		return fmt.Sprintf("{type: %s, role: hidden} # %s: it looks like another identifier", c.kind, mark)
	case c.kind == "date" || c.kind == "timestamp":
		return fmt.Sprintf("{type: %s, role: time, grain: month} # %s: hour, day, week, month, quarter or year", c.kind, mark)
	case personalName.MatchString(c.name) && c.kind != "boolean":
		return fmt.Sprintf("{type: %s, role: hidden} # %s: it looks personal", c.kind, mark)
	case c.kind == "boolean":
		return "{type: boolean, role: dimension, domain: [true, false]}"
	case few && (c.kind == "varchar" || c.kind == "integer"):
		return fmt.Sprintf("{type: %s, role: dimension, domain: [%s]} # %s: list all values there can be, not those of the sample", c.kind, c.domain(), mark)
	case numeric && len(c.numbers) > 0:
		return c.measure()
	}
	return fmt.Sprintf("{type: %s, role: hidden} # %s: %d different values; role dimension if groups of it may be shown", c.kind, mark, len(c.distinct))
}

func (c *column) domain() string {
	values := slices.Sorted(maps.Keys(c.distinct))
	if c.kind == "integer" {
		numbers := map[int64]bool{}
		for _, v := range values {
			n, _ := strconv.ParseInt(strings.TrimPrefix(v, "+"), 10, 64) // kindOf has parsed it
			numbers[n] = true
		}
		var out []string
		for _, n := range slices.Sorted(maps.Keys(numbers)) {
			out = append(out, strconv.FormatInt(n, 10))
		}
		return strings.Join(out, ", ")
	}
	for i, v := range values {
		values[i] = singleQuoted(v)
	}
	return strings.Join(values, ", ")
}

func (c *column) measure() string {
	at := func(q float64) float64 { return c.numbers[int(q*float64(len(c.numbers)-1))] }
	low, high := outward(at(0.005), at(0.995))
	whole := c.kind != "double"
	if whole {
		low, high = math.Floor(low), math.Ceil(high)
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/10)))
	if whole {
		step = max(step, 1)
	}
	scale := ""
	if !whole {
		scale = ", scale: " + decimal(math.Pow(10, -float64(min(c.digits, 6))))
	}
	return fmt.Sprintf("{type: %s, role: measure, bounds: [%s, %s], grain: %s%s} # %s: bounds that any value may have; values beyond them are clamped",
		c.kind, decimal(low), decimal(high), decimal(step), scale, mark)
}

// outward rounds a range to two digits, away from its middle.
func outward(low, high float64) (float64, float64) {
	if low == high {
		low, high = low-1, high+1
	}
	step := math.Pow(10, math.Floor(math.Log10(max(math.Abs(low), math.Abs(high))))-1)
	low, high = math.Floor(low/step)*step, math.Ceil(high/step)*step
	digits := max(0, -int(math.Floor(math.Log10(step))))
	round := func(v float64) float64 {
		r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', digits, 64), 64) // it was just formatted
		return r
	}
	return round(low), round(high)
}

func decimal(v float64) string {
	if v == 0 {
		return "0" // and not -0
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

var bareForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// quoted writes a name, in quotes where YAML might take it for something else.
func quoted(v string) string {
	switch strings.ToLower(v) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf":
		return singleQuoted(v)
	}
	if bareForm.MatchString(v) {
		return v
	}
	return singleQuoted(v)
}

func singleQuoted(v string) string {
	if strings.ContainsFunc(v, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff
	}) {
		return strconv.Quote(v)
	}
	return "'" + strings.ReplaceAll(v, "'", "''") + "'"
}
