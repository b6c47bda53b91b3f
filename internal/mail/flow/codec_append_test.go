package flow

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
)

// appends are trailers of APPEND as clients cause them.
func appends() (list []*Append) {
	names := [][]string{{"INBOX"}, {"Sent"}, {"Drafts"}, {"Archive", "2026", "November"}, {"Entwürfe"}, nil}
	keywords := []string{"", "$Forwarded", "$Junk $MDNSent", "a b c d e"}
	for i := range 24 {
		message := recipe.Whole(recipe.BlobRef{Pack: Self.Pack})
		if i%5 == 4 {
			message = recipe.Recipe{recipe.Literal([]byte("Received: x\r\n")), {Blob: recipe.BlobRef{Pack: int64(i), Offset: 64, Length: 900}, Offset: 3, Length: 800}}
		}
		list = append(list, &Append{ID: queueid.New(1_700_000_000_000_000+int64(i), uint64(i)<<40|1), Account: int64(i * i), Mailbox: names[i%len(names)],
			Flags: uint8(i), Keywords: keywords[i%len(keywords)], InternalDate: time.Unix(int64(i-3)*100_000_000, 0), Message: message, Index: make([]byte, i)})
	}
	return list
}

func TestDecodeAppend(t *testing.T) {
	for i, a := range appends() {
		b := AppendAppend(nil, a)
		back, err := DecodeAppend(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Index) == 0 {
			a.Index = nil
		}
		if !reflect.DeepEqual(a, back) {
			t.Errorf("%d: %+v\nnot %+v", i, back, a)
		}
		for cut := range b {
			if _, err := DecodeAppend(b[:cut]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
		if _, err := DecodeAppend(append(b, b...)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("twice: %v", err)
		}
		if later, err := DecodeAppend(append(b, 0, 99, 0, 0, 0, 1, 7)); err != nil || !reflect.DeepEqual(later, back) {
			t.Errorf("an element that may be passed over: %v", err)
		}
		if _, err := DecodeAppend(append(b, 0x80, 99, 0, 0, 0, 0)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("an element that may not be: %v", err)
		}
	}
}

func FuzzDecodeAppend(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := DecodeAppend(b)
		if err != nil {
			return
		}
		if !IsAppend(b) {
			t.Fatal("decoded, and no APPEND")
		}
		again, err := DecodeAppend(AppendAppend(nil, a))
		if err != nil || !reflect.DeepEqual(a, again) {
			t.Fatalf("not stable: %v", err)
		}
	})
}

// The corpus is made of appends: go test -run TestAppendCorpus with WRITE_CORPUS=1.
func TestAppendCorpus(t *testing.T) {
	dir := filepath.Join("testdata", "fuzz", "FuzzDecodeAppend")
	for i, a := range appends() {
		file, want := filepath.Join(dir, fmt.Sprintf("append%02d", i)), "go test fuzz v1\n[]byte("+strconv.Quote(string(AppendAppend(nil, a)))+")\n"
		if os.Getenv("WRITE_CORPUS") != "" {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s is not what this version writes: %v", file, err)
		}
	}
}
