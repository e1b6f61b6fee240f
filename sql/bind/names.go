package bind

import "sort"

// Functions are the scalar functions that a text may call, in alphabetical order; operators are not among them.
func Functions() []string {
	var out []string
	for name := range scalars {
		if name[0] >= 'a' && name[0] <= 'z' {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// Aggregates are the aggregate functions that a text may call, in alphabetical order.
func Aggregates() []string { return sorted(aggregates) }

// Windows are the window functions that a text may call, in alphabetical order.
func Windows() []string { return sorted(windowFuncs) }

func sorted[T any](names map[string]T) []string {
	var out []string
	for name := range names {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}
