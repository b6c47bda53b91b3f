// Command rfccover collects the marks "RFC nnnn §x.y" that stand in the comments of Postrider's source and writes them
// as a page: for each RFC its sections, and for each section the files that obey it.
//
// It reads Go files (tests apart, which are counted as proof) and never changes them. With -check it compares the page
// with what it would write and fails when they differ.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
)

func main() {
	root := flag.String("root", ".", "root of the source tree")
	out := flag.String("out", "", "write the page to this file")
	check := flag.String("check", "", "fail unless this file is what would be written")
	flag.Parse()
	if err := run(*root, *out, *check); err != nil {
		fmt.Fprintln(os.Stderr, "rfccover:", err)
		os.Exit(1)
	}
}

func run(root, out, check string) error {
	marks, err := collect(root)
	if err != nil {
		return err
	}
	page := render(marks)
	switch {
	case check != "":
		have, err := os.ReadFile(check)
		if err != nil {
			return err
		}
		if !bytes.Equal(have, page) {
			return fmt.Errorf("%s is not current: run `make docs`", check)
		}
		return nil
	case out != "":
		return os.WriteFile(out, page, 0o644)
	}
	_, err = os.Stdout.Write(page)
	return err
}
