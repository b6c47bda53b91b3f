package trace

import (
	"reflect"
	"strings"
	"testing"
)

func parseAll(t *testing.T, text string) []Event {
	t.Helper()
	events, err := parseText(text)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func parseText(text string) (events []Event, err error) {
	err = Parse(strings.NewReader(text), func(e Event) error {
		events = append(events, e)
		return nil
	})
	return events, err
}

func TestParseOneLine(t *testing.T) {
	for _, c := range []struct {
		line string
		want Event
	}{
		{`openat(AT_FDCWD</w>, "/d/a b", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 8</d/a b> <0.000034>`,
			Event{Call: "openat", Kind: Open, FD: 8, Path: "/d/a b", Flags: "O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC", Offset: -1, Result: 8}},
		{`open("/d/../d/p", O_RDWR|O_CREAT, 0644) = 5</d/p>`,
			Event{Call: "open", Kind: Open, FD: 5, Path: "/d/p", Flags: "O_RDWR|O_CREAT", Offset: -1, Result: 5}},
		{`openat(AT_FDCWD</w>, "x", O_RDONLY) = -1 ENOENT (No such file or directory) <0.1>`,
			Event{Call: "openat", Kind: Open, FD: -1, Path: "/w/x", Flags: "O_RDONLY", Offset: -1, Result: -1, Err: "ENOENT"}},
		{`creat("/d/c", 0600) = 3</d/c>`,
			Event{Call: "creat", Kind: Open, FD: 3, Path: "/d/c", Flags: "O_WRONLY|O_CREAT|O_TRUNC", Offset: -1, Result: 3}},
		{`write(8</d/p\0761\74.pack>, "hello\r\n\"x\\", 10) = 10 <0.000056>`,
			Event{Call: "write", Kind: Write, FD: 8, Path: "/d/p>1<.pack", Offset: -1, Data: []byte("hello\r\n\"x\\"), Result: 10}},
		{`write(8</d/p>, "hello", 5) = 2`,
			Event{Call: "write", Kind: Write, FD: 8, Path: "/d/p", Offset: -1, Data: []byte("he"), Result: 2}},
		{`write(8</d/p>, "hello", 5) = -1 ENOSPC (No space left on device) (INJECTED)`,
			Event{Call: "write", Kind: Write, FD: 8, Path: "/d/p", Offset: -1, Data: []byte{}, Result: -1, Err: "ENOSPC"}},
		{`write(1</dev/null<char 1:3>>, "x", 1) = 1`,
			Event{Call: "write", Kind: Write, FD: 1, Path: "/dev/null", Offset: -1, Data: []byte("x"), Result: 1}},
		{`write(8</d/q>(deleted), "gone", 4) = 4`,
			Event{Call: "write", Kind: Write, FD: 8, Path: "/d/q", Deleted: true, Offset: -1, Data: []byte("gone"), Result: 4}},
		{`pwrite64(6</d/s.db-wal>, "\x00\xff\x5d)", 4, 4120) = 4`,
			Event{Call: "pwrite64", Kind: Write, FD: 6, Path: "/d/s.db-wal", Offset: 4120, Data: []byte("\x00\xff])"), Result: 4}},
		{`writev(14<TCP:[127.0.0.1:41->127.0.0.1:58]>, [{iov_base="250 a", iov_len=5}, {iov_base="b\r\n", iov_len=3}], 2) = 8`,
			Event{Call: "writev", Kind: Write, FD: 14, Path: "TCP:[127.0.0.1:41->127.0.0.1:58]", Offset: -1, Data: []byte("250 ab\r\n"), Result: 8}},
		{`pwritev(4</d/p>, [{iov_base="ab", iov_len=2}, {iov_base="cd", iov_len=2}], 2, 7) = 3`,
			Event{Call: "pwritev", Kind: Write, FD: 4, Path: "/d/p", Offset: 7, Data: []byte("abc"), Result: 3}},
		{`sendto(9<UNIX-STREAM:[11->12,"/run/a>b]"]>, "ok", 2, 0, NULL, 0) = 2`,
			Event{Call: "sendto", Kind: Write, FD: 9, Path: `UNIX-STREAM:[11->12,"/run/a>b]"]`, Offset: -1, Data: []byte("ok"), Result: 2}},
		{`sendmsg(9<TCPv6:[[::1]:25->[::1]:99]>, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="250 x\r\n", iov_len=7}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, MSG_NOSIGNAL) = 7`,
			Event{Call: "sendmsg", Kind: Write, FD: 9, Path: "TCPv6:[[::1]:25->[::1]:99]", Offset: -1, Data: []byte("250 x\r\n"), Result: 7}},
		{`fdatasync(8</d/p>) = 0 (DELAYED) <0.002>`,
			Event{Call: "fdatasync", Kind: Sync, FD: 8, Path: "/d/p", Offset: -1}},
		{`fsync(8</d>) = -1 EIO (Input/output error)`,
			Event{Call: "fsync", Kind: Sync, FD: 8, Path: "/d", Offset: -1, Result: -1, Err: "EIO"}},
		{`ftruncate(7</d/p>, 3) = 0`, Event{Call: "ftruncate", Kind: Truncate, FD: 7, Path: "/d/p", Offset: -1, Size: 3}},
		{`fallocate(7</d/p>, 0, 100, 28) = 0`,
			Event{Call: "fallocate", Kind: Allocate, FD: 7, Path: "/d/p", Flags: "0", Offset: -1, Size: 128}},
		{`renameat2(AT_FDCWD</w>, "a", 5</d>, "b", RENAME_NOREPLACE) = 0`,
			Event{Call: "renameat2", Kind: Rename, FD: -1, Path: "/w/a", To: "/d/b", Flags: "RENAME_NOREPLACE", Offset: -1}},
		{`rename("/d/a", "/d/b") = 0`, Event{Call: "rename", Kind: Rename, FD: -1, Path: "/d/a", To: "/d/b", Offset: -1}},
		{`unlinkat(AT_FDCWD</w>, "/d/b", 0) = 0`, Event{Call: "unlinkat", Kind: Unlink, FD: -1, Path: "/d/b", Flags: "0", Offset: -1}},
		{`mkdirat(AT_FDCWD</w>, "/d/b", 0700) = 0`, Event{Call: "mkdirat", Kind: Mkdir, FD: -1, Path: "/d/b", Flags: "0700", Offset: -1}},
		{`lseek(3</d/b>, 0, SEEK_END) = 77`, Event{Call: "lseek", Kind: Seek, FD: 3, Path: "/d/b", Offset: -1, Result: 77}},
		{`dup(3</d/b>) = 4</d/b>`, Event{Call: "dup", Kind: Dup, FD: 4, Path: "/d/b", Offset: -1, Size: 3, Result: 4}},
		{`mmap(NULL, 32768, PROT_READ|PROT_WRITE, MAP_SHARED, 7</d/x-shm>, 0) = 0x7f01`,
			Event{Call: "mmap", Kind: Opaque, FD: 7, Path: "/d/x-shm", Offset: -1, Result: 0x7f01}},
		{`copy_file_range(3</d/a>, NULL, 4</d/b>, NULL, 10, 0) = 10`,
			Event{Call: "copy_file_range", Kind: Opaque, FD: 4, Path: "/d/b", Offset: -1, Result: 10}},
		{`symlinkat("t", AT_FDCWD</w>, "/d/l") = 0`, Event{Call: "symlinkat", Kind: Opaque, FD: -1, Path: "/d/l", Offset: -1}},
	} {
		got := parseAll(t, "17  1795311343.115997 "+c.line+"\n")
		c.want.Begin, c.want.End, c.want.PID = 1, 1, 17
		if len(got) != 1 || !reflect.DeepEqual(got[0], c.want) {
			t.Errorf("%s\n got %+v\nwant %+v", c.line, got, c.want)
		}
	}
}

func TestParseInterleaved(t *testing.T) {
	got := parseAll(t, `7 1.1 write(3</d/p>, "one", 3 <unfinished ...>
8 1.2 fdatasync(3</d/p> <unfinished ...>
7 1.3 <... write resumed>)               = 3 <0.2>
9 1.4 --- SIGURG {si_signo=SIGURG, si_code=SI_TKILL} ---
7 1.5 openat(AT_FDCWD</w>, "/d/q", O_RDWR|O_CREAT <unfinished ...>
8 1.6 <... fdatasync resumed>)           = 0 (DELAYED) <0.4>
7 1.7 <... openat resumed>, 0600)        = 4</d/q> <0.1>
8 1.8 write(5<TCP:[a:1->b:2]>, "250 ok\r\n", 8 <unfinished ...>
7 1.9 pwrite64(4</d/q>, "two", 3, 9)     = ?
7 2.0 +++ killed by SIGKILL +++
`)
	type row struct {
		call       string
		begin, end int64
	}
	want := []row{{"write", 1, 3}, {"fdatasync", 2, 6}, {"openat", 5, 7}, {"pwrite64", 9, Never}, {"write", 8, Never}}
	var rows []row
	for _, e := range got {
		rows = append(rows, row{e.Call, e.Begin, e.End})
	}
	if !reflect.DeepEqual(rows, want) {
		t.Fatalf("got  %v\nwant %v", rows, want)
	}
	if got[2].Path != "/d/q" || got[2].FD != 4 || string(got[4].Data) != "250 ok\r\n" || string(got[3].Data) != "two" {
		t.Errorf("%+v", got)
	}
	if got[3].OK() || !got[0].OK() {
		t.Error("only what returned is OK")
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"data cut short":          `1 1.0 write(3</d/p>, "abc"..., 4096) = 4096`,
		"vector data cut short":   `1 1.0 writev(3</d/p>, [{iov_base="abc"..., iov_len=99}], 1) = 99`,
		"vector cut short":        `1 1.0 writev(3</d/p>, [{iov_base="abc", iov_len=3}, ...], 9) = 99`,
		"more written than shown": `1 1.0 write(3</d/p>, "abc", 4) = 4`,
		"resumed, never begun":    `1 1.0 <... write resumed>) = 3`,
		"two calls of one thread": "1 1.0 fsync(3</d/p> <unfinished ...>\n1 1.0 fsync(3</d/p> <unfinished ...>",
		"no process id":           `write(3</d/p>, "abc", 3) = 3`,
		"no time":                 `1 write(3</d/p>, "abc", 3) = 3`,
		"no result":               `1 1.0 write(3</d/p>, "abc", 3)`,
		"string without end":      `1 1.0 write(3</d/p>, "abc`,
		"unknown escape":          `1 1.0 write(3</d/p>, "\q", 1) = 1`,
		"short escape":            `1 1.0 write(3</d/p>, "\x0", 1) = 1`,
		"relative name":           `1 1.0 unlink("p") = 0`,
		"negative offset":         `1 1.0 pwrite64(3</d/p>, "a", 1, -4) = 1`,
	} {
		if got, err := parseText(text + "\n"); err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
		}
	}
}

func TestParseLeavesOutAnUnendedLine(t *testing.T) {
	got := parseAll(t, "1 1.0 fsync(3</d/p>) = 0\n1 1.1 fsync(3</d/p>) = 0")
	if len(got) != 1 {
		t.Errorf("%d events", len(got))
	}
}
