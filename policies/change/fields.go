package change

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Field is one field that differs between two documents. Before or After is empty where the field is new or gone.
type Field struct {
	Path   string `json:"path"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Fields compares two JSON documents field by field, in the order of their paths. Lists of objects that have an "id" are compared by id, so that
// an inserted participant does not make all later ones look changed.
func Fields(before, after []byte) ([]Field, error) {
	old, err := flatten(before)
	if err != nil {
		return nil, fmt.Errorf("first document: %w", err)
	}
	fresh, err := flatten(after)
	if err != nil {
		return nil, fmt.Errorf("second document: %w", err)
	}
	var changes []Field
	for path, value := range old {
		if fresh[path] != value {
			changes = append(changes, Field{path, value, fresh[path]})
		}
	}
	for path, value := range fresh {
		if _, known := old[path]; !known {
			changes = append(changes, Field{path, "", value})
		}
	}
	slices.SortFunc(changes, func(a, b Field) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	return changes, nil
}

func flatten(document []byte) (map[string]string, error) {
	if len(document) == 0 {
		return map[string]string{}, nil
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	fields := map[string]string{}
	walk(v, "", fields)
	return fields, nil
}

func walk(v any, path string, fields map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for name, element := range v {
			if path != "" {
				name = path + "." + name
			}
			walk(element, name, fields)
		}
	case []any:
		if scalars(v) {
			b, _ := json.Marshal(v)
			fields[path] = string(b)
			return
		}
		for i, element := range v {
			name := strconv.Itoa(i)
			if object, ok := element.(map[string]any); ok {
				if id, ok := object["id"].(string); ok {
					name = id
				}
			}
			walk(element, path+"["+name+"]", fields)
		}
	default:
		b, _ := json.Marshal(v)
		fields[path] = string(b)
	}
}

func scalars(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool {
		switch v.(type) {
		case map[string]any, []any:
			return true
		}
		return false
	})
}
