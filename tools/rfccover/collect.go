package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
)

// mark is one citation: a section of an RFC in a file. Section is empty where the whole RFC is named.
type mark struct {
	rfc     int
	section string
	file    string // slash-separated, relative to the root
	test    bool
}

// cited matches "RFC 5321 §4.5.3.1.8", "RFC 3463 §2", and lists such as "RFC 5321 §4.1.1, §4.1.2".
var cited = regexp.MustCompile(`RFC ?(\d{3,5})((?:[ ,]*(?:and )?§ ?[0-9A-Z]+(?:\.[0-9A-Za-z]+)*)*)`)

var section = regexp.MustCompile(`§ ?([0-9A-Z]+(?:\.[0-9A-Za-z]+)*)`)

// collect reads the comments of all Go files below root.
func collect(root string) ([]mark, error) {
	var marks []mark
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		found, err := inFile(path, nil)
		if err != nil {
			return err
		}
		for _, m := range found {
			m.file, m.test = filepath.ToSlash(rel), strings.HasSuffix(name, "_test.go")
			marks = append(marks, m)
		}
		return nil
	})
	return marks, err
}

// inFile returns the marks in one file's comments; src is its text, or nil to read it.
func inFile(path string, src any) ([]mark, error) {
	f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var marks []mark
	for _, group := range f.Comments {
		// A comment may break the line between "RFC" and its number.
		text := strings.Join(strings.Fields(group.Text()), " ")
		for _, m := range cited.FindAllStringSubmatch(text, -1) {
			n := 0
			for _, c := range m[1] {
				n = n*10 + int(c-'0')
			}
			sections := section.FindAllStringSubmatch(m[2], -1)
			if len(sections) == 0 {
				marks = append(marks, mark{rfc: n})
			}
			for _, s := range sections {
				marks = append(marks, mark{rfc: n, section: s[1]})
			}
		}
	}
	return marks, nil
}
