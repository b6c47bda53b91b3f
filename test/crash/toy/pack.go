package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"syscall"
)

const (
	kindPut    = byte('p')
	kindAppend = byte('a')
	packSize   = 16 << 10 // a new pack after this much
	packMagic  = "TOY1"
)

type record struct {
	kind  byte
	token string
	body  []byte
}

// place is where a record lies.
type place struct {
	pack int
	at   int64
}

// Record: magic, kind, token length (2), body length (4), token, body, CRC32C
// of all before it.
func (r record) encode() []byte {
	b := append([]byte(packMagic), r.kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.token)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.body)))
	b = append(append(b, r.token...), r.body...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// decode reads the record at the start of b; size 0 means there is none whole.
func decode(b []byte) (r record, size int) {
	const head = len(packMagic) + 7
	if len(b) < head || !bytes.HasPrefix(b, []byte(packMagic)) {
		return r, 0
	}
	tokens, body := int(binary.BigEndian.Uint16(b[5:])), int(binary.BigEndian.Uint32(b[7:]))
	end := head + tokens + body
	if body > maxBody || len(b) < end+4 ||
		binary.BigEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], crc32.MakeTable(crc32.Castagnoli)) {
		return r, 0
	}
	return record{b[4], string(b[head : head+tokens]), b[head+tokens : end]}, end + 4
}

type request struct {
	r    record
	done chan placed
}

type placed struct {
	at  place
	err error
}

// packs has one writer; those who wait share its syncs.
type packs struct {
	dir  string
	in   chan request
	f    *os.File
	n    int
	size int64
}

func packName(n int) string { return fmt.Sprintf("%06d.pack", n) }

// openPacks begins a new pack after those that are there.
func openPacks(dir string) (*packs, error) {
	old, err := filepath.Glob(dir + "/*.pack")
	if err != nil {
		return nil, err
	}
	p := &packs{dir: dir, in: make(chan request, 64), n: len(old)}
	if err := p.next(); err != nil {
		return nil, err
	}
	go p.run()
	return p, nil
}

func (p *packs) put(r record) (place, error) {
	done := make(chan placed, 1)
	p.in <- request{r, done}
	d := <-done
	return d.at, d.err
}

func (p *packs) run() {
	for first := range p.in {
		group := []request{first}
		for len(p.in) > 0 && len(group) < cap(p.in) {
			group = append(group, <-p.in)
		}
		var buf []byte
		at := make([]place, len(group))
		for i, q := range group {
			at[i] = place{p.n, p.size + int64(len(buf))}
			buf = append(buf, q.r.encode()...)
		}
		err := p.append(buf)
		for i, q := range group {
			q.done <- placed{at[i], err}
		}
		if err == nil && p.size > packSize {
			err = p.next()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "toy: pack:", err)
			os.Exit(1)
		}
	}
}

func (p *packs) append(b []byte) error {
	if _, err := p.f.Write(b); err != nil {
		return err
	}
	p.size += int64(len(b))
	fd := int(p.f.Fd())
	switch {
	case !syncPack:
		return nil
	case !waitPack:
		go syscall.Fdatasync(fd)
		return nil
	}
	return syscall.Fdatasync(fd)
}

func (p *packs) next() error {
	if p.f != nil {
		if err := p.f.Close(); err != nil {
			return err
		}
		p.n++
	}
	f, err := os.OpenFile(filepath.Join(p.dir, packName(p.n)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	p.f, p.size = f, 0
	if syncDir {
		return syncPath(p.dir)
	}
	return nil
}

func syncPath(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
