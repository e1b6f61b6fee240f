package query_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"strconv"
	"testing"

	"concordat.dev/protocol/answer"
)

// The worker hands the codes of sql/refusal on as those of protocol/answer by their text alone. So the two lists must agree, name by
// name, but for what only the coordinator says.
func TestRefusalCodesAreThoseOfAnswers(t *testing.T) {
	said, answered := codes(t, "../../sql/refusal/refusal.go"), codes(t, "../../protocol/answer/refusal.go")
	for _, c := range []answer.Code{answer.BudgetExhausted, answer.NotPermitted, answer.ManifestInactive, answer.DatasetMissing} {
		maps.DeleteFunc(answered, func(_, text string) bool { return text == string(c) })
	}
	if len(said) == 0 || !maps.Equal(said, answered) {
		t.Errorf("sql/refusal has %v,\nprotocol/answer has %v", said, answered)
	}
}

// codes are the constants of type Code of a file, text by name.
func codes(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := v.Type.(*ast.Ident); !ok || kind.Name != "Code" {
			return true
		}
		text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		out[v.Names[0].Name] = text
		return true
	})
	return out
}
