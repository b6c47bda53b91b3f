package layering

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
)

// unfinished finds marks of work that was left: what is not done is said in README or an issue, not in the source.
var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)

// sharedState are types that a package-level variable may not have: two nodes of one process would share it.
var sharedState = regexp.MustCompile(`^(sync|atomic)\.`)

// CheckSources parses every Go file of the packages and returns one line per offence.
func CheckSources(pkgs []Package) ([]string, error) {
	var bad []string
	for _, p := range pkgs {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			bad = append(bad, p.Path()+" has no package comment: say purpose, RFCs, what it never does, its files")
		}
		for _, names := range [][]string{p.GoFiles, p.TestGoFiles, p.XTestGoFiles} {
			for _, name := range names {
				offences, err := checkFile(p.Path(), filepath.Join(p.Dir, name), nil)
				if err != nil {
					return nil, err
				}
				bad = append(bad, offences...)
			}
		}
	}
	return bad, nil
}

// checkFile judges one file; src is its text, or nil to read it.
func checkFile(path, file string, src any) ([]string, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var bad []string
	say := func(pos token.Pos, format string, args ...any) {
		where := fset.Position(pos)
		bad = append(bad, fmt.Sprintf("%s/%s:%d: %s", path, filepath.Base(file), where.Line, fmt.Sprintf(format, args...)))
	}
	isTest := strings.HasSuffix(file, "_test.go")
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.Name == "init" && d.Recv == nil {
				say(d.Pos(), "init() hides the flow; node composes by plain calls")
			}
		case *ast.GenDecl:
			if d.Tok == token.VAR && !isTest {
				for _, s := range d.Specs {
					checkGlobal(s.(*ast.ValueSpec), say)
				}
			}
		}
	}
	if path != "test/needs" {
		checkSkips(f, say)
	}
	for _, group := range f.Comments {
		for _, c := range group.List {
			if path != "test/layering" && unfinished.MatchString(c.Text) {
				say(c.Pos(), "a mark of unfinished work: finish it, or say it in README")
			}
		}
	}
	return bad, nil
}

// checkGlobal refuses package variables that exist to be changed: locks, atomics, channels, made maps.
func checkGlobal(s *ast.ValueSpec, say func(token.Pos, string, ...any)) {
	const shared = "a mutable package variable is shared by two nodes in one process; put it in a struct that node makes"
	if s.Type != nil && (sharedState.MatchString(typeName(s.Type)) || isChan(s.Type)) {
		say(s.Pos(), shared)
		return
	}
	for _, v := range s.Values {
		switch v := v.(type) {
		case *ast.CompositeLit:
			if v.Type != nil && sharedState.MatchString(typeName(v.Type)) {
				say(s.Pos(), shared)
			}
		case *ast.CallExpr:
			if id, ok := v.Fun.(*ast.Ident); ok && (id.Name == "make" || id.Name == "new") {
				say(s.Pos(), shared)
			}
		}
	}
}

// checkSkips refuses t.Skip, t.Skipf and t.SkipNow: test/needs skips with a reason, and fails where it must.
func checkSkips(f *ast.File, say func(token.Pos, string, ...any)) {
	if !imports(f, "testing") {
		return
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		recv, ok := sel.X.(*ast.Ident)
		if ok && (recv.Name == "t" || recv.Name == "tb" || recv.Name == "b" || recv.Name == "f") &&
			(sel.Sel.Name == "Skip" || sel.Sel.Name == "Skipf" || sel.Sel.Name == "SkipNow") {
			say(call.Pos(), "%s.%s: a test skips only through test/needs", recv.Name, sel.Sel.Name)
		}
		return true
	})
}

func imports(f *ast.File, path string) bool {
	for _, i := range f.Imports {
		if strings.Trim(i.Path.Value, `"`) == path {
			return true
		}
	}
	return false
}

func isChan(e ast.Expr) bool { _, ok := e.(*ast.ChanType); return ok }

// typeName writes a type as "pkg.Name" where it is one, generic or not.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			return x.Name + "." + e.Sel.Name
		}
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
