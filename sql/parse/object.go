package parse

import (
	"encoding/json"
	"sort"
	"strings"
)

// object is one node of DuckDB's serialised tree. Every key that is read is remembered; rest tells which others hold more than
// a default, so that a construct this decoder does not know can not slip through.
type object struct {
	fields map[string]any
	read   map[string]bool
}

func newObject(v any) object {
	m, _ := v.(map[string]any)
	return object{m, map[string]bool{}}
}

func (o object) any(key string) any {
	o.read[key] = true
	return o.fields[key]
}

func (o object) text(key string) string {
	s, _ := o.any(key).(string)
	return s
}

func (o object) truth(key string) bool {
	b, _ := o.any(key).(bool)
	return b
}

func (o object) list(key string) []any {
	l, _ := o.any(key).([]any)
	return l
}

func (o object) texts(key string) []string {
	var out []string
	for _, v := range o.list(key) {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
}

func (o object) object(key string) object { return newObject(o.any(key)) }

func (o object) has(key string) bool { return !isDefault(o.any(key)) }

// location is the byte where the node begins; -1 when the parser made the node up.
func (o object) location() int {
	n, ok := o.any("query_location").(json.Number)
	if !ok {
		return -1
	}
	i, err := n.Int64()
	if err != nil || i < 0 {
		return -1
	}
	return int(i)
}

// rest names the keys that were not read and hold more than a default.
func (o object) rest() []string {
	var out []string
	for key, v := range o.fields {
		if !o.read[key] && !isDefault(v) {
			out = append(out, strings.ReplaceAll(key, "_", " "))
		}
	}
	sort.Strings(out)
	return out
}

// isDefault holds for what DuckDB writes where nothing was said: null, false, "", empty lists, and an ORDER BY without keys.
func isDefault(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == "" || v == "INVALID"
	case []any:
		return len(v) == 0
	case map[string]any:
		for key, field := range v {
			if !isDefault(field) && (key != "type" || field != "ORDER_MODIFIER") {
				return false
			}
		}
		return true
	}
	return false
}
