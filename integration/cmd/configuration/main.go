// Command configuration writes the tables of docs/CONFIG.md from the comments of the structs that programs decode, so that a key and
// its description cannot part. `make generate` runs it; with --check it says what differs.
//
// Sees: metadata
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

func main() {
	root := flag.String("root", "..", "folder of the repository")
	check := flag.Bool("check", false, "say whether docs/CONFIG.md is fresh, and write nothing")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "configuration:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	page := filepath.Join(root, "docs", "CONFIG.md")
	raw, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text := string(raw)
	for _, part := range []struct{ name, folder, object string }{
		{"coordinator", "coordinator/server", "Config"}, {"worker", "worker/server", "Config"}, {"vaults", "worker/keyrelease", "File"},
	} {
		table, err := describe(root, part.folder, part.object)
		if err != nil {
			return err
		}
		if text, err = replace(text, part.name, table); err != nil {
			return err
		}
	}
	if check && text != string(raw) {
		return fmt.Errorf("docs/CONFIG.md is stale: run `make generate` and commit the result")
	}
	return os.WriteFile(page, []byte(text), 0o644) //nolint:gosec // G306: a page
}

// replace puts a table between the markers of a name.
func replace(text, name, table string) (string, error) {
	begin, end := "<!-- generated: "+name+" -->\n", "<!-- end -->\n"
	head, rest, found := strings.Cut(text, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("docs/CONFIG.md has no markers of %s", name)
	}
	return head + begin + table + end + tail, nil
}

// structs are the declared structs of one package by name.
type structs map[string]*ast.StructType

func load(folder string) (structs, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	out := structs{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if t, ok := n.(*ast.TypeSpec); ok {
				if s, ok := t.Type.(*ast.StructType); ok {
					out[t.Name.Name] = s
				}
			}
			return true
		})
	}
	return out, nil
}

// describe is the table of a package's struct and of all that it holds.
func describe(root, folder, object string) (string, error) {
	own, err := load(filepath.Join(root, folder))
	if err != nil {
		return "", err
	}
	observed, err := load(filepath.Join(root, "observe"))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("\n| key | type | default | meaning |\n|---|---|---|---|\n")
	w := writer{&b, own, map[string]structs{"observe": observed}}
	if err := w.fields("", own[object], own); err != nil {
		return "", fmt.Errorf("%s: %w", folder, err)
	}
	b.WriteString("\n")
	return b.String(), nil
}

type writer struct {
	out    *strings.Builder
	own    structs
	others map[string]structs
}

func (w writer) fields(prefix string, s *ast.StructType, within structs) error {
	for _, f := range s.Fields.List {
		tag := reflect.StructTag("")
		if f.Tag != nil {
			tag = reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		}
		name, options, _ := strings.Cut(tag.Get("yaml"), ",")
		if name == "-" { // it comes by other means
			continue
		}
		if name == "" {
			return fmt.Errorf("a field of %q has no yaml tag", prefix)
		}
		said := strings.Join(strings.Fields(f.Doc.Text()+" "+f.Comment.Text()), " ")
		if said == "" {
			return fmt.Errorf("%s%s has no comment", prefix, name)
		}
		value := "needed"
		if strings.Contains(options, "omitempty") {
			value = "none"
			if d := tag.Get("default"); d != "" {
				value = "`" + d + "`"
			}
		}
		kind, inner, where := w.kind(f.Type, within)
		for _, verb := range []string{" is ", " are ", " says "} {
			said = strings.TrimPrefix(said, f.Names[0].Name+verb)
		}
		said = strings.ReplaceAll(said, f.Names[0].Name+" ", "`"+name+"` ")
		if kind == "boolean" && value == "none" {
			value = "`false`"
		}
		fmt.Fprintf(w.out, "| `%s%s` | %s | %s | %s |\n", prefix, name, kind, value, strings.ReplaceAll(said, "|", "\\|"))
		if inner == nil {
			continue
		}
		below := prefix + name + "."
		if strings.HasPrefix(kind, "list") {
			below = prefix + name + "[]."
		}
		if err := w.fields(below, inner, where); err != nil {
			return err
		}
	}
	return nil
}

// kind names a type for people, and gives the struct that it is or holds, with the package's structs.
func (w writer) kind(t ast.Expr, within structs) (string, *ast.StructType, structs) {
	switch t := t.(type) {
	case *ast.StarExpr:
		return w.kind(t.X, within)
	case *ast.ArrayType:
		kind, inner, where := w.kind(t.Elt, within)
		return "list of " + kind + "s", inner, where
	case *ast.SelectorExpr:
		if t.Sel.Name == "Duration" {
			return "duration (`10s`, `5m`)", nil, nil
		}
		where := w.others[t.X.(*ast.Ident).Name]
		return "object", where[t.Sel.Name], where
	case *ast.Ident:
		switch t.Name {
		case "string":
			return "text", nil, nil
		case "bool":
			return "boolean", nil, nil
		case "int":
			return "number", nil, nil
		case "float64":
			return "fraction", nil, nil
		}
		return "object", within[t.Name], within
	}
	return "value", nil, nil
}
