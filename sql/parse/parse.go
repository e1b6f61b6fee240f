// Package parse reads SQL. DuckDB's own parser does the reading (json_serialize_sql), in a database of its own without data; a
// strict decoder turns its tree into package ast and refuses every node, field and value that it does not know.
//
// Invariant: no text reaches DuckDB but as the argument of json_serialize_sql; the caller's data is never in this database.
//
// Sees: metadata
package parse

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // the parser

	"concordat.dev/sql/ast"
	"concordat.dev/sql/refusal"
)

// MaxText is the longest text that is read, in bytes: DuckDB's parser takes quadratic time beyond.
const MaxText = 64 << 10

// maxComments is how often /* may stand in a text.
const maxComments = 100

// connections is how many texts are read at once.
const connections = 4

// Parser reads texts; it is safe for concurrent use.
type Parser struct {
	db        *sql.DB
	serialise *sql.Stmt // prepared once: preparing takes as long as parsing
}

// New opens a parser. Close it.
func New() (*Parser, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, fmt.Errorf("parse: open: %w", err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections) // each has its statement prepared
	for _, statement := range []string{
		"SET autoinstall_known_extensions = false", "SET autoload_known_extensions = false",
		"SET memory_limit = '512MB'", "SET threads = 1", "SET enable_external_access = false", "SET lock_configuration = true",
	} {
		if _, err := db.Exec(statement); err != nil {
			return nil, fmt.Errorf("parse: lock down: %w", err)
		}
	}
	statement, err := db.Prepare("SELECT CAST(json_serialize_sql(CAST(? AS VARCHAR)) AS VARCHAR)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("parse: prepare: %w", err), db.Close())
	}
	return &Parser{db, statement}, nil
}

// Close frees the parser.
func (p *Parser) Close() error { return errors.Join(p.serialise.Close(), p.db.Close()) }

// Parse reads one SELECT. Refusals say why the text is not in the language; then the query may be nil, or partial so that
// more reasons can be found. An error is a fault of the machine, never of the text.
func (p *Parser) Parse(ctx context.Context, text string) (ast.Query, *refusal.List, error) {
	refused := &refusal.List{}
	if len(text) > MaxText {
		refused.Add(refusal.Refusal{Code: refusal.LimitExceeded, Span: refusal.Span{Start: 0, End: len(text)}, Rule: "text size",
			Message:    fmt.Sprintf("The text has %d bytes; the most is %d.", len(text), MaxText),
			Suggestion: "Shorten the query, for example its IN lists."})
		return nil, refused, nil
	}
	if n := strings.Count(text, "/*"); n > maxComments { // the engine's scanner takes the square of their number, if they are nested
		at := strings.Index(text, "/*")
		refused.Add(refusal.Refusal{Code: refusal.LimitExceeded, Span: refusal.Span{Start: at, End: at + len("/*")}, Rule: "comments",
			Message: fmt.Sprintf("The text has %d times /*; the most is %d.", n, maxComments), Suggestion: "Leave comments out, or begin them with --."})
		return nil, refused, nil
	}
	src := newSource(text)
	for _, span := range src.foreign() {
		refused.Add(refusal.Refusal{Code: refusal.UnsupportedSyntax, Span: span, Rule: "language",
			Message: "Names are written in ASCII letters.", Suggestion: "Use the column's name as the policy writes it."})
	}
	tree, err := p.tree(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	d := &decoder{src: src, refused: refused}
	return d.statements(tree), refused, nil
}

func (p *Parser) tree(ctx context.Context, text string) (object, error) {
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "?") // not a character of SQL: a syntax error at its place
	}
	var raw string
	if err := p.serialise.QueryRowContext(ctx, text).Scan(&raw); err != nil {
		if ctx.Err() != nil {
			return object{}, ctx.Err()
		}
		// The serialiser itself throws on some texts, such as those too deeply nested.
		return newObject(map[string]any{"error": true, "error_message": "The query can not be read."}), nil
	}
	dec := json.NewDecoder(strings.NewReader(raw))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return object{}, fmt.Errorf("parse: decode the parser's tree: %w", err)
	}
	return newObject(tree), nil
}
