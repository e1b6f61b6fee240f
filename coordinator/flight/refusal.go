package flight

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"concordat.dev/protocol/answer"
)

// maxReasons bounds what a refusal says, in bytes: gRPC sends it as a header, of which Java takes 8 KiB.
const maxReasons = 4000

// probing is said to tools that want to look before they ask. They have what they want from the catalog.
const probing = "(Datasets and their columns are in the catalog, with what each column is for in the fields' metadata: no statement shows rows.)"

// refusal is an answer without release as an error: every reason, and what to do. Each reason is a line "code (dataset.column): message suggestion",
// whose parenthesis is left out where it is about neither; lines in parentheses are remarks. docs/CLIENTS.md promises this form.
func refusal(a answer.Answer) error {
	switch a.Verdict {
	case answer.Released:
		return nil
	case answer.Failed:
		return status.Errorf(codes.Internal, "%s (incident %s)", a.Failure.Message, a.Failure.Incident)
	}
	var b strings.Builder
	b.WriteString("refused")
	for i, r := range a.Refusals {
		line := "\n" + reason(r)
		if left := len(a.Refusals) - i; b.Len()+len(line) > maxReasons && i > 0 {
			fmt.Fprintf(&b, "\n(and %d more: `concordat query --explain` tells them)", left)
			break
		}
		b.WriteString(line)
	}
	if has(a, answer.NotAggregated, answer.NotOneSelect, answer.UnknownRelation) {
		b.WriteString("\n" + probing)
	}
	code := codes.InvalidArgument
	switch {
	case has(a, answer.NotPermitted):
		code = codes.PermissionDenied
	case has(a, answer.BudgetExhausted):
		code = codes.ResourceExhausted
	}
	return status.Error(code, b.String())
}

func reason(r answer.Refusal) string {
	about := slices.DeleteFunc([]string{r.Dataset, r.Column}, func(s string) bool { return s == "" })
	where := ""
	if len(about) > 0 {
		where = " (" + strings.Join(about, ".") + ")"
	}
	return strings.TrimSpace(strings.ReplaceAll(fmt.Sprintf("%s%s: %s %s", r.Code, where, r.Message, r.Suggestion), "\n", " "))
}

// only says that every reason has the code, so that nothing but it stands in the way.
func only(a answer.Answer, code answer.Code) bool {
	return len(a.Refusals) > 0 && len(a.Columns) > 0 && !slices.ContainsFunc(a.Refusals, func(r answer.Refusal) bool { return r.Code != code })
}

func has(a answer.Answer, any ...answer.Code) bool {
	return slices.ContainsFunc(a.Refusals, func(r answer.Refusal) bool { return slices.Contains(any, r.Code) })
}
