package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/postrider/postrider/internal/config"
)

// The manual pages are made from what the program itself knows: the tree of commands and the keys of the configuration.

func (c manCmd) Run(a *app, k *kong.Kong) error {
	pages, err := manPages(k.Model.Node)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return &codeError{exitCantCreate, err}
	}
	for name, text := range pages {
		file := filepath.Join(c.Dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return &codeError{exitCantCreate, err}
		}
		if err := os.Chmod(file, 0o644); err != nil {
			return &codeError{exitCantCreate, err}
		}
	}
	return a.done(struct {
		Pages int `json:"pages"`
	}{len(pages)}, "%d manual pages written to %s", len(pages), c.Dir)
}

// manPages makes all pages, by file name: postrider(1), one for each command with what is below it, postrider.toml(5).
func manPages(root *kong.Node) (map[string]string, error) {
	pages := map[string]string{}
	var top roff
	top.title("postrider", "1", "a mail system in one program")
	top.section("SYNOPSIS")
	top.line(".B postrider")
	top.line(".I command\n[\n.I options\n]")
	top.section("DESCRIPTION")
	top.paragraphs(about)
	top.section("COMMANDS")
	for _, child := range root.Children {
		if child.Hidden {
			continue
		}
		top.item(".BR postrider-"+child.Name+" (1)", child.Help)
		pages["postrider-"+child.Name+".1"] = commandPage(child)
	}
	top.section("OPTIONS OF EVERY COMMAND")
	top.flags(root)
	top.ending()
	pages["postrider.1"] = top.String()
	text, err := configPage()
	pages["postrider.toml.5"] = text
	return pages, err
}

// commandPage describes a command and those below it.
func commandPage(n *kong.Node) string {
	var p roff
	p.title("postrider-"+n.Name, "1", strings.TrimSuffix(n.Help, "."))
	p.section("SYNOPSIS")
	leaves := n.Leaves(true)
	if n.Leaf() {
		leaves = []*kong.Node{n}
	}
	for _, leaf := range leaves {
		p.line(".B " + escape(leaf.FullPath()))
		p.line(escape(strings.TrimSpace(strings.TrimPrefix(leaf.Summary(), leaf.Path()))))
		p.line(".br")
	}
	p.section("DESCRIPTION")
	p.paragraphs(n.Help)
	for _, leaf := range leaves {
		if leaf != n {
			p.line(".SS " + escape(leaf.FullPath()))
			p.paragraphs(leaf.Help)
		}
		for _, arg := range leaf.Positional {
			p.item(".I "+escape(arg.Name), arg.Help)
		}
		p.flags(leaf)
	}
	p.line(".PP\nThe options of every command are in\n.BR postrider (1).")
	p.ending()
	return p.String()
}

// configPage describes every key of the configuration.
func configPage() (string, error) {
	entries, err := config.Reference()
	if err != nil {
		return "", err
	}
	var p roff
	p.title("postrider.toml", "5", "configuration of postrider")
	p.section("SYNOPSIS")
	p.line(".I /etc/postrider/postrider.toml")
	p.section("DESCRIPTION")
	p.paragraphs("The file is TOML. An empty file, or none, is a valid configuration. Reading is strict: an unknown key is an error, " +
		"with the line and the nearest right one. Durations are written \"90s\", \"1h30m\", \"5d\"; sizes \"50MiB\".\n\n" +
		"Keys marked with a star change only at a restart; all others at a reload (HUP), which is all or nothing.")
	p.section("KEYS")
	for _, e := range entries {
		if e.Section {
			p.line(".SS [" + escape(e.Name) + "]")
			p.paragraphs(strings.Join(e.Text, " "))
			continue
		}
		star := ""
		if e.Restart {
			star = " *"
		}
		p.item(".BR "+escape(e.Name)+" \" = "+escape(strings.ReplaceAll(e.Default, `"`, `""`))+star+`"`, strings.Join(e.Text, " "))
	}
	p.ending()
	return p.String(), nil
}

// roff is a page in the macros of man(7).
type roff struct{ strings.Builder }

func (r *roff) line(s string) { r.WriteString(s + "\n") }

func (r *roff) title(name, section, what string) {
	r.line(fmt.Sprintf(`.TH %s %s "" "Postrider" "Postrider"`, strings.ToUpper(name), section))
	r.section("NAME")
	r.line(escape(name) + ` \- ` + escape(what))
}

func (r *roff) section(name string) { r.line(".SH " + name) }

// paragraphs writes text whose paragraphs are parted by empty lines; indented lines stay as they are.
func (r *roff) paragraphs(text string) {
	for block := range strings.SplitSeq(text, "\n\n") {
		r.line(".PP")
		if strings.HasPrefix(block, " ") {
			r.line(".nf\n" + escape(block) + "\n.fi")
			continue
		}
		r.line(escape(block))
	}
}

// item writes a tagged paragraph. tag is roff already.
func (r *roff) item(tag, text string) {
	r.line(".TP\n" + tag + "\n" + escape(text))
}

// flags writes the flags of a node itself.
func (r *roff) flags(n *kong.Node) {
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		tag := ".B \\-\\-" + escape(f.Name)
		if f.Negated || f.Tag != nil && f.Tag.Negatable != "" {
			tag = ".B \\-\\-[no\\-]" + escape(f.Name)
		} else if !f.IsBool() {
			tag = ".BI \\-\\-" + escape(f.Name) + " \" " + escape(f.FormatPlaceHolder()) + `"`
		}
		r.item(tag, f.Help)
	}
}

func (r *roff) ending() {
	r.section("EXIT STATUS")
	r.paragraphs("0 when it is done; else the codes of sysexits.h: 64 a wrong command line, 65 wrong data, 66 no such file, 67 no such account " +
		"or domain, 69 not available, 73 cannot be made, 74 an error of the disk, 75 for now, 77 not allowed, 78 a wrong configuration.")
	r.section("SEE ALSO")
	r.line(".BR postrider (1),\n.BR postrider.toml (5),\n.BR sendmail (1)")
}

// escape makes text safe for roff: backslashes, and dots and quotes where a line would begin with them.
func escape(s string) string {
	s = strings.ReplaceAll(s, `\`, `\e`)
	s = strings.ReplaceAll(s, "-", `\-`)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
