package dbtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/state/db"
)

// CheckPlans asks SQLite how it would run every statement in the Go files of the current directory (tests left out), and
// fails for those that read a whole table or index or sort what they read: their cost would grow with the store. allowed
// has the statements that may, as they begin, each with the reason. PostgreSQL plans by what is in the tables, so of it
// nothing more is asked than that it takes the statements.
func CheckPlans(t *testing.T, d *db.DB, allowed map[string]string) {
	t.Helper()
	found, used := 0, map[string]bool{}
	for _, sql := range statements(t, ".") {
		found++
		plan := explain(t, d, sql)
		if server() != "" {
			continue
		}
		bad := planFault.FindString(plan)
		if bad == "" {
			continue
		}
		reason := ""
		for prefix, why := range allowed {
			if strings.HasPrefix(oneLine(sql), prefix) {
				reason, used[prefix] = why, true
			}
		}
		if reason == "" {
			t.Errorf("%s\n%s", oneLine(sql), plan)
		}
	}
	if found == 0 {
		t.Error("no statements found")
	}
	for prefix := range allowed {
		if server() == "" && !used[prefix] {
			t.Errorf("no statement needs leave any more: %s", prefix)
		}
	}
}

var (
	statement = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s`)
	planFault = regexp.MustCompile(`(?m)^(SCAN \w+|USE TEMP B-TREE).*$`)
	parameter = regexp.MustCompile(`\?`)
)

func oneLine(sql string) string { return strings.Join(strings.Fields(sql), " ") }

func explain(t *testing.T, d *db.DB, sql string) string {
	t.Helper()
	var plan strings.Builder
	command, column := "EXPLAIN QUERY PLAN ", 3
	if server() != "" {
		command, column = "EXPLAIN ", 0
	}
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows := tx.Query(command+sql, make([]any, len(parameter.FindAllString(sql, -1)))...)
		for rows.Next() {
			plan.WriteString(rows.Text(column) + "\n")
		}
		return rows.Err()
	})
	if err != nil {
		t.Errorf("%s: %v", oneLine(sql), err)
	}
	return plan.String()
}

// statements returns the string constants of a directory's Go files that begin like SQL.
func statements(t *testing.T, dir string) (list []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	constants := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == 1 && len(spec.Values) == 1 {
				if text, ok := constant(spec.Values[0], nil); ok {
					constants[spec.Names[0].Name] = text
				}
			}
			return true
		})
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := constant(e, constants)
			if ok && statement.MatchString(text) {
				list = append(list, text)
			}
			return !ok // a part of it is no statement
		})
	}
	return list
}

// constant evaluates literals, names of constants and their sums.
func constant(e ast.Expr, constants map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		s, ok := constants[e.Name]
		return s, ok
	case *ast.BinaryExpr:
		a, ok1 := constant(e.X, constants)
		b, ok2 := constant(e.Y, constants)
		return a + b, ok1 && ok2 && e.Op == token.ADD
	}
	return "", false
}
