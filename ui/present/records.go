package present

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Records makes a grid of a JSON array of objects: a column for each field, in the order in which fields first appear, without
// those of hide. Numbers are grouped and aligned right, what is nested stays JSON.
func Records(raw []byte, hide ...string) (Grid, error) {
	var objects []json.RawMessage
	if err := json.Unmarshal(raw, &objects); err != nil {
		return Grid{}, fmt.Errorf("read the list: %w", err)
	}
	var g Grid
	at := map[string]int{}
	rows := make([]map[string]any, len(objects))
	for i, object := range objects {
		names, values, err := fieldsInOrder(object)
		if err != nil {
			return Grid{}, fmt.Errorf("read entry %d of the list: %w", i+1, err)
		}
		rows[i] = values
		for _, name := range names {
			if _, known := at[name]; known || slices.Contains(hide, name) {
				continue
			}
			at[name] = len(g.Columns)
			_, number := values[name].(json.Number)
			g.Columns = append(g.Columns, Column{Name: name, Right: number})
		}
	}
	for _, values := range rows {
		row, bare := make([]string, len(g.Columns)), make([]string, len(g.Columns))
		for i, c := range g.Columns {
			row[i] = field(values[c.Name])
			bare[i] = row[i]
			if number, ok := values[c.Name].(json.Number); ok {
				bare[i] = number.String()
			}
		}
		g.Rows, g.bare = append(g.Rows, row), append(g.bare, bare)
	}
	return g, nil
}

func field(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case json.Number:
		return plain(v)
	case string:
		return Clean(v)
	case bool:
		return fmt.Sprint(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return Clean(string(b))
}

// fieldsInOrder reads an object and remembers the order of its fields.
func fieldsInOrder(raw []byte) ([]string, map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	t, err := d.Token()
	if err != nil {
		return nil, nil, err
	}
	if t != json.Delim('{') {
		return nil, nil, errors.New("not an object")
	}
	var names []string
	values := map[string]any{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		name := t.(string)
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, nil, err
		}
		names = append(names, name)
		values[name] = v
	}
	return names, values, nil
}
